"""Learning rates."""

from __future__ import annotations

import pytest
import torch

from train.schedules import cosine, progress


def test_the_cosine_is_torch_s() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=4e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-7)
    for step in range(50):
        ours = cosine(step, [(0, 50)], peak=4e-4, floor=1e-7, warmup=0)
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_warm_up_climbs_linearly_from_the_first_step() -> None:
    rates = [cosine(s, [(0, 10_000)], peak=1.0, floor=0.0, warmup=4) for s in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0], abs=1e-5)


def test_a_shorter_plan_neither_jumps_nor_misses_the_end() -> None:
    plan = [(0, 100), (40, 60)]
    assert [progress(s, [(0, 100)]) for s in (0, 25, 100)] == [0.0, 0.25, 1.0]
    assert progress(40, plan) == pytest.approx(0.4)
    assert progress(41, plan) == pytest.approx(0.4 + 0.6 / 20)
    assert progress(60, plan) == pytest.approx(1.0)
    assert all(progress(s, plan) < progress(s + 1, plan) for s in range(60))
