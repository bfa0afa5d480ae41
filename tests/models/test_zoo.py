"""The zoo: exact sizes, the field's parameter names, any scale, a start near the bilinear base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.artifact import load_network, save_network
from models.restorer import restore
from models.size import count
from models.zoo import ZOO, build

SIZES = {
    "msrresnet-16": 1_517_571,
    "msrresnet-20": 1_812_995,
    "msrresnet-24": 2_108_419,
    "edsr-20": 1_812_995,
    "rdb-plain": 2_147_507,
    "rdb-plain-full": 2_271_387,
    "bilinear-resnet": 560_451,
    "unet": 2_131_331,
    "srcnn": 20_099,
    "espcn": 37_200,
}


@pytest.mark.parametrize("name", ZOO)
def test_sizes_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        net = build(name)
    assert count(net).total == SIZES[name]
    # Nothing else is stored: the file's tensors sum to the counted size.
    assert sum(t.numel() for t in net.state_dict().values()) == SIZES[name]
    assert net.name == name


def test_msrresnet_has_the_parameter_names_of_basicsr() -> None:
    with torch.device("meta"):
        names = set(build("msrresnet-16").state_dict())
    stems = {"conv_first", "upconv1", "upconv2", "conv_hr", "conv_last"}
    stems |= {f"body.{i}.{conv}" for i in range(16) for conv in ("conv1", "conv2")}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("weight", "bias")}


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["msrresnet-16", "rdb-plain"])
def test_a_fresh_network_starts_near_the_enlarged_input(name: str, scale: int) -> None:
    torch.manual_seed(0)
    net = build(name, scale)
    lq = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        restored = net(lq)
    assert restored.shape == (2, 3, 16 * scale, 24 * scale)
    base = lq if scale == 1 else F.interpolate(lq, scale_factor=scale, mode="bilinear")
    assert 0 < (restored - base).abs().mean() < 0.2


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ZOO)
def test_any_lq_size_is_restored_at_any_scale(name: str, scale: int) -> None:
    net = build(name, scale)
    lq = np.random.default_rng(0).integers(0, 256, (19, 13, 3)).astype(np.uint8)
    (restored,) = restore(net, lq)
    assert restored.shape == (19 * scale, 13 * scale, 3)


@pytest.mark.parametrize("name", ZOO)
def test_a_file_gives_the_same_network_back(name: str, tmp_path: Path) -> None:
    net = build(name).train()
    lq = torch.rand(2, 3, 16, 16)
    net(lq)  # batch norms take their statistics
    save_network(tmp_path / "net.safetensors", net.eval())
    loaded = load_network(tmp_path / "net.safetensors").net
    with torch.no_grad():
        assert torch.allclose(loaded(lq), net(lq), atol=1e-5)


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = build(name)
    net(torch.rand(2, 3, 16, 16)).square().mean().backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_unknown_names_and_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of msrresnet-16"):
        build("msrresnet-17")
    with pytest.raises(ValueError, match="scale 3"):
        build("rdb-plain", 3)


def test_a_normalised_network_sees_standard_colours_and_is_saved_with_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build("espcn", normalised=True)
    assert count(net).total == SIZES["espcn"] + 6
    plain = build("espcn")
    plain.load_state_dict(net.state_dict(), strict=False)
    mean, deviation = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.1])
    colours = {"input_mean": mean.view(1, 3, 1, 1), "input_deviation": deviation.view(1, 3, 1, 1)}
    net.load_state_dict(colours, strict=False)
    save_network(tmp_path / "net.safetensors", net)
    loaded = load_network(tmp_path / "net.safetensors").net
    lq = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        inside = plain((lq - colours["input_mean"]) / colours["input_deviation"])
        torch.testing.assert_close(
            loaded(lq), inside * colours["input_deviation"] + colours["input_mean"]
        )
