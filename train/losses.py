"""Training losses: functions of a restored and a true image, both (B,3,h,w), to a scalar."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def l1(restored: Tensor, hq: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return (restored - hq).abs().mean()


def mse(restored: Tensor, hq: Tensor) -> Tensor:
    """Return the mean squared difference."""
    return (restored - hq).square().mean()


def charbonnier(restored: Tensor, hq: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt(d^2 + epsilon^2), a smooth L1 (Charbonnier et al., ICIP 1994)."""
    return ((restored - hq).square() + epsilon**2).sqrt().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "charbonnier": charbonnier,
    "mse": mse,
}
