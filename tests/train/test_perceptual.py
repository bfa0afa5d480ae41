"""Features of our own networks, and the rules about others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.artifact import save_network
from models.zoo import build
from train import perceptual
from train.config import BaselineConfig
from train.flags import ConfigError
from train.losses import LossError, weighted
from train.perceptual import Perceptual, perceptual_loss


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "best.safetensors"
    torch.manual_seed(0)
    save_network(path, build("msrresnet-16"), metadata={"fingerprints": {"data": "ab"}})
    return path


def test_it_is_zero_for_equal_pictures_and_reaches_the_restored_one(own: Path) -> None:
    loss, origin = perceptual_loss(str(own), allow_noncompliant=False)
    hq = torch.rand(1, 3, 24, 24)
    restored = hq.clone().requires_grad_()
    assert loss(hq, hq).item() == 0.0
    worse = [loss(hq + noise * torch.randn_like(hq), hq).item() for noise in (0.02, 0.2)]
    assert 0 < worse[0] < worse[1]
    loss(restored * 0.9, hq).backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in loss.parameters())
    assert origin["metadata"]["fingerprints"] == {"data": "ab"}


def test_it_is_a_term_of_a_sum(own: Path) -> None:
    loss, _ = perceptual_loss(str(own), allow_noncompliant=False)
    hq, restored = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24)
    total = weighted(("l1", "perceptual=0.5"), loss)(restored, hq).item()
    assert total == pytest.approx(
        (restored - hq).abs().mean().item() + 0.5 * loss(restored, hq).item(), rel=1e-5
    )
    with pytest.raises(LossError, match="needs its features"):
        weighted(("perceptual",))


def test_outside_weights_must_be_allowed_and_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LossError, match="outside the challenge's rules"):
        perceptual_loss("vgg16", allow_noncompliant=False)
    monkeypatch.setattr(perceptual, "_vgg", lambda: nn.Conv2d(3, 4, 3))
    loss, origin = perceptual_loss("vgg16", allow_noncompliant=True)
    assert isinstance(loss, Perceptual)
    assert "ImageNet" in origin["noncompliant"]


@pytest.mark.parametrize("name", ["srcnn", "rdb-plain"])
def test_networks_without_such_features_are_refused(name: str, tmp_path: Path) -> None:
    save_network(tmp_path / "net.safetensors", build(name))
    with pytest.raises(LossError, match=r"net\.safetensors"):
        perceptual_loss(str(tmp_path / "net.safetensors"), allow_noncompliant=False)


def test_the_flags_belong_together() -> None:
    with pytest.raises(ConfigError, match="belong together"):
        BaselineConfig(loss=("perceptual",))
    with pytest.raises(ConfigError, match="belong together"):
        BaselineConfig(perceptual_net="vgg16")
