"""Parse teacher, tiers quick and cpu: a symmetric probabilistic atlas fitted to faces by EM.

As in atlas segmentation of brain images: the atlas says where each class tends to be (`chance`)
and what colour it tends to have relative to the cheek; each face then gets its own colours by
MAP-EM. Nothing is labelled: EM starts from a sketch of an aligned face (priors/sketch.py) and the
faces move the regions' borders and colours. All maps here are square and mirror-symmetric in the
atlas, so a mirrored face has the mirrored parse with the same class order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.atlas import (
    GRID,
    GROUPS,
    VARIANCE_FLOOR,
    blur,
    explain,
    features_of,
    in_common,
    placed,
    posterior,
    smooth_moments,
)
from priors.parts import SIDE, PartNetwork, from_vector, part_maps
from priors.sketch import NAMES, first_chance, shares, within_reach

CLASSES = len(NAMES)
QUICK_ROUNDS = ((GRID, 8),)
"""(side, rounds of EM over all faces) of the quick tier."""
FINE_ROUNDS = ((GRID, 6), (2 * GRID, 2))
"""The same of the cpu tier: coarse to fine."""
ATLAS_BLUR, ATLAS_FLOOR = 1.0, 1e-3
"""Blur of the atlas between rounds, in pixels at GRID, and what is added everywhere."""
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class ParseAtlas:
    """Where classes are and how they look: all that the parse teacher has learned."""

    chance: np.ndarray
    """(K, S, S) prior probability of each class at each position, sums to 1."""
    mean: np.ndarray
    """(K, D) mean features relative to the cheek."""
    variance: np.ndarray
    """(K, D) their variance within a face."""
    network: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    """(P,) weights of a part network that answers in the atlas' place; none: the atlas answers."""

    def maps(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Class probabilities (N, K, size, size) float32 of HQ faces (N, S, S, 3) uint8 RGB."""
        if self.network.size:
            return part_maps(self.parts, small_faces(faces, SIDE), size).numpy()
        parts = [self._posterior(faces[i : i + CHUNK], size) for i in range(0, len(faces), CHUNK)]
        return np.concatenate(parts)

    def _posterior(self, faces: np.ndarray, size: int) -> np.ndarray:
        chance, mean, variance = self.tensors()
        side = chance.shape[-1]
        found = explain(colour_features(faces, side), chance, mean, variance)
        if size == side:
            return found.posterior.numpy()
        chance = placed(at_size(chance, size), found.pose)
        moments = smooth_moments(colour_features(faces, size))
        return posterior(moments, chance, found.mean, found.variance).numpy()

    @cached_property
    def parts(self) -> PartNetwork:
        """The part network of `network`."""
        return from_vector(self.network, len(self.chance))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """`chance`, `mean` and `variance` as tensors."""
        chance, mean, variance = map(torch.from_numpy, (self.chance, self.mean, self.variance))
        return chance, mean, variance


def at_size(chance: Tensor, size: int) -> Tensor:
    """An atlas (K, S, S) at another side, summing to 1 still."""
    method = "area" if size < chance.shape[-1] else "bilinear"
    return functional.interpolate(chance[None], (size, size), mode=method)[0]


def small_faces(faces: np.ndarray, size: int) -> Tensor:
    """Faces (N, S, S, 3) uint8 RGB at another side by area averaging, (N, 3, size, size) uint8."""
    small = [cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA) for face in faces]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous()


def colour_features(faces: np.ndarray, size: int) -> Tensor:
    """`models.atlas.features_of` of faces (N, S, S, 3) uint8 RGB: (N, D, size, size)."""
    return features_of(small_faces(faces, size).float() / 255)


@torch.no_grad()
def fit_atlas(
    faces: np.ndarray,
    plan: tuple[tuple[int, int], ...] = QUICK_ROUNDS,
    device: torch.device | str = "cpu",
) -> ParseAtlas:
    """Atlas learned from HQ faces.

    Args:
        faces: (N, S, S, 3) uint8 RGB, aligned.
        plan: sides and rounds of EM at each, from coarse to fine; the last is the atlas' side.
    """
    atlas: tuple[Tensor, ...] = ()
    for side, rounds in plan:
        small = small_faces(faces, side).to(device)
        if atlas:
            chance, mean, variance = at_size(atlas[0], side), *atlas[1:]
        else:
            chance = first_chance(side).to(device)
            mean, variance = first_colours(small, chance)
        reach, share = within_reach(side).to(device), shares(side).to(device)
        for _ in range(rounds):
            total, mean, variance = one_round(small, chance, mean, variance)
            average = (total + total.flip(-1)) / (2 * len(small))
            average = (blur(average, ATLAS_BLUR * side / GRID) + ATLAS_FLOOR) * reach
            average = in_common(average[None], GROUPS)[0] * share
            chance = average / average.sum(0)
        atlas = chance, mean, variance
    learned = [part.cpu().numpy() for part in atlas]
    return ParseAtlas(chance=learned[0], mean=learned[1], variance=learned[2])


def one_round(
    small: Tensor, chance: Tensor, mean: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Every face explained: sum of posteriors (K, S, S), mean colour and variance (K, D)."""
    total = torch.zeros_like(chance)
    colours, spreads = torch.zeros_like(mean), torch.zeros_like(variance)
    for part in small.split(CHUNK):
        found = explain(features_of(part.float() / 255), chance, mean, variance)
        total += found.posterior.sum(0)
        colours += found.mean.sum(0)
        spreads += found.variance.sum(0)
    return total, colours / len(small), spreads / len(small)


def first_colours(small: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and within-face variance (K, D) of each group if every face (N, 3, S, S) uint8 were
    the template."""
    share = in_common(chance.flatten(1)[None], GROUPS)[0]
    share = share / share.sum(1, keepdim=True)
    means, within = [], []
    for part in small.split(CHUNK):
        features = features_of(part.float() / 255).flatten(2)
        first, second = features @ share.T, (features**2) @ share.T  # (N, D, K)
        means.append(first)
        within.append(second - first**2)
    mean, variance = (torch.cat(values).mean(0).T.contiguous() for values in (means, within))
    return mean, variance.clamp_min(VARIANCE_FLOOR)
