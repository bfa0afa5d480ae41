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

from priors.template import first_labels, soft_template

CLASSES = 12
FIT_SIZE = 64
COLOUR_PIXELS = 25.0
"""Weight of the atlas' colour in a face's own, in pixels at FIT_SIZE."""
VARIANCE_FLOOR = 3e-4
EVIDENCE = 0.5
"""Exponent of the colour likelihood: neighbouring pixels are not independent."""
EVIDENCE_BLUR = 0.7
"""Blur of the log-likelihood in pixels at FIT_SIZE."""
FACE_ROUNDS, ATLAS_ROUNDS = 6, 4
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


@dataclass(frozen=True)
class Explained:
    """What EM says of a chunk of faces: class posteriors (N,K,S,S), colours and spread (N,K,D)."""

    posterior: Tensor
    mean: Tensor
    variance: Tensor


def colour_features(faces: np.ndarray, size: int) -> np.ndarray:
    """Lab and texture relative to the cheek.

    Args:
        faces: (N, S, S, 3) uint8 RGB, aligned.
        size: side of the result.
    Returns:
        (N, 4, size, size) float32: Lab / 100 and 0.12 x log local variance of L, minus their
        median over the cheeks (|x| < .13, -.02 < y < .13 with x, y in [-.5, .5]).
    """
    out = np.empty((len(faces), 4, size, size), np.float32)
    sigma = 1.2 * size / FIT_SIZE
    line = (np.arange(size) + 0.5) / size - 0.5
    rows, columns = (line > -0.02) & (line < 0.13), np.abs(line) < 0.13
    for face, features in zip(faces, out, strict=True):
        small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / 100
        light = lab[..., 0]
        mean = cv2.GaussianBlur(light, (0, 0), sigma)
        spread = cv2.GaussianBlur(light * light, (0, 0), sigma) - mean * mean
        features[:3] = lab.transpose(2, 0, 1)
        features[3] = 0.12 * np.log(np.maximum(spread, 0) + 1e-4)
        features -= np.median(features[:, rows][:, :, columns], axis=(1, 2))[:, None, None]
    return out


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., S, S) with replicated borders; sigma in pixels."""
    radius = max(1, round(3 * sigma))
    grid = torch.arange(-radius, radius + 1, dtype=maps.dtype)
    kernel = torch.exp(-((grid / sigma) ** 2) / 2)
    kernel = kernel / kernel.sum()
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = functional.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = functional.conv2d(
        functional.conv2d(flat, kernel[None, None, None]), kernel[None, None, :, None]
    )
    return flat.reshape(maps.shape)


def smooth_moments(features: Tensor) -> Tensor:
    """Features and their squares (N, 2D, S, S), blurred.

    A log-likelihood is linear in them, so blurring them once blurs every log-likelihood.
    """
    sigma = EVIDENCE_BLUR * features.shape[-1] / FIT_SIZE
    return blur(torch.cat([features, features * features], 1), sigma)


def posterior(moments: Tensor, chance: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Class probabilities (N, K, S, S) of faces whose colours (N, K, D) are known."""
    weights = torch.cat([mean / variance, -0.5 / variance], 2)
    constant = -0.5 * (mean**2 / variance + variance.log()).sum(2, keepdim=True)
    likelihood = weights @ moments.flatten(2) + constant
    score = EVIDENCE * likelihood + chance.flatten(1).clamp_min(1e-8).log()
    return score.softmax(1).unflatten(2, moments.shape[-2:])


def explain(features: Tensor, chance: Tensor, mean: Tensor, variance: Tensor) -> Explained:
    """MAP-EM of one Gaussian colour per class and face, at FIT_SIZE.

    Args:
        features: (N, D, S, S). chance: (K, S, S). mean, variance: (K, D) of the atlas.
    Returns:
        posteriors and the faces' own colours after FACE_ROUNDS rounds.
    """
    count, dims = features.shape[:2]
    flat = features.flatten(2)
    sums = torch.cat([flat, flat * flat], 1).transpose(1, 2)  # (N, P, 2D)
    moments = smooth_moments(features)
    own_mean, own_var = (t.expand(count, -1, -1) for t in (mean, variance))
    classes = chance.expand(count, -1, -1, -1)
    for _ in range(FACE_ROUNDS):
        classes = posterior(moments, chance, own_mean, own_var)
        share = classes.flatten(2)
        area = share.sum(2, keepdim=True)
        first, second = (share @ sums).split(dims, 2)
        own_mean = (first + COLOUR_PIXELS * mean) / (area + COLOUR_PIXELS)
        scatter = second - 2 * own_mean * first + area * own_mean**2
        own_var = (scatter + COLOUR_PIXELS * variance) / (area + COLOUR_PIXELS)
        own_var = own_var.clamp_min(VARIANCE_FLOOR)
    return Explained(classes, own_mean, own_var)


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
