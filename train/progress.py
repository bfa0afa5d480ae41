"""How long a run is, where it stands, and what it leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from train.learner import StepOptions
from train.schedules import Schedule
from train.validate import Scores


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """Length, rates and intervals of a run. One of `steps` and `seconds` is given."""

    steps: int | None = None
    seconds: float | None = None
    """Wall time since `begun` in which everything must be over."""
    begun: float = field(default_factory=time.monotonic)
    spare: float = 6.0
    """Part of `seconds` for what this loop does not see: starting Python, the last table."""
    schedule: Schedule = field(default_factory=Schedule)
    lr: float = 4e-4
    lr_min: float = 1e-7
    warmup: int = 0
    first_pass_share: float = 0.0
    """Share of the run, from its start, in which the first pass is trained alone."""
    validate_every: int = 500
    validate_pairs: int = 10
    checkpoint_every: int = 200
    snapshot_every: int = 0
    """Steps between kept networks of the averaged weights; 0: none are kept."""
    step: StepOptions = field(default_factory=StepOptions)


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves."""

    steps: int
    scores: Scores
    """Of the full validation set, with the averaged weights after the last step."""
    best_step: int
    best_psnr: float
    """Of the pairs that are validated during training; the best weights were chosen by it."""


@dataclass
class Progress:
    """Where a run stands: everything but the weights that a checkpoint needs."""

    step: int = 0
    plan: list[tuple[int, int]] = field(default_factory=list)
    best_psnr: float | None = None
    best_step: int = 0

    @property
    def total(self) -> int:
        """Steps of the whole run, as planned now."""
        return self.plan[-1][1]
