"""Regions of a face from a probabilistic atlas, in closed form: teacher and student share it.

As in atlas segmentation of brain images (Van Leemput et al. 1999): the atlas says where each class
tends to be and what colour it tends to have relative to the cheek; a few rounds of MAP-EM give each
face its own colours. Everything is a pure function of tensors, float32 inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.device import constant
from models.solving import solve

GRID = 64
"""Side at which the numbers of pixels below are meant; they follow the side of the features."""
FEATURES = 3
"""Lab."""
GROUPS = (2, 2, 3, 1, 1, 1, 1, 1)
"""Sizes of the groups of successive classes that have one colour in common.

Background twice, hair twice, skin with the nose; then what has a colour of its own. What hangs
beside a face is hair where it has the colour of the hair on top, not by its place.
"""
COLOUR_PIXELS = 100.0
"""Weight of the atlas' colour in a face's own, in pixels at GRID."""
VARIANCE_FLOOR = 3e-4
EVIDENCE = (0.2, 0.3, 0.4, 0.5, 0.7, 0.95)
"""Exponent of the colour likelihood in each round.

Low at first: colours that start far off would make hair and background change places.
"""
POSE_ROUNDS = (3, 4)
"""Rounds after which the atlas is moved to where the face is."""
POSE_HOLD = 3e5
"""How strongly the pose is held at the alignment's, at GRID."""
POSE_STEPS = 8
"""Of the solver, for four unknowns."""
POSE_FLOOR = 1e-3
"""Added to a chance before its logarithm is differentiated."""
EVIDENCE_BLUR = 0.7
"""Blur of the log-likelihood in pixels at GRID."""
CHEEKS = (0.37, 0.63, 0.48, 0.63)
"""Left, right, top and bottom of the cheeks and nose, as shares of the side."""
TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""sRGB primaries, D65."""
WHITE = (0.950456, 1.0, 1.088754)


@dataclass(frozen=True)
class Explained:
    """What EM says of faces: class posteriors (N,K,S,S), colours and their variance (N,K,D)."""

    posterior: Tensor
    mean: Tensor
    variance: Tensor
    pose: Tensor
    """(N, 4): right, down, turn, growth of the face against the atlas, see `moves`."""


def cheek_box(maps: Tensor) -> Tensor:
    """The cheeks (B, C, h, w) of maps (B, C, S, S) of aligned faces."""
    left, right, top, bottom = (round(share * maps.shape[-1]) for share in CHEEKS)
    return maps[:, :, top:bottom, left:right]


def cheek_colour(x: Tensor) -> Tensor:
    """Mean colour (B, C, 1, 1) of the cheeks of aligned faces (B, C, S, S)."""
    return cheek_box(x).mean((2, 3), keepdim=True)


def lab(face: Tensor) -> Tensor:
    """CIE Lab / 100 (B, 3, h, w) of sRGB faces (B, 3, h, w) in [0, 1]."""
    linear = torch.where(face <= 0.04045, face / 12.92, ((face + 0.055) / 1.055) ** 2.4)
    matrix = constant(TO_XYZ, face) / constant(WHITE, face).unsqueeze(1)
    xyz = torch.einsum("oc,bchw->bohw", matrix, linear)
    root = torch.where(xyz > 0.008856, xyz.clamp_min(1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.split(1, 1)
    return torch.cat([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], 1)


def features_of(face: Tensor) -> Tensor:
    """Lab (B, 3, S, S) less the median of the cheeks, of RGB faces (B, 3, S, S) in [0, 1]."""
    features = lab(face.float())
    cheeks = cheek_box(features).flatten(2).sort(2).values
    return features - cheeks[:, :, cheeks.shape[2] // 2, None, None]


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., S, S) with replicated borders; sigma in pixels."""
    radius = max(1, round(3 * sigma))
    grid = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
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
    sigma = EVIDENCE_BLUR * features.shape[-1] / GRID
    return blur(torch.cat([features, features * features], 1), sigma)


def posterior(
    moments: Tensor,
    chance: Tensor,
    mean: Tensor,
    variance: Tensor,
    evidence: float = EVIDENCE[-1],
) -> Tensor:
    """Class probabilities (N, K, S, S) of faces whose colours (N, K, D) are known.

    The atlas `chance` is (K, S, S) or each face's own, (N, K, S, S).
    """
    weights = torch.cat([mean / variance, -0.5 / variance], 2)
    constant = -0.5 * (mean**2 / variance + variance.log()).sum(2, keepdim=True)
    likelihood = weights @ moments.flatten(2) + constant
    score = evidence * likelihood + chance.flatten(-2).clamp_min(1e-8).log()
    return score.softmax(1).unflatten(2, moments.shape[-2:])


