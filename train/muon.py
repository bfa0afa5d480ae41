"""Muon: momentum whose matrix updates are made orthogonal.

Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024): every direction of a
weight matrix moves equally far, also those that gradients rarely show. PyTorch's own
(`torch.optim.Muon`) takes matrices only; here a convolution (O,I,k,k) counts as a matrix of
(O, I k k), and matrices of one shape are worked on together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz iteration (Jordan et al. 2024)."""
ITERATIONS = 5
ADAM_RMS = 0.2
"""Size of an update's entries as Adam has them, so that Adam's learning rates fit (Liu et al.,
Muon is Scalable for LLM Training, 2025, section 2.2)."""
SMALLEST_SIDE = 8
"""Smaller matrices, such as the convolution to RGB, are left to Adam, as are biases."""


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon takes a parameter; Adam takes the others."""
    rows = parameter.flatten(1).shape if parameter.ndim >= 2 else (0,)
    return min(rows) >= SMALLEST_SIDE


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly, of (B,rows,columns) with rows <= columns.

    Singular values come out between about 0.7 and 1.2.
    """
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        mixed = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, mixed, x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Muon of convolution and matrix weights, with Nesterov momentum and decoupled decay."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows, columns = sorted(parameter.flatten(1).shape)
                    alike.setdefault((rows, columns), []).append(parameter)
            for shape, parameters in alike.items():
                self._move(parameters, shape, group["lr"], group["weight_decay"])

    def _move(
        self, parameters: Sequence[nn.Parameter], shape: tuple[int, int], rate: float, decay: float
    ) -> None:
        """Move parameters that are matrices of one shape, or its transpose."""
        turned = [p.flatten(1).shape != shape for p in parameters]
        matrices = [gradient.flatten(1) for gradient in self._momentum(parameters)]
        lying = [m.mT if turn else m for m, turn in zip(matrices, turned, strict=True)]
        updates = orthogonal(torch.stack(lying))
        step = rate * ADAM_RMS * shape[1] ** 0.5
        moves = [
            (update.mT if turn else update).reshape(p.shape)
            for p, update, turn in zip(parameters, updates, turned, strict=True)
        ]
        moved: list[Tensor] = list(parameters)
        if decay:
            torch._foreach_mul_(moved, 1.0 - rate * decay)
        torch._foreach_add_(moved, moves, alpha=-step)

    def _momentum(self, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
        """The gradients with Nesterov momentum."""
        gradients = [p.grad.contiguous() for p in parameters if p.grad is not None]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(gradient)
        momenta = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_mul_(momenta, MOMENTUM)
        torch._foreach_add_(momenta, gradients)
        return torch._foreach_add(gradients, momenta, alpha=MOMENTUM)


class MuonWithAdam:
    """Muon for the matrices, Adam for all else, behind the interface of one optimiser."""

    def __init__(self, matrices: Muon | None, others: torch.optim.Optimizer | None) -> None:
        named = {"muon": matrices, "adam": others}
        self.parts: dict[str, torch.optim.Optimizer] = {n: o for n, o in named.items() if o}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both parts, for the learning rate."""
        return [group for part in self.parts.values() for group in part.param_groups]

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for part in self.parts.values():
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of both parts."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
