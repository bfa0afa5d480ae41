"""The zoo: exact sizes, the field's parameter names, any scale, a start near the bilinear base."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models.size import count
from models.zoo import ZOO, build

SIZES = {"msrresnet-16": 1_517_571, "msrresnet-24": 2_108_419, "rdb-plain": 2_147_507}


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


def test_every_parameter_gets_a_gradient() -> None:
    net = build("rdb-plain")
    net(torch.rand(1, 3, 8, 8)).square().mean().backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_unknown_names_and_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of msrresnet-16"):
        build("msrresnet-17")
    with pytest.raises(ValueError, match="scale 3"):
        build("rdb-plain", 3)