def in_common(sums: Tensor, groups: Sequence[int]) -> Tensor:
    """Sums (N, K, ...) of which every class has its group's; classes beyond `groups` their own."""
    rest = sums.shape[1] - sum(groups)
    if rest < 0:
        return sums
    parts = sums.split([*groups, *[1] * rest], 1)
    return torch.cat([part.sum(1, keepdim=True).expand_as(part) for part in parts], 1)


def moves(side: int, like: Tensor) -> Tensor:
    """Displacements (4, 2, side, side), x and y, of a unit of each move, in shares of the side.

    To the right, down, a turn clockwise by one radian and growth to twice the size about the
    middle.
    """
    line = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side - 0.5
    y, x = line[:, None].expand(side, side), line[None].expand(side, side)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return torch.stack([one, none, none, one, -y, x, x, y]).unflatten(0, (4, 2))


def placed(chance: Tensor, pose: Tensor) -> Tensor:
    """The atlas (K, S, S) moved by poses (N, 4): (N, K, S, S); borders repeat."""
    side = chance.shape[-1]
    shift = torch.einsum("nm,mdhw->nhwd", pose, moves(side, chance))
    x, y = moves(side, chance)[3]  # growth moves every place by its distance from the middle
    grid = 2 * (torch.stack([x, y], -1) - shift)
    maps = chance.expand(len(pose), -1, -1, -1)
    return functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def better_pose(classes: Tensor, place: Tensor) -> Tensor:
    """Change of pose (N, 4) that lets the atlas `place` agree better with posteriors (N, K, S, S).

    One step of Gauss-Newton on the expected log of the atlas, over the face alone: how far the
    hair hangs says nothing of the pose.
    """
    side = classes.shape[-1]
    basis = moves(side, classes)
    x, y = basis[3]
    window = torch.exp(-(((x / 0.26) ** 2 + ((y - 0.06) / 0.36) ** 2) ** 4))
    down, right = torch.gradient((place + POSE_FLOOR).log() * side, dim=(2, 3))
    slopes = [-(right * across + down * along) for across, along in basis]
    slope = torch.stack([one.flatten(1) for one in slopes], 1)  # (N, 4, KP)
    weighted = slope * (classes * window).flatten(1)[:, None]
    hold = POSE_HOLD * (side / GRID) ** 2 * torch.eye(4, device=classes.device)
    curve = weighted @ slope.transpose(1, 2) + hold
    return solve(curve, weighted.sum(2), POSE_STEPS)


def explain(
    features: Tensor,
    chance: Tensor,
    mean: Tensor,
    variance: Tensor,
    groups: Sequence[int] = GROUPS,
) -> Explained:
    """MAP-EM of one Gaussian colour per group of classes and face.

    Args:
        features: (N, D, S, S). chance: (K, S, S). mean, variance: (K, D) of the atlas.
        groups: how many successive classes share a colour; fewer classes than that share none.
    Returns:
        posteriors and the faces' own colours after as many rounds as EVIDENCE has numbers.
    """
    count, dims, side, _ = features.shape
    usual = COLOUR_PIXELS * (side / GRID) ** 2
    flat = features.flatten(2)
    sums = torch.cat([torch.ones_like(flat[:, :1]), flat, flat * flat], 1).transpose(1, 2)
    moments = smooth_moments(features)
    own_mean, own_var = (t.expand(count, -1, -1) for t in (mean, variance))
    pose = features.new_zeros(count, 4)
    place = classes = chance.expand(count, -1, -1, -1)
    for turn, evidence in enumerate(EVIDENCE):
        classes = posterior(moments, place, own_mean, own_var, evidence)
        if turn in POSE_ROUNDS:
            pose = pose + better_pose(classes, place)
            place = placed(chance, pose)
        area, first, second = in_common(classes.flatten(2) @ sums, groups).split((1, dims, dims), 2)
        own_mean = (first + usual * mean) / (area + usual)
        scatter = second - 2 * own_mean * first + area * own_mean**2
        own_var = (scatter + usual * variance) / (area + usual)
        own_var = own_var.clamp_min(VARIANCE_FLOOR)
    return Explained(classes, own_mean, own_var, pose)
