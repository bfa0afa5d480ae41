"""How long and on how many faces a student learns, by tier: the one table of its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

ADAM = "adam"
BETAS = (0.9, 0.99)
WARMUP = 20
"""Steps over which the learning rate climbs."""


class Optimiser(Protocol):
    """What training needs of an optimiser."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, for the learning rate."""

    def step(self) -> Any:
        """Move the parameters."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state."""


OptimiserMaker = Callable[[str, Sequence[nn.Parameter], torch.device], Optimiser]
"""(name, parameters, device) -> optimiser; the caller brings those that live above priors/."""


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """Constants of the student's training; with the tier's name, a part of a fit's identity."""

    faces: int
    """Most faces that teachers and student learn from, chosen by hash of the name."""
    steps: int | None
    """Training steps; None: as many as the preset says."""
    batch: int
    optimiser: str
    rate: float
    """Peak learning rate."""
    consistency: float = 0.0
    """Weight of being consistent with a second view of the same LQ; 0: no second view."""
    bf16: bool = False
    """Whether convolutions run in bfloat16 on a GPU."""


SCHOOLING = {
    "quick": Schooling(faces=300, steps=None, batch=4, optimiser=ADAM, rate=5e-3),
    "cpu": Schooling(faces=1000, steps=1500, batch=8, optimiser="muon", rate=2e-2),
    "gpu": Schooling(faces=100_000, steps=4000, batch=32, optimiser="muon", rate=2e-2),
}


def plain_optimiser(
    _name: str, parameters: Sequence[nn.Parameter], _device: torch.device
) -> Optimiser:
    """Adam, whatever its name: see `check_optimiser`."""
    return torch.optim.Adam(parameters, betas=BETAS)


def check_optimiser(maker: OptimiserMaker, name: str) -> None:
    """Raise ValueError where a tier's optimiser must come from the caller, and did not."""
    if maker is plain_optimiser and name != ADAM:
        raise ValueError(f"the student's optimiser {name!r} is none of priors/: pass `optimiser`")


def rate_at(step: int, steps: int) -> float:
    """Share of the learning rate: linear warm-up, then a cosine to zero."""
    warmup = min(WARMUP, max(1, steps // 5))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
