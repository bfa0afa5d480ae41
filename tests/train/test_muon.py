"""Muon: orthogonal updates, any layout of the weights, exact resume."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from train.muon import ADAM_RMS, Muon, is_matrix, orthogonal
from train.optimizers import OptimizerOptions, build_optimizer

CPU = torch.device("cpu")
MUON = OptimizerOptions(name="muon")


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, padding=1))


def _steps(net: nn.Module, optimizer: object, first: int, last: int) -> float:
    value = 0.0
    for step in range(first, last):
        x = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(step))
        loss = (net(x) - x.flip(1)).square().mean()
        optimizer.zero_grad()  # type: ignore[attr-defined]
        loss.backward()
        for group in optimizer.param_groups:  # type: ignore[attr-defined]
            group["lr"] = 5e-3
        optimizer.step()  # type: ignore[attr-defined]
        value = loss.item()
    return value


def test_singular_values_become_about_one() -> None:
    matrices = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(1))
    matrices[:, 6:] *= 0.05  # directions that gradients rarely show
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_a_step_is_as_large_as_adams() -> None:
    weight = nn.Parameter(torch.randn(16, 8, 3, 3))
    before = weight.detach().clone()
    weight.grad = torch.randn(16, 8, 3, 3)
    optimizer = Muon([weight])
    optimizer.param_groups[0]["lr"] = 1e-2
    optimizer.step()
    moved = (weight - before).square().mean().sqrt().item()
    assert moved == pytest.approx(ADAM_RMS * 1e-2, rel=0.25)


def test_what_is_a_matrix() -> None:
    shapes = {(16, 8, 3, 3): True, (3, 16, 3, 3): False, (16,): False, (8, 8): True, (): False}
    assert {shape: is_matrix(torch.zeros(shape)) for shape in shapes} == shapes


def test_it_learns_and_channels_last_makes_no_difference() -> None:
    nets = [_net(), _net().to(memory_format=torch.channels_last)]  # type: ignore[call-overload]
    losses = []
    for net in nets:
        optimizer = build_optimizer(MUON, list(net.parameters()), CPU)
        first = _steps(net, optimizer, 0, 1)
        losses.append(_steps(net, optimizer, 1, 60))
        assert losses[-1] < 0.7 * first
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_saved_state_goes_on_bit_for_bit() -> None:
    whole, part = _net(), _net()
    optimizer = build_optimizer(MUON, list(whole.parameters()), CPU)
    _steps(whole, optimizer, 0, 12)
    first = build_optimizer(MUON, list(part.parameters()), CPU)
    _steps(part, first, 0, 5)
    second = build_optimizer(MUON, list(part.parameters()), CPU)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    _steps(part, second, 5, 12)
    for a, b in zip(whole.parameters(), part.parameters(), strict=True):
        assert torch.equal(a, b)


def test_parameters_without_a_gradient_stay() -> None:
    net = _net()
    optimizer = build_optimizer(MUON, list(net.parameters()), CPU)
    first, _, last = net
    before = copy.deepcopy(last.state_dict())
    first(torch.randn(1, 8, 6, 6)).mean().backward()
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    optimizer.step()
    assert torch.equal(last.state_dict()["weight"], before["weight"])
