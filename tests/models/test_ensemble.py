"""Averages of networks: of outputs, of weights, and what the rules say about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.artifact import ArtifactError, save_network
from models.ensemble import load_networks
from models.restorer import restore
from models.rules import audit
from models.size import count
from models.zoo import build

FACTS: dict[str, object] = {"fingerprints": {"data": "ab"}, "held_out_trained_on": [], "init": None}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return two networks of one shape; the second was trained on a validation face."""
    paths = []
    for number, seen in enumerate(([], ["00007"])):
        torch.manual_seed(number)
        paths.append(tmp_path / f"{number}.safetensors")
        save_network(paths[-1], build("espcn"), metadata={**FACTS, "held_out_trained_on": seen})
    return paths


def test_outputs_are_averaged(files: list[Path]) -> None:
    lq = np.random.default_rng(0).integers(110, 140, (12, 18, 3)).astype(np.uint8)
    each = [restore(load_networks([path]).net, lq)[-1].astype(float) for path in files]
    both = restore(load_networks(files).net, lq)
    assert len(both) == 1
    assert np.abs(both[0] - np.mean(each, axis=0)).max() <= 1.0
    assert np.abs(both[0] - each[0]).max() > 2.0


def test_weights_are_averaged(files: list[Path]) -> None:
    mean = load_networks(files, "weights")
    each = [load_networks([path]).net.state_dict() for path in files]
    for name, value in mean.net.state_dict().items():
        torch.testing.assert_close(value, (each[0][name] + each[1][name]) / 2)
    assert count(mean.net).total == 37_200
    assert mean.metadata["model"] == "espcn"


def test_another_shape_or_scale_is_refused(files: list[Path], tmp_path: Path) -> None:
    save_network(tmp_path / "other.safetensors", build("srcnn"))
    with pytest.raises(ArtifactError, match="another architecture"):
        load_networks([*files, tmp_path / "other.safetensors"], "weights")
    save_network(tmp_path / "large.safetensors", build("espcn", 8))
    with pytest.raises(ArtifactError, match="one scale"):
        load_networks([*files, tmp_path / "large.safetensors"])


def test_the_audit_of_an_average_looks_at_every_network(files: list[Path]) -> None:
    mean = load_networks(files, "weights")
    broken = [one.text for one in audit(mean.net, mean.metadata) if not one.kept]
    assert broken == ["average 2: trained on 1 validation faces: 00007"]
