"""Learning-rate schedules as pure functions of the step, so that there is no state to resume."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Plan = Sequence[tuple[int, int]]
"""[(first step, planned total), ...]: the total that was planned from that step on."""
RISE = 0.3
"""Share of a one-cycle run in which the rate rises."""
RISE_FROM = 25.0
"""Peak over first rate of a one-cycle run (both as in PyTorch's OneCycleLR)."""


class ScheduleError(ValueError):
    """A schedule whose numbers do not fit together; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A shape and its numbers. Steps count from 0; warm-up multiplies every shape."""

    shape: str = "cosine"
    """A name of `SHAPES`."""
    periods: tuple[int, ...] = ()
    """cosine-restart: steps of each period; past the last one the rate stays at the floor."""
    restart_weights: tuple[float, ...] = ()
    """cosine-restart: share of the peak at which each period starts; empty: all 1."""
    milestones: tuple[int, ...] = ()
    """multi-step: steps at which the rate is multiplied by `gamma`."""
    gamma: float = 0.5

    def __post_init__(self) -> None:
        """Refuse numbers that fit no shape."""
        if self.shape not in SHAPES:
            raise ScheduleError(f"no schedule is called {self.shape!r}; choose {', '.join(SHAPES)}")
        if self.shape == "cosine-restart" and not self.periods:
            raise ScheduleError("cosine-restart needs --periods, such as 150000 150000")
        if min(self.periods, default=1) < 1 or min(self.milestones, default=1) < 1:
            raise ScheduleError("periods and milestones are steps, at least 1")
        if self.restart_weights and len(self.restart_weights) != len(self.periods):
            raise ScheduleError(
                f"{len(self.restart_weights)} restart weights for {len(self.periods)} periods"
            )
        if self.shape == "multi-step" and not self.milestones:
            raise ScheduleError("multi-step needs --milestones, such as 100000 200000")
        if list(self.milestones) != sorted(self.milestones):
            raise ScheduleError(f"milestones {self.milestones} are not in order")

    def rate(self, step: int, plan: Plan, *, peak: float, floor: float, warmup: int) -> float:
        """Return the learning rate of `step` (from 0): linear warm-up times the shape."""
        curve = SHAPES[self.shape](self, step, plan, peak, floor)
        return curve * min(1.0, (step + 1) / warmup) if warmup > 0 else curve


def progress(step: int, plan: Plan) -> float:
    """Return how much of the run lies before `step`, 0..1.

    With one entry (0, total) it is step / total. A later entry (k, shorter) spreads what was
    left at step k evenly over the steps that remain, so the learning rate never jumps.
    """
    done = 0.0
    for i, (first, total) in enumerate(plan):
        last = plan[i + 1][0] if i + 1 < len(plan) else step
        inside = min(step, last) - first
        if inside <= 0:
            break
        done += (1.0 - done) * min(inside / max(total - first, 1), 1.0)
    return done


def _fall(share: float, high: float, low: float) -> float:
    """Half a cosine from `high` at 0 to `low` at 1 (SGDR: Loshchilov and Hutter, 2017, eq. 5)."""
    return low + (high - low) * 0.5 * (1.0 + math.cos(math.pi * share))


def _cosine(schedule: Schedule, step: int, plan: Plan, peak: float, floor: float) -> float:
    return _fall(progress(step, plan), peak, floor)


def _cosine_restart(schedule: Schedule, step: int, plan: Plan, peak: float, floor: float) -> float:
    weights = schedule.restart_weights or (1.0,) * len(schedule.periods)
    begin = 0
    for period, weight in zip(schedule.periods, weights, strict=True):
        if step < begin + period:
            return _fall((step - begin) / period, weight * peak, floor)
        begin += period
    return floor


def _multi_step(schedule: Schedule, step: int, plan: Plan, peak: float, floor: float) -> float:
    passed = sum(step >= milestone for milestone in schedule.milestones)
    return max(peak * schedule.gamma**passed, floor)


def _one_cycle(schedule: Schedule, step: int, plan: Plan, peak: float, floor: float) -> float:
    share = progress(step, plan)
    if share < RISE:
        return _fall(share / RISE, peak / RISE_FROM, peak)
    return _fall((share - RISE) / (1.0 - RISE), peak, floor)


def _constant(schedule: Schedule, step: int, plan: Plan, peak: float, floor: float) -> float:
    return peak


Shape = Callable[[Schedule, int, Plan, float, float], float]
SHAPES: dict[str, Shape] = {
    "cosine": _cosine,
    "cosine-restart": _cosine_restart,
    "multi-step": _multi_step,
    "one-cycle": _one_cycle,
    "constant": _constant,
}
