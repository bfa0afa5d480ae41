"""Training losses: functions of a restored and a true image, both (B,3,h,w) in [0,1], to a scalar.

A loss is asked for by name, or as a weighted sum: `l1=1 ssim=0.1`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluation.metrics import C1, C2, SIGMA, WINDOW

Loss = Callable[[Tensor, Tensor], Tensor]


class LossError(ValueError):
    """A sum of losses that cannot be formed; the message says why."""


def l1(restored: Tensor, hq: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return (restored - hq).abs().mean()


def mse(restored: Tensor, hq: Tensor) -> Tensor:
    """Return the mean squared difference."""
    return (restored - hq).square().mean()


def charbonnier(restored: Tensor, hq: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt(d^2 + epsilon^2), a smooth L1 (Charbonnier et al., ICIP 1994)."""
    return ((restored - hq).square() + epsilon**2).sqrt().mean()


def gradient(restored: Tensor, hq: Tensor) -> Tensor:
    """Return the mean absolute difference of the slopes to the right and downwards."""
    difference = restored - hq
    across = difference[..., :, 1:] - difference[..., :, :-1]
    down = difference[..., 1:, :] - difference[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


def ssim(restored: Tensor, hq: Tensor) -> Tensor:
    """Return 1 - SSIM as the scorer defines it, but of images that were not rounded.

    Wang et al. 2004, eq. 13: Gaussian window 11x11 of sigma 1.5, valid region, mean of channels.
    Raises LossError for sides below 11.
    """
    if min(hq.shape[-2:]) < WINDOW:
        raise LossError(f"the ssim loss needs HQ crops of at least {WINDOW} px; raise --lq-crop")
    mean_a, mean_b = _blur(restored), _blur(hq)
    both = mean_a * mean_b
    squares = mean_a.square() + mean_b.square()
    spread = _blur(restored.square() + hq.square()) - squares
    shared = _blur(restored * hq) - both
    c1, c2 = C1 / 255**2, C2 / 255**2
    values = (2 * both + c1) * (2 * shared + c2) / ((squares + c1) * (spread + c2))
    return 1.0 - values.mean()


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "mse": mse,
    "charbonnier": charbonnier,
    "gradient": gradient,
    "ssim": ssim,
}


PERCEPTUAL = "perceptual"
"""Needs features: see `train.perceptual`."""
LOSS_NAMES = (*LOSSES, PERCEPTUAL)


def parse_terms(terms: Sequence[str]) -> dict[str, float]:
    """Return the weight of each loss of `terms`, each `name` (weight 1) or `name=weight`.

    Raises LossError for an unknown or doubled name, or a weight that is not above 0.
    """
    weights: dict[str, float] = {}
    for term in terms:
        name, _, number = term.partition("=")
        if name not in LOSS_NAMES:
            raise LossError(
                f"--loss {term}: no loss is called {name!r}; choose {', '.join(LOSS_NAMES)}"
            )
        if name in weights:
            raise LossError(f"--loss: {name} is named twice")
        try:
            weights[name] = float(number) if number else 1.0
        except ValueError as error:
            raise LossError(f"--loss {term}: {number!r} is no number; write {name}=1") from error
        if not 0.0 < weights[name] < float("inf"):
            raise LossError(f"--loss {term}: a weight is above 0")
    if not weights:
        raise LossError("--loss: name at least one loss, such as l1 or mse=1")
    return weights


def weighted(terms: Sequence[str], perceptual: Loss | None = None) -> Loss:
    """Return the weighted sum of the losses of `terms`; see `parse_terms`.

    Raises LossError where the perceptual loss is a term and its features are not given.
    """
    weights = parse_terms(terms)
    if PERCEPTUAL in weights and perceptual is None:
        raise LossError("--loss perceptual needs its features: --perceptual-net FILE")

    def value(name: str, restored: Tensor, hq: Tensor) -> Tensor:
        if name == PERCEPTUAL and perceptual is not None:
            return perceptual(restored, hq)
        return LOSSES[name](restored, hq)

    def loss(restored: Tensor, hq: Tensor) -> Tensor:
        values = [weight * value(name, restored, hq) for name, weight in weights.items()]
        return torch.stack(values).sum() if len(values) > 1 else values[0]

    return loss


def _blur(image: Tensor) -> Tensor:
    """Gaussian-weighted means (B,C,H-10,W-10) where the whole window lies inside."""
    place = torch.arange(WINDOW, dtype=torch.float64, device=image.device) - WINDOW // 2
    bell = torch.exp(-place.square() / (2 * SIGMA**2))
    window = (bell / bell.sum()).to(image)
    planes = image.flatten(0, 1)[:, None]
    planes = F.conv2d(F.conv2d(planes, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return planes.view(*image.shape[:2], *planes.shape[-2:])
