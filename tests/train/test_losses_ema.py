"""Losses and the weight average against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from train.ema import WeightAverage
from train.losses import LOSSES


@pytest.mark.parametrize(
    ("name", "expected"),
    [("l1", 0.2), ("mse", 0.08), ("charbonnier", (0.001 + np.hypot(0.4, 0.001)) / 2)],
)
def test_losses(name: str, expected: float) -> None:
    hq = torch.tensor([0.5, 0.5])
    restored = torch.tensor([0.5, 0.9])
    assert LOSSES[name](restored, hq).item() == pytest.approx(expected, rel=1e-5)


def test_charbonnier_has_a_finite_gradient_at_zero() -> None:
    restored = torch.zeros(3, requires_grad=True)
    LOSSES["charbonnier"](restored, torch.zeros(3)).backward()
    assert torch.equal(restored.grad, torch.zeros(3))  # type: ignore[arg-type]


def test_the_average_follows_its_formula_and_frozen_weights_are_copied() -> None:
    trained, frozen = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    net = nn.Sequential(trained, frozen)
    frozen.requires_grad_(False)
    trained.weight.data.fill_(0.0)
    average = WeightAverage(net, decay=0.9)
    expected = 0.0
    for t in range(1, 201):
        trained.weight.data.fill_(float(t))
        frozen.weight.data.fill_(float(-t))
        average.update(net)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * t
    assert average.average["0.weight"].item() == pytest.approx(expected, rel=1e-4)
    assert average.average["1.weight"].item() == -200.0


def test_applied_swaps_and_gives_back() -> None:
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(1.0)
    average = WeightAverage(net, decay=0.5)
    net.weight.data.fill_(2.0)
    seen = []

    def fail() -> None:
        with average.applied(net):
            seen.append(net.weight.item())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [1.0]
    assert net.weight.item() == 2.0
    with pytest.raises(ValueError, match=r"other tensors: weight, x"):
        average.load(1, {"x": torch.zeros(1)})
