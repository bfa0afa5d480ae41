"""A step: prior maps of crops, what is refused."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.network import FaceSR
from models.restorer import passes_of
from models.space import FrameSpace
from models.zoo import ZOO, build
from tests.train.conftest import maker, tiny_net
from train.learner import (
    STUDENTS,
    Learner,
    StepOptions,
    TrainingError,
    crop_maps,
    face_maps,
    pass_weights,
)
from train.optimizers import OptimizerOptions

CPU = torch.device("cpu")


def test_maps_are_cropped_where_the_image_is() -> None:
    batch = maker(crop=8)(0)
    maps = crop_maps({"image": batch.face}, batch)
    assert torch.equal(maps["image"], batch.lq)
    assert len(set(zip(batch.top.tolist(), batch.left.tolist(), strict=True))) > 1


def test_a_whole_face_gets_the_maps_that_the_network_gives_itself() -> None:
    net = tiny_net(("parse", "heat")).eval()
    batch = maker()(0)
    with torch.no_grad():
        ours = passes_of(net, batch.lq, face_maps(net, batch))
        own = passes_of(net, batch.lq)
    assert len(ours) == 2
    for a, b in zip(ours, own, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_one_pass_with_priors_has_no_first_pass_to_train_alone() -> None:
    batch, losses = maker(crop=8)(0), []
    for first_only in (False, True):
        space = tiny_net(("parse",)).space
        torch.manual_seed(0)
        net = FaceSR(replace(space, frame=FrameSpace(sr=("none",), passes=("1",))))
        torch.nn.init.ones_(net.get_parameter("direct.from_fusion.convs.0.weight"))
        result = Learner(net, StepOptions(), CPU).step(batch, 0, 1e-3, first_only=first_only)
        losses.append((result.loss, result.norm))
    assert losses[0] == losses[1]


def test_networks_without_priors_get_no_maps() -> None:
    batch = maker()(0)
    assert face_maps(build("msrresnet-16"), batch) is None
    assert face_maps(tiny_net(), batch) == {}


def test_a_gradient_that_is_not_finite_stops_before_the_update() -> None:
    net = tiny_net()
    learner = Learner(net, StepOptions(), torch.device("cpu"))
    before = {k: v.clone() for k, v in net.state_dict().items()}

    def spoil(gradient: Tensor) -> Tensor:
        return gradient * float("inf")

    net.intake.weight.register_hook(spoil)
    with pytest.raises(TrainingError, match=r"step 5: the gradient is (nan|inf)"):
        learner.step(maker()(0), 5, 1e-3)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not learner.optimizer.state_dict()["state"]


def test_the_gradient_is_clipped() -> None:
    moved = []
    for clip in (0.0, 1e-3):
        net = tiny_net()
        learner = Learner(net, StepOptions(clip=clip), torch.device("cpu"))
        result = learner.step(maker()(0), 0, 0.0)
        squares = [p.grad.square().sum() for p in learner.trained if p.grad is not None]
        moved.append(torch.stack(squares).sum().sqrt().item())
        assert result.norm > 1e-3
    assert moved[0] > 1e-3
    assert moved[1] == pytest.approx(1e-3, rel=1e-3)


def test_bf16_changes_the_arithmetic_only() -> None:
    losses = []
    for bf16 in (False, True):
        options = dataclasses.replace(StepOptions(), bf16=bf16)
        learner = Learner(tiny_net(("heat",)), options, torch.device("cpu"))
        losses.append(learner.step(maker()(0), 0, 1e-3).loss)
        assert all(p.dtype == torch.float32 for p in learner.net.parameters())
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_pass_weights_sum_to_one() -> None:
    assert pass_weights(None, 2) == [0.5, 0.5]
    assert pass_weights((1.0, 3.0), 2) == [0.25, 0.75]
    with pytest.raises(TrainingError, match="none below 0"):
        pass_weights((0.0, 0.0), 2)


@pytest.mark.parametrize("name", [*ZOO, None])
def test_dropout_comes_before_the_last_convolution_and_only_while_training(
    name: str | None,
) -> None:
    net = tiny_net() if name is None else build(name)
    plain = copy.deepcopy(net).eval()
    Learner(net, StepOptions(dropout=0.5), torch.device("cpu"))
    lq = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        before, after = passes_of(plain, lq)[0], passes_of(net.eval(), lq)[0]
        assert torch.allclose(before, after, atol=1e-6)
        dropped = [passes_of(net.train(), lq)[0] for _ in range(2)]
    assert not torch.equal(*dropped)


def test_sgd_with_weight_decay_is_torch_s() -> None:
    options = StepOptions(optimizer=OptimizerOptions(name="sgd", weight_decay=1e-3))
    learner = Learner(tiny_net(), options, torch.device("cpu"))
    (group,) = learner.optimizer.param_groups
    assert (group["momentum"], group["weight_decay"]) == (0.9, 1e-3)
    batch = maker()(0)
    first = learner.step(batch, 0, 1e-2).loss
    for step in range(1, 15):
        last = learner.step(batch, step, 1e-2).loss
    assert last < first


def test_muon_takes_the_matrices_and_leaves_the_rest_to_adam() -> None:
    net = build("msrresnet-16")
    learner = Learner(net, StepOptions(optimizer=OptimizerOptions(name="muon")), CPU)
    sizes = {
        name: sum(p.numel() for group in part.param_groups for p in group["params"])
        for name, part in learner.optimizer.parts.items()  # type: ignore[union-attr]
    }
    assert sum(sizes.values()) == 1_517_571
    last, biases = 3 * 64 * 9, sum(p.numel() for p in net.parameters() if p.ndim == 1)
    assert sizes["adam"] == last + biases


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_the_student_stays_or_goes_on_at_its_own_rate(optimizer: str) -> None:
    moved: dict[str, float] = {}
    for how in STUDENTS:
        net = tiny_net(("parse", "heat", "dict"))
        # a fresh feedback passes no gradient on to the second pass
        torch.nn.init.constant_(net.get_parameter("feedback.weight"), 0.01)
        options = StepOptions(student=how, optimizer=OptimizerOptions(name=optimizer))
        learner = Learner(net, options, CPU)
        assert net.student is not None
        before = [value.detach().clone() for value in net.student.parameters()]
        learner.step(maker(crop=8)(0), 0, 1e-3)
        pairs = zip(net.student.parameters(), before, strict=True)
        moved[how] = sum(float((a - b).detach().abs().sum()) for a, b in pairs)
    assert moved["frozen"] == 0
    assert moved["slow"] > 0
    assert moved["free"] == pytest.approx(10 * moved["slow"], rel=0.05)
