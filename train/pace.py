"""How many steps fit into a given wall time, and what to do when the machine slows down."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from data.batches import Batch

PROBE_STEPS = 16
SETTLING = 3
"""First steps that are not timed: buffers and loader processes come into being."""
PROBE_SHARE = 0.1
"""Largest share of the wall time that timing the first steps may take."""
MARGIN = 0.96
"""Share of the wall time that is planned for; the rest is for what cannot be foreseen."""


class PaceError(RuntimeError):
    """Not even one step fits into the wall time."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of the parts of a run."""

    whole_step: float
    """One step of every pass."""
    first_step: float
    """One step of the first pass alone."""
    first_share: float
    """Share of the run whose steps train the first pass alone; they come first."""
    between: float
    """Validations and checkpoints during training, per step."""
    ending: float
    """Everything after the last step: the full validation, pictures, files."""

    def mean_step(self, done: float) -> float:
        """Return the mean seconds of the steps that are left after the share `done` of the run."""
        first = max(self.first_share - done, 0.0) / max(1.0 - done, 1e-9)
        return first * self.first_step + (1.0 - first) * self.whole_step


def time_steps(
    batches: Callable[[int, int], Generator[Batch]], run: Callable[[Batch, int], None], limit: float
) -> float:
    """Return the mean seconds of a step, its wait for data included, over the first steps.

    `run` does a step and returns when the device has done it. The first step, in which a compiled
    network is compiled, is never timed; at most `limit` seconds are spent between it and the last.
    """
    begun = last = time.monotonic()
    times: list[float] = []
    with closing(batches(0, PROBE_STEPS)) as stream:
        for step, batch in enumerate(stream):
            run(batch, step)
            now = time.monotonic()
            times.append(now - last)
            last = now
            if step == 0:
                begun = now
            elif now - begun > limit:
                break
    timed = times[SETTLING:] or times[1:] or times
    return sum(timed) / len(timed)


def steps_within(seconds: float, costs: Costs) -> int:
    """Return how many steps fit into `seconds`, validations and checkpoints included.

    Raises PaceError if none does.
    """
    each = costs.mean_step(0.0) + costs.between
    steps = int(max(seconds * MARGIN - costs.ending, 0.0) / each)
    if steps < 1:
        raise PaceError(
            f"no step fits: {seconds:.0f} s are left, a step takes {costs.whole_step:.2f} s and "
            f"validation and saving at the end {costs.ending:.0f} s; raise --max-minutes"
        )
    return steps


class Deadline:
    """Watches that the planned steps still fit, and says how many do if the machine slows down."""

    def __init__(self, end: float, costs: Costs) -> None:
        """`end`: `time.monotonic()` at which all must be over; `costs` as measured before."""
        self._end = end
        self._costs = costs
        self._spent = 0.0
        self._expected = 0.0

    def took(self, seconds: float, *, first_only: bool) -> None:
        """Note a step that was taken, its wait for data included."""
        self._spent += seconds
        self._expected += self._costs.first_step if first_only else self._costs.whole_step

    def shortened(self, step: int, total: int, done: float) -> int | None:
        """Return a smaller total if `total` no longer fits, by the mean pace so far.

        `done` is the share of the run that lies before `step`, by which the phases are counted.
        """
        if self._expected == 0.0 or step >= total:
            return None
        each = self._costs.mean_step(done) * self._spent / self._expected + self._costs.between
        left = self._end - self._costs.ending - time.monotonic()
        fits = step + max(int(left / each), 1)
        return fits if fits < total else None
