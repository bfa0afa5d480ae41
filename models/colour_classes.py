"""Classes of a face's pixels by where they are and what colour they have, in closed form.

A few rounds of EM, one Gaussian colour per class and face, as in probabilistic-atlas segmentation
(Van Leemput et al. 1999): the atlas says where a class usually is and how it usually differs from
the cheek; the face says what it looks like here.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 4
EVIDENCE = 0.4
"""Exponent of the colour likelihood: neighbouring pixels are not independent."""
USUAL_SHARE = 0.006
"""Weight of a class's usual colour in a face's own, in shares of the image's pixels."""
LEAST_VARIANCE = 3e-4
CHEEK = (0.37, 0.63, 0.48, 0.63)
"""Left, right, top and bottom of the cheeks and nose, as shares of the side."""
OPPONENT = ((0.30, 0.60, 0.10), (0.80, -0.80, 0.0), (0.45, 0.45, -0.90))
"""Rows: light, red against green, yellow against blue; about Lab / 100 of sRGB."""


def cheek_colour(x: Tensor) -> Tensor:
    """Mean colour (B, C, 1, 1) of the cheeks of aligned faces (B, C, S, S)."""
    left, right, top, bottom = (round(share * x.shape[-1]) for share in CHEEK)
    return x[:, :, top:bottom, left:right].mean((2, 3), keepdim=True)


def relative_colour(face: Tensor) -> Tensor:
    """Opponent colours (B, 3, h, w) of RGB faces (B, 3, h, w) in [0, 1], minus the cheek's."""
    matrix = torch.tensor(OPPONENT, device=face.device, dtype=torch.float32)
    colour = torch.einsum("oc,bchw->bohw", matrix, face.float())
    return colour - cheek_colour(colour)


def colour_classes(face: Tensor, log_chance: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log-probabilities (B, K, h, w) of classes in aligned RGB faces.

    Args:
        face: (B, 3, h, w) in [0, 1].
        log_chance: (K, h, w) log of each class's chance at each place, up to a constant.
        mean, variance: (K, 3) usual relative colour of each class and its variance in a face.
    """
    flat = relative_colour(face).flatten(2)
    moments = torch.cat([flat, flat * flat], 1)  # (B, 6, P)
    usual = log_chance.float().log_softmax(0).flatten(1)
    prior = USUAL_SHARE * flat.shape[2]
    own_mean, own_variance = (t.float().expand(len(face), -1, -1) for t in (mean, variance))
    classes = usual.expand(len(face), -1, -1)
    for _ in range(ROUNDS):
        weights = torch.cat([own_mean / own_variance, -0.5 / own_variance], 2)
        constant = (own_mean**2 / own_variance + own_variance.log()).sum(2, keepdim=True)
        classes = (usual + EVIDENCE * (weights @ moments - 0.5 * constant)).log_softmax(1)
        share = classes.exp()
        area = share.sum(2, keepdim=True)
        first, second = (share @ moments.transpose(1, 2)).split(3, 2)
        own_mean = (first + prior * mean) / (area + prior)
        scatter = second - 2 * own_mean * first + area * own_mean**2
        own_variance = (scatter + prior * variance) / (area + prior)
        own_variance = own_variance.clamp_min(LEAST_VARIANCE)
    return classes.unflatten(2, face.shape[-2:])


def usual_colours(faces: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (K, 3) of the classes' relative colours, and their variance within a face (K, 3).

    Args:
        faces: (N, 3, h, w) RGB in [0, 1]. classes: (N, K, h, w) probabilities.
    """
    colour = relative_colour(faces).flatten(2).transpose(1, 2)  # (N, P, 3)
    share = classes.float().flatten(2)
    share = share / share.sum(2, keepdim=True).clamp_min(1e-3)
    first, second = share @ colour, share @ (colour * colour)
    return first.mean(0), (second - first**2).mean(0).clamp_min(LEAST_VARIANCE)
