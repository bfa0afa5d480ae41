"""The loop: exact resume, best weights, stops, wall time."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from models.artifact import load_network
from tests.train.conftest import Trial, maker, tiny_net
from train import checkpoint, leavings, loop, pace
from train.interrupt import Interrupted
from train.learner import Learner, StepOptions, TrainingError
from train.losses import LOSSES
from train.optimizers import OptimizerOptions
from train.run_folder import RunFolder
from train.validate import Scores


def _final(trial: Trial, name: str) -> dict[str, Any]:
    return checkpoint.load_latest(trial.folder(name).checkpoints)[1]


def _same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


class _PowerCut(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    ("priors", "cut", "optimizer"),
    [((), 5, "adam"), (("parse", "dict"), 7, "adam"), (("heat",), 4, "muon"), ((), 7, "sgd")],
)
def test_a_run_that_was_cut_off_ends_bit_for_bit_like_one_that_was_not(
    trial: Trial, priors: tuple[str, ...], cut: int, optimizer: str
) -> None:
    step = StepOptions(seed=3, optimizer=OptimizerOptions(name=optimizer))
    trial.run("whole", priors=priors, first_pass_share=0.5, step=step)

    def fail(number: int) -> None:
        if number == cut:
            raise _PowerCut

    trial.before = fail
    with pytest.raises(_PowerCut):
        trial.run("cut", priors=priors, first_pass_share=0.5, step=step)
    asked: list[int] = []
    trial.before = asked.append
    trial.run("cut", priors=priors, first_pass_share=0.5, step=step, resume=True)
    assert asked[0] == cut // 3 * 3, "it goes on from the last checkpoint, not from the start"
    assert _same(_final(trial, "whole"), _final(trial, "cut"))
    logs = [
        [{k: v for k, v in row.items() if k not in ("seconds", "waited")} for row in folder.rows()]
        for folder in (trial.folder("whole"), trial.folder("cut"))
    ]
    assert logs[0] == logs[1]


def test_a_signal_finishes_the_step_saves_and_names_its_exit_status(trial: Trial) -> None:
    trial.run("whole")
    trial.before = lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 4 else None
    with pytest.raises(Interrupted) as caught:
        trial.run("stopped")
    assert caught.value.code == 143
    assert checkpoint.load_latest(trial.folder("stopped").checkpoints)[0] == 5
    trial.before = lambda step: None
    trial.run("stopped", resume=True)
    assert _same(_final(trial, "whole"), _final(trial, "stopped"))


def test_steps_lower_the_loss_of_every_pass_and_the_student_stays_as_it_was() -> None:
    net = tiny_net(("heat",))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    learner = Learner(net, StepOptions(seed=3), torch.device("cpu"))
    batch = maker(crop=8)(0)
    results = [learner.step(batch, step, 3e-3) for step in range(25)]
    for first, last in zip(results[0].passes, results[-1].passes, strict=True):
        assert last < 0.95 * first
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("student."), name


def test_the_best_weights_are_kept_and_are_the_average(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([20.0, 30.0, 25.0])

    def scored(net: object, validation: object, indices: list[int], **_: object) -> Scores:
        value = next(values)
        return Scores(tuple(indices), ((value,) * len(indices),), ((0.5,) * len(indices),))

    averages = []
    write = leavings.write_best

    def watched(folder: RunFolder, learner: Learner, metadata: Mapping[str, object]) -> None:
        averages.append({k: v.clone() for k, v in learner.average.average.items()})
        write(folder, learner, metadata)

    monkeypatch.setattr(loop, "validate", scored)
    monkeypatch.setattr(leavings, "write_best", watched)
    outcome = trial.run("run", steps=12)
    assert (outcome.best_step, outcome.best_psnr) == (8, 30.0)
    kept = load_network(trial.folder("run").best)
    assert kept.metadata["training"]["step"] == 8
    assert _same(dict(kept.net.state_dict()), averages[-1])
    both = torch.load(trial.folder("run").best_pth, weights_only=True)
    assert _same(both["params_ema"], averages[-1])
    assert not _same(both["params"], both["params_ema"])
    last = load_network(trial.folder("run").last)
    assert last.metadata["training"]["step"] == 12


def test_the_last_step_is_validated_on_every_pair(trial: Trial) -> None:
    outcome = trial.run("run")
    kinds = {(row["kind"], row["step"]): row for row in trial.folder("run").rows()}
    assert kinds["validate", 4]["images"] == 1
    assert kinds["final", 8]["images"] == 3
    assert kinds["final", 8]["psnr"] == outcome.scores.mean_psnr()
    assert len(list(trial.folder("run").pictures.iterdir())) == 2


def test_a_loss_that_is_not_finite_stops_before_the_update(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def sick(restored: Tensor, hq: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return (restored - hq).abs().mean() * (float("nan") if calls == 7 else 1.0)

    monkeypatch.setitem(LOSSES, "l1", sick)
    with pytest.raises(TrainingError, match=r"step 6: the loss is nan \(faces smooth-"):
        trial.run("run")
    step, state = checkpoint.load_latest(trial.folder("run").checkpoints)
    assert step == 6
    assert all(torch.isfinite(v).all() for v in state["learner"]["weights"].values())


class _Clock:
    """A clock on which every step takes `each` seconds and nothing else takes any."""

    def __init__(self, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.each, self.slow_from = 100.0, 0.5, 10**9
        trial.before = self._tick
        monkeypatch.setattr(loop, "time", self)
        monkeypatch.setattr(pace, "time", self)

    def monotonic(self) -> float:
        return self.now

    def _tick(self, step: int) -> None:
        self.now += self.each if step < self.slow_from else 3 * self.each


def test_wall_time_fixes_a_step_count_that_a_steps_run_repeats_exactly(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(trial, monkeypatch)
    outcome = trial.run("timed", steps=None, seconds=40.0, begun=100.0)
    assert 100.0 + 40.0 * 0.75 < clock.now <= 100.0 + 40.0 - 6.0, "6 s are spared"
    plans = [row["steps"] for row in trial.folder("timed").rows() if row["kind"] == "plan"]
    assert plans == [outcome.steps]
    trial.run("counted", steps=outcome.steps)
    assert _same(_final(trial, "timed"), _final(trial, "counted"))


def test_a_machine_that_slows_down_gets_fewer_steps(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PACE_EVERY", 5)
    clock = _Clock(trial, monkeypatch)
    clock.slow_from = 20
    outcome = trial.run("slow", steps=None, seconds=60.0, begun=100.0, validate_every=1000)
    assert clock.now <= 100.0 + 60.0
    plan = _final(trial, "slow")["progress"]["plan"]
    assert 20 < plan[-1][1] == outcome.steps < plan[0][1]


def test_pass_weights_choose_what_is_trained(trial: Trial) -> None:
    only_first = StepOptions(seed=3, pass_weights=(1.0, 0.0))
    trial.run("first", priors=("heat",), step=only_first, steps=2)
    before = tiny_net(("heat",)).state_dict()
    after = _final(trial, "first")["learner"]["weights"]
    assert torch.equal(after["feedback.weight"], before["feedback.weight"]), "pass 2 only"
    assert not torch.equal(after["intake.weight"], before["intake.weight"])
    wrong = dataclasses.replace(only_first, pass_weights=(1.0,))
    with pytest.raises(TrainingError, match="1 pass weights for a network of 2 passes"):
        trial.run("wrong", priors=("heat",), step=wrong)


def test_the_second_pass_is_trained_after_its_share_of_the_steps(trial: Trial) -> None:
    counts = []
    for share, steps in ((0.5, 8), (0.9, 10)):
        trial.run(f"{share}", priors=("heat",), first_pass_share=share, steps=steps)
        state = _final(trial, f"{share}")["learner"]["optimizer"]["state"]
        counts.append(sorted({int(moments["step"]) for moments in state.values()}))
    assert counts == [[4, 8], [1, 10]], "updates of what only the second pass has, and of the rest"
