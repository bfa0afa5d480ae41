"""Learning rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from train.schedules import Schedule, ScheduleError, progress


def test_the_cosine_is_torch_s() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=4e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-7)
    for step in range(50):
        ours = Schedule().rate(step, [(0, 50)], peak=4e-4, floor=1e-7, warmup=0)
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_warm_up_climbs_linearly_from_the_first_step() -> None:
    rates = [Schedule().rate(s, [(0, 10_000)], peak=1.0, floor=0.0, warmup=4) for s in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0], abs=1e-5)


def test_a_shorter_plan_neither_jumps_nor_misses_the_end() -> None:
    plan = [(0, 100), (40, 60)]
    assert [progress(s, [(0, 100)]) for s in (0, 25, 100)] == [0.0, 0.25, 1.0]
    assert progress(40, plan) == pytest.approx(0.4)
    assert progress(41, plan) == pytest.approx(0.4 + 0.6 / 20)
    assert progress(60, plan) == pytest.approx(1.0)
    assert all(progress(s, plan) < progress(s + 1, plan) for s in range(60))


def _rates(schedule: Schedule, total: int, steps: int) -> list[float]:
    return [
        schedule.rate(step, [(0, total)], peak=1e-3, floor=1e-6, warmup=0) for step in range(steps)
    ]


def test_restarts_are_torch_s_and_the_rate_stays_low_after_the_last_period() -> None:
    ours = _rates(Schedule(shape="cosine-restart", periods=(30, 30)), 60, 70)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 30, eta_min=1e-6)
    for step in range(60):
        assert ours[step] == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()
    assert ours[60:] == [1e-6] * 10
    halved = Schedule(shape="cosine-restart", periods=(30, 30), restart_weights=(1.0, 0.5))
    assert _rates(halved, 60, 31)[30] == pytest.approx(0.5e-3)


def test_multi_step_is_torch_s_and_constant_is_constant() -> None:
    ours = _rates(Schedule(shape="multi-step", milestones=(10, 15), gamma=0.1), 20, 20)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 15], gamma=0.1)
    for rate in ours:
        assert rate == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()
    assert set(_rates(Schedule(shape="constant"), 20, 20)) == {1e-3}


def test_one_cycle_rises_for_three_tenths_and_falls_to_the_floor() -> None:
    rates = _rates(Schedule(shape="one-cycle"), 100, 101)
    assert rates[0] == pytest.approx(1e-3 / 25)
    assert rates[30] == pytest.approx(1e-3) == max(rates)
    assert rates[100] == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shape": "linear"}, "choose cosine, cosine-restart"),
        ({"shape": "cosine-restart"}, "needs --periods"),
        ({"shape": "multi-step"}, "needs --milestones"),
        ({"periods": (10, 10), "restart_weights": (1.0,)}, "1 restart weights for 2 periods"),
        ({"milestones": (20, 10)}, "not in order"),
        ({"milestones": (0, 10)}, "at least 1"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ScheduleError, match=said):
        Schedule(**wrong)
