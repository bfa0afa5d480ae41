"""The adversarial part: who is trained by what, and that it resumes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.discriminators import DISCRIMINATORS
from tests.train.conftest import Trial, maker, tiny_net
from train import checkpoint
from train.adversary import (
    GAN_LOSSES,
    Adversary,
    GanOptions,
    discriminator_loss,
    generator_loss,
)
from train.learner import Learner, StepOptions

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_discriminator_learns_to_tell(name: str) -> None:
    torch.manual_seed(0)
    adversary = Adversary(GanOptions(weight=1.0, discriminator=name, lr=2e-3), CPU)
    true = torch.rand(4, 3, 32, 32)
    fake = torch.nn.functional.avg_pool2d(true, 5, 1, 2)
    first = adversary.update(fake, true)
    for _ in range(25):
        last = adversary.update(fake, true)
    assert last < 0.7 * first
    with torch.no_grad():
        assert adversary.net(true).mean() > adversary.net(fake).mean()


@pytest.mark.parametrize("kind", GAN_LOSSES)
def test_losses_fall_where_they_should(kind: str) -> None:
    good, bad = torch.full((2, 1), 3.0), torch.full((2, 1), -3.0)
    assert discriminator_loss(kind, good, bad) < discriminator_loss(kind, bad, good)
    assert generator_loss(kind, bad, good) < generator_loss(kind, good, bad)


def test_the_penalty_flattens_the_discriminator_on_true_images() -> None:
    slopes = []
    for r1 in (0.0, 50.0):
        torch.manual_seed(0)
        adversary = Adversary(GanOptions(weight=1.0, r1=r1, lr=2e-3), CPU)
        true = torch.rand(4, 3, 32, 32)
        for _ in range(15):
            adversary.update(1 - true, true)
        image = true.clone().requires_grad_()
        (slope,) = torch.autograd.grad(adversary.net(image).sum(), image)
        slopes.append(slope.square().flatten(1).sum(1).mean().item())
    assert slopes[1] < 0.5 * slopes[0]


def test_each_side_is_trained_by_its_own_loss_alone() -> None:
    learner = Learner(tiny_net(), StepOptions(gan=GanOptions(weight=0.1, start=2)), CPU)
    assert learner.adversary is not None
    judge = learner.adversary.net
    own = {id(p) for p in judge.parameters()}
    assert not own & {id(p) for p in learner.trained}
    batch = maker(crop=8)(0)
    results = [learner.step(batch, step, 1e-3) for step in range(4)]
    assert [result.adversary is None for result in results] == [True, True, False, False]
    assert all(p.requires_grad for p in judge.parameters())
    plain = Learner(tiny_net(), StepOptions(), CPU)
    plain_results = [plain.step(batch, step, 1e-3) for step in range(3)]
    assert [r.loss for r in results[:2]] == [r.loss for r in plain_results[:2]]
    assert results[2].loss != plain_results[2].loss


def test_a_discriminator_that_blows_up_stops_the_run_before_its_update() -> None:
    learner = Learner(tiny_net(), StepOptions(gan=GanOptions(weight=1e-9)), CPU)
    assert learner.adversary is not None
    before = {k: v.clone() for k, v in learner.adversary.net.named_parameters()}
    with pytest.raises(FloatingPointError, match="discriminator"):
        learner.adversary.update(torch.full((1, 3, 32, 32), torch.nan), torch.rand(1, 3, 32, 32))
    for name, value in learner.adversary.net.named_parameters():
        assert torch.equal(value, before[name])


class _PowerCut(Exception):  # noqa: N818
    pass


def test_an_adversarial_run_resumes_bit_for_bit(trial: Trial) -> None:
    step = StepOptions(seed=3, gan=GanOptions(weight=0.05, ratio=2))
    trial.run("whole", step=step)

    def fail(number: int) -> None:
        if number == 5:
            raise _PowerCut

    trial.before = fail
    with pytest.raises(_PowerCut):
        trial.run("cut", step=step)
    trial.before = lambda number: None
    trial.run("cut", step=step, resume=True)
    states: list[dict[str, Any]] = [
        checkpoint.load_latest(trial.folder(name).checkpoints)[1]["learner"]
        for name in ("whole", "cut")
    ]
    for name, value in states[0]["weights"].items():
        assert torch.equal(value, states[1]["weights"][name])
    for name, value in states[0]["adversary"]["weights"].items():
        assert torch.equal(value, states[1]["adversary"]["weights"][name])
