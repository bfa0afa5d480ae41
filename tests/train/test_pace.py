"""How many steps fit into a wall time."""

from __future__ import annotations

import pytest

from train import pace
from train.pace import Costs, Deadline, PaceError, steps_within

COSTS = Costs(step=0.5, validation=10.0, checkpoint=1.0, ending=60.0)


def test_steps_validations_checkpoints_and_the_ending_fit_into_the_time() -> None:
    steps = steps_within(1800, COSTS, validate_every=500, checkpoint_every=200)
    used = steps * 0.5 + steps / 500 * 10 + steps / 200 * 1.0 + 60
    assert 1800 * 0.95 < used <= 1800 * pace.MARGIN


def test_too_little_time_is_an_error_that_says_what_is_needed() -> None:
    with pytest.raises(PaceError, match=r"61 s are left.*at the end 60 s; raise --max-minutes"):
        steps_within(61, COSTS, validate_every=500, checkpoint_every=200)


class _Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_slower_machine_gets_as_many_steps_as_still_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(pace, "time", clock)
    deadline = Deadline(end=120.0, ending=20.0)
    assert deadline.shortened(0, 100) is None
    clock.now = 50.0
    assert deadline.shortened(50, 100) is None, "one second a step: exactly on time"
    clock.now = 70.0
    assert deadline.shortened(60, 100) == 75, "two seconds a step, 30 seconds are left"
    clock.now = 75.0
    assert deadline.shortened(65, 75) is None, "never more steps than planned"
