"""Weights pass to and from the field's other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.artifact import ArtifactError, load_network
from models.foreign import mmediting_names, own_names
from models.zoo import build

State = dict[str, Tensor]


def _basicsr(state: State) -> dict[str, object]:
    return {"params": {k: torch.zeros_like(v) for k, v in state.items()}, "params_ema": state}


def _mmediting(state: State) -> dict[str, object]:
    other = {"discriminator.conv.weight": torch.zeros(3), "step_counter": torch.zeros(1)}
    return {"meta": {"epoch": 3}, "state_dict": {**mmediting_names(state), **other}}


def _compiled_parallel(state: State) -> dict[str, object]:
    return {"params": {f"module._orig_mod.{k}": v for k, v in state.items()}}


@pytest.mark.parametrize("write", [_basicsr, _mmediting, _compiled_parallel, dict])
@pytest.mark.parametrize("name", ["msrresnet-16", "msrresnet-20"])
def test_other_tools_files_give_the_same_output(
    name: str, write: Callable[[State], object], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    net = build(name)
    torch.save(write(dict(net.state_dict())), tmp_path / "net.pth")
    loaded = load_network(tmp_path / "net.pth")
    assert loaded.metadata == {"kind": "zoo", "model": name, "scale": 4}
    lq = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        assert (loaded.net(lq) - net(lq)).abs().max() < 1e-6


def test_mmeditings_names() -> None:
    names = set(mmediting_names(dict(build("msrresnet-16").state_dict())))
    stems = {"conv_first", "conv_hr", "conv_last"}
    stems |= {f"upsample{i}.upsample_conv" for i in (1, 2)}
    stems |= {f"trunk_net.{i}.{conv}" for i in range(16) for conv in ("conv1", "conv2")}
    assert names == {f"generator.{stem}.{kind}" for stem in stems for kind in ("weight", "bias")}


def test_names_that_are_ours_already_stay() -> None:
    state = dict(build("edsr-20").state_dict())
    assert list(own_names(state)) == list(state)


def test_a_state_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": "b"}}, tmp_path / "net.pth")
    with pytest.raises(ArtifactError, match="no state dict under params_ema, params, state_dict"):
        load_network(tmp_path / "net.pth")
