"""Learning-rate schedules as pure functions of the step, so that there is no state to resume."""

from __future__ import annotations

import math
from collections.abc import Sequence

Plan = Sequence[tuple[int, int]]
"""[(first step, planned total), ...]: the total that was planned from that step on."""


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


def cosine(step: int, plan: Plan, *, peak: float, floor: float, warmup: int) -> float:
    """Return the learning rate of `step` (from 0): linear warm-up times a cosine to `floor`.

    Cosine: SGDR (Loshchilov and Hutter, 2017), equation 5, one period.
    """
    curve = floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * progress(step, plan)))
    return curve * min(1.0, (step + 1) / warmup) if warmup > 0 else curve
