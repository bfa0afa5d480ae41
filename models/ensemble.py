"""Several trained networks used as one: their outputs averaged, or their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.artifact import ArtifactError, Loaded, describe, load_network

AVERAGES = ("outputs", "weights")


class Ensemble(nn.Module):
    """Networks of one scale; `models.restorer.restore` averages the last pass of each."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        """Raises `ValueError` for no network or several scales."""
        super().__init__()
        scales = {int(net.scale) for net in members}  # type: ignore[arg-type]
        if len(scales) != 1:
            raise ValueError(f"networks of one scale can be averaged, not of {sorted(scales)}")
        self.members = nn.ModuleList(members)
        self.scale = scales.pop()
        self.lq_multiple = math.lcm(*(int(net.lq_multiple) for net in members))  # type: ignore[arg-type]

    def forward(self, lq: Tensor) -> Tensor:
        """Refused: whole faces and tiles are the restorer's to tell apart."""
        raise RuntimeError("use models.restorer.restore")


def load_networks(
    paths: Sequence[Path], average: str = "outputs", device: torch.device | str = "cpu"
) -> Loaded:
    """One network of a file, or the average of those of several files.

    average: `outputs` keeps every network and needs as many times the parameters; `weights`
    gives one network and needs networks of one shape, as the snapshots of one run are. The
    metadata of an average lists those of its files under `averaged`.
    Raises `ArtifactError`.
    """
    loaded = [load_network(path, device) for path in paths]
    if len(loaded) == 1:
        return loaded[0]
    first = loaded[0].metadata
    metadata: dict[str, Any] = {
        "averaged": [one.metadata for one in loaded],
        "config": first.get("config", {}),
    }
    nets = [one.net for one in loaded]
    if average == "outputs":
        try:
            return Loaded(Ensemble(nets).eval(), metadata)
        except ValueError as error:
            raise ArtifactError(str(error)) from error
    return Loaded(_mean_of(nets, paths), {**metadata, **describe(nets[0])})


@torch.no_grad()
def _mean_of(nets: Sequence[nn.Module], paths: Sequence[Path]) -> nn.Module:
    """The first network with the mean of all weights."""
    about = describe(nets[0])
    states = [net.state_dict() for net in nets]
    for path, net in zip(paths[1:], nets[1:], strict=True):
        if describe(net) != about:
            raise ArtifactError(
                f"{path}: another architecture than {paths[0]}, so the weights cannot be averaged; "
                "--average outputs takes any networks"
            )
    mean = {name: torch.stack([one[name] for one in states]).mean(0) for name in states[0]}
    nets[0].load_state_dict(mean)
    return nets[0].eval()
