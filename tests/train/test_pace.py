"""How many steps fit into a wall time."""

from __future__ import annotations

import pytest

from train import pace
from train.pace import Costs, Deadline, PaceError, steps_within

COSTS = Costs(whole_step=0.5, first_step=0.2, first_share=0.6, between=0.02, ending=60.0)


def test_both_kinds_of_steps_validations_checkpoints_and_the_ending_fit_into_the_time() -> None:
    steps = steps_within(1800, COSTS)
    used = steps * (0.6 * 0.2 + 0.4 * 0.5 + 0.02) + 60
    assert 1800 * 0.95 < used <= 1800 * pace.MARGIN


@pytest.mark.parametrize(("done", "mean"), [(0.0, 0.32), (0.2, 0.35), (0.6, 0.5), (0.9, 0.5)])
def test_the_steps_left_are_dearer_once_the_first_pass_was_trained(
    done: float, mean: float
) -> None:
    assert COSTS.mean_step(done) == pytest.approx(mean)


def test_too_little_time_is_an_error_that_says_what_is_needed() -> None:
    with pytest.raises(PaceError, match=r"61 s are left.*at the end 60 s; raise --max-minutes"):
        steps_within(61, COSTS)


class _Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_slower_machine_gets_as_many_steps_as_still_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(pace, "time", clock)
    even = Costs(whole_step=1.0, first_step=1.0, first_share=0.0, between=0.0, ending=20.0)
    deadline = Deadline(120.0, even)
    assert deadline.shortened(0, 100, 0.0) is None, "nothing is known yet"
    for _ in range(50):
        deadline.took(1.0, first_only=False)
    clock.now = 50.0
    assert deadline.shortened(50, 100, 0.5) is None, "one second a step: exactly on time"
    clock.now = 60.0
    assert deadline.shortened(50, 100, 0.5) == 90, "10 s were lost between the steps"
    for _ in range(10):
        deadline.took(5.0, first_only=False)
    clock.now = 80.0
    assert deadline.shortened(60, 90, 0.6) == 72, "20 s are left, a step takes 100 s / 60"


def test_cheap_first_steps_do_not_hide_that_the_dear_ones_no_longer_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = _Clock()
    monkeypatch.setattr(pace, "time", clock)
    costs = Costs(whole_step=2.0, first_step=1.0, first_share=0.5, between=0.0, ending=0.0)
    deadline = Deadline(150.0, costs)
    clock.now = 50.0
    for _ in range(50):
        deadline.took(1.0, first_only=True)
    assert deadline.shortened(50, 100, 0.5) is None, "50 dear steps fit exactly"
    assert deadline.shortened(50, 101, 0.5) == 100
