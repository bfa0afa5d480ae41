"""Losses and the weight average against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evaluation import metrics
from train.ema import WeightAverage
from train.losses import LOSSES, LossError, parse_terms, weighted


@pytest.mark.parametrize(
    ("name", "expected"),
    [("l1", 0.2), ("mse", 0.08), ("charbonnier", (0.001 + np.hypot(0.4, 0.001)) / 2)],
)
def test_losses(name: str, expected: float) -> None:
    hq = torch.tensor([0.5, 0.5])
    restored = torch.tensor([0.5, 0.9])
    assert LOSSES[name](restored, hq).item() == pytest.approx(expected, rel=1e-5)


def test_the_ssim_loss_is_the_scorers() -> None:
    hq, restored = (
        np.random.default_rng(seed).integers(0, 256, (2, 40, 37, 3)).astype(np.uint8)
        for seed in (0, 1)
    )
    restored = (0.7 * hq + 0.3 * restored).astype(np.uint8)
    ours = 1.0 - LOSSES["ssim"](_planes(restored), _planes(hq)).item()
    theirs = np.mean([metrics.ssim(a, b) for a, b in zip(restored, hq, strict=True)])
    assert ours == pytest.approx(theirs, abs=1e-9)
    with pytest.raises(LossError, match="at least 11 px"):
        LOSSES["ssim"](torch.rand(1, 3, 8, 20), torch.rand(1, 3, 8, 20))


def _planes(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255


def test_the_gradient_loss_ignores_brightness_and_sees_edges() -> None:
    flat = torch.full((1, 3, 4, 5), 0.25)
    edge = flat.clone()
    edge[..., 3:] += 0.5
    assert LOSSES["gradient"](flat + 0.1, flat).item() == pytest.approx(0.0, abs=1e-7)
    assert LOSSES["gradient"](edge, flat).item() == pytest.approx(0.5 / 4)


def test_a_sum_of_losses_is_their_weighted_sum() -> None:
    restored, hq = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    expected = LOSSES["l1"](restored, hq) + 0.25 * LOSSES["ssim"](restored, hq)
    assert weighted(("l1", "ssim=0.25"))(restored, hq).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (("l3",), "no loss is called 'l3'; choose l1, mse"),
        (("l1", "l1=2"), "l1 is named twice"),
        (("l1=much",), "'much' is no number; write l1=1"),
        (("l1=0",), "above 0"),
        (("l1=inf",), "above 0"),
        ((), "at least one"),
    ],
)
def test_sums_that_mean_nothing_are_refused(terms: tuple[str, ...], said: str) -> None:
    with pytest.raises(LossError, match=said):
        parse_terms(terms)


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
