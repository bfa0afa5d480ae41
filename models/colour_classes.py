"""Classes of a face's pixels by where they are and what colour they have: no learned weights.

A few rounds of EM, one Gaussian colour per class and face, as in probabilistic-atlas segmentation
(Van Leemput et al. 1999): the atlas says where a class usually is, the face what it looks like.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 3
EVIDENCE = 0.35
"""Exponent of the colour likelihood: neighbouring pixels are not independent."""
USUAL_SHARE = 0.006
"""Weight of a class's usual variance, in shares of the image's pixels."""
USUAL_VARIANCE, LEAST_VARIANCE = 4e-3, 3e-4


def colour_classes(face: Tensor, log_chance: Tensor) -> Tensor:
    """Log-probabilities (B, K, h, w) of classes in RGB faces.

    Args:
        face: (B, 3, h, w) in [0, 1].
        log_chance: (K, h, w) log of each class's chance at each place, up to a constant.
    """
    flat = face.float().flatten(2)
    moments = torch.cat([flat, flat * flat], 1)  # (B, 6, P)
    usual = log_chance.float().log_softmax(0).flatten(1)
    classes = usual.expand(len(face), -1, -1)
    prior = USUAL_SHARE * flat.shape[2]
    for _ in range(ROUNDS):
        share = classes.exp()
        area = share.sum(2, keepdim=True).clamp_min(1e-3)
        first, second = (share @ moments.transpose(1, 2)).split(3, 2)
        mean = first / area
        scatter = (second - first * mean).clamp_min(0)
        variance = (scatter + prior * USUAL_VARIANCE) / (area + prior) + LEAST_VARIANCE
        weights = torch.cat([mean / variance, -0.5 / variance], 2)
        constant = -0.5 * (mean**2 / variance + variance.log()).sum(2, keepdim=True)
        classes = (usual + EVIDENCE * (weights @ moments + constant)).log_softmax(1)
    return classes.unflatten(2, face.shape[-2:])
