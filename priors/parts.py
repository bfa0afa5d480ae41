"""Part network: a small U-Net that says where the atlas' classes are in an HQ face.

Built from random numbers and the faces alone (priors/part_training.py). Its weights are stored as
one vector beside the atlas that anchors it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from models.atlas import FEATURES, features_of

SIDE = 128
"""Side at which the network sees faces."""
WIDTHS = (24, 40, 64, 96)
"""Channels at SIDE, SIDE/2, SIDE/4, SIDE/8."""
NORM_GROUPS = 8
CHUNK = 16


class Block(nn.Sequential):
    """Two 3x3 convolutions, each normalised over groups: (B, cin, h, w) -> (B, cout, h, w)."""

    def __init__(self, cin: int, cout: int) -> None:
        layers: list[nn.Module] = []
        for entering in (cin, cout):
            conv = nn.Conv2d(entering, cout, 3, padding=1, bias=False)
            layers += [conv, nn.GroupNorm(NORM_GROUPS, cout), nn.SiLU()]
        super().__init__(*layers)


class PartNetwork(nn.Module):
    """Class scores (B, K, SIDE, SIDE) of RGB faces (B, 3, SIDE, SIDE) in [0, 1]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.enter = Block(3 + FEATURES + 2, WIDTHS[0])
        pairs = list(pairwise(WIDTHS))
        self.downs = nn.ModuleList(Block(fine, coarse) for fine, coarse in pairs)
        self.ups = nn.ModuleList(Block(coarse + fine, fine) for fine, coarse in reversed(pairs))
        self.score = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, face: Tensor) -> Tensor:
        line = torch.linspace(-1, 1, face.shape[-1], device=face.device)
        place = torch.stack(torch.meshgrid(line.abs(), line, indexing="xy"))
        with torch.autocast(face.device.type, enabled=False):
            colours = 3 * features_of(face)
        x = torch.cat([face - 0.5, colours, place.expand(len(face), -1, -1, -1)], 1)
        levels = [self.enter(x)]
        for down in self.downs:
            levels.append(down(functional.avg_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up in self.ups:
            larger = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([larger, levels.pop()], 1))
        return torch.as_tensor(self.score(x))


def to_vector(network: PartNetwork) -> np.ndarray:
    """All weights as one vector (P,) float32."""
    return parameters_to_vector(network.parameters()).detach().float().cpu().numpy()


def from_vector(weights: np.ndarray, classes: int) -> PartNetwork:
    """The network of these weights, on the CPU. Raises ValueError if their number is another."""
    with torch.random.fork_rng(devices=[]):
        network = PartNetwork(classes)
    wanted = sum(p.numel() for p in network.parameters())
    if wanted != weights.size:
        raise ValueError(f"{weights.size} weights of a part network that has {wanted}")
    vector_to_parameters(torch.from_numpy(weights.copy()), network.parameters())
    return network.eval()


@torch.no_grad()
def part_maps(network: PartNetwork, faces: Tensor, size: int) -> Tensor:
    """Class probabilities (N, K, size, size) of faces (N, 3, SIDE, SIDE) uint8.

    Mean of the face's and of its mirror image's mirrored, so that a mirrored face has exactly the
    mirrored maps.
    """
    parts = []
    for some in faces.split(CHUNK):
        face = some.float() / 255
        both = network(torch.cat([face, face.flip(-1)])).float().softmax(1)
        own, mirrored = both.chunk(2)
        maps = (own + mirrored.flip(-1)) / 2
        if size < SIDE:
            maps = functional.interpolate(maps, (size, size), mode="area")
        elif size > SIDE:
            maps = functional.interpolate(maps, (size, size), mode="bilinear")
        parts.append(maps)
    return torch.cat(parts)
