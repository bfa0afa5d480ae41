"""Parse teacher, quick tier: a symmetric probabilistic atlas fitted to faces by EM.

As in atlas segmentation of brain images: the atlas says where each class tends to be (`chance`)
and what colour it tends to have relative to the cheek; each face then gets its own colours by
MAP-EM. Nothing is labelled: the classes are the groups of positions whose colours vary together
from face to face. All maps here are square and mirror-symmetric in the atlas, so a mirrored face
has the mirrored parse with the same class order.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.atlas import (
    FEATURES,
    GRID,
    VARIANCE_FLOOR,
    blur,
    explain,
    features_of,
    posterior,
    smooth_moments,
)
from priors.template import first_labels, soft_template

CLASSES = 12
FIT_SIZE = GRID
ATLAS_ROUNDS = 4
ATLAS_BLUR = 1.0
"""Blur of the atlas between rounds, in pixels at FIT_SIZE."""
CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class ParseAtlas:
    """Where classes are and how they look: all that the quick parse teacher has learned."""

    chance: np.ndarray
    """(K, 64, 64) prior probability of each class at each position, sums to 1."""
    mean: np.ndarray
    """(K, D) mean features relative to the cheek."""
    variance: np.ndarray
    """(K, D) their variance within a face."""

    def maps(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Class probabilities (N, K, size, size) float32 of HQ faces (N, S, S, 3) uint8 RGB."""
        parts = [self._posterior(faces[i : i + CHUNK], size) for i in range(0, len(faces), CHUNK)]
        return np.concatenate(parts)

    def _posterior(self, faces: np.ndarray, size: int) -> np.ndarray:
        atlas = [torch.from_numpy(a) for a in (self.chance, self.mean, self.variance)]
        found = explain(torch.from_numpy(colour_features(faces, FIT_SIZE)), *atlas)
        if size == FIT_SIZE:
            return found.posterior.numpy()
        chance = functional.interpolate(atlas[0][None], (size, size), mode="bilinear")[0]
        moments = smooth_moments(torch.from_numpy(colour_features(faces, size)))
        return posterior(moments, chance, found.mean, found.variance).numpy()


def colour_features(faces: np.ndarray, size: int) -> np.ndarray:
    """`models.atlas.features_of` of faces (N, S, S, 3) uint8 RGB: (N, 4, size, size) float32."""
    out = np.empty((len(faces), FEATURES, size, size), np.float32)
    for face, features in zip(faces, out, strict=True):
        small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        features[:] = features_of(pixels)[0].numpy()
    return out


def fit_atlas(faces: np.ndarray, rng: np.random.Generator, classes: int = CLASSES) -> ParseAtlas:
    """Atlas learned from HQ faces (N, S, S, 3) uint8 RGB; see the module's docstring."""
    features = colour_features(faces, FIT_SIZE)
    chance = torch.from_numpy(soft_template(first_labels(features, classes, rng), classes))
    data = torch.from_numpy(features)
    mean, variance = first_colours(data, chance)
    for _ in range(ATLAS_ROUNDS):
        parts = [explain(part, chance, mean, variance) for part in data.split(CHUNK)]
        total = sum(part.posterior.sum(0) for part in parts)
        assert isinstance(total, Tensor)
        average = blur((total + total.flip(-1)) / (2 * len(data)), ATLAS_BLUR) + 1e-3
        chance = average / average.sum(0)
        mean = torch.cat([part.mean for part in parts]).mean(0)
        variance = torch.cat([part.variance for part in parts]).mean(0)
    return ParseAtlas(chance=chance.numpy(), mean=mean.numpy(), variance=variance.numpy())


def first_colours(features: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and within-face variance (K, D) of each class if every face were the template."""
    share = chance.flatten(1)
    share = share / share.sum(1, keepdim=True)
    first = features.flatten(2) @ share.T  # (N, D, K)
    second = (features.flatten(2) ** 2) @ share.T
    within = (second - first**2).mean(0).T
    return first.mean(0).T.contiguous(), within.clamp_min(VARIANCE_FLOOR).contiguous()
