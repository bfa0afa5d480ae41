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

    step: float
    validation: float
    """One validation during training."""
    checkpoint: float
    ending: float
    """Everything after the last step: the full validation, pictures, files."""


def time_steps(
    batches: Callable[[int, int], Generator[Batch]], run: Callable[[Batch, int], None], limit: float
) -> float:
    """Return the mean seconds of a step, its wait for data included, over the first steps.

    `run` does a step; at most `limit` seconds are spent beyond the first two steps.
    """
    begun = last = time.monotonic()
    times: list[float] = []
    with closing(batches(0, PROBE_STEPS)) as stream:
        for step, batch in enumerate(stream):
            run(batch, step)
            now = time.monotonic()
            times.append(now - last)
            last = now
            if step >= 1 and now - begun > limit:
                break
    timed = times[SETTLING:] or times[1:] or times
    return sum(timed) / len(timed)


def steps_within(
    seconds: float, costs: Costs, *, validate_every: int, checkpoint_every: int
) -> int:
    """Return how many steps fit into `seconds`, validations and checkpoints included.

    Raises PaceError if none does.
    """
    each = costs.step + costs.validation / validate_every + costs.checkpoint / checkpoint_every
    steps = int(max(seconds * MARGIN - costs.ending, 0.0) / each)
    if steps < 1:
        raise PaceError(
            f"no step fits: {seconds:.0f} s are left, a step takes {costs.step:.2f} s and "
            f"validation and saving at the end {costs.ending:.0f} s; raise --max-minutes"
        )
    return steps


class Deadline:
    """Watches that the planned steps still fit, and says how many do if the machine slows down."""

    def __init__(self, end: float, ending: float) -> None:
        """`end`: `time.monotonic()` at which all must be over; `ending`: seconds reserved."""
        self._end = end
        self._ending = ending
        self._seen: tuple[int, float] | None = None

    def shortened(self, step: int, total: int) -> int | None:
        """Return a smaller total if `total` no longer fits, by the pace since the last call."""
        now = time.monotonic()
        before, self._seen = self._seen, (step, now)
        if before is None or step <= before[0] or step >= total:
            return None
        each = (now - before[1]) / (step - before[0])
        fits = step + max(int((self._end - self._ending - now) / each), 1)
        return fits if fits < total else None
