"""How much the restorations of one face differ when its input noise is drawn anew."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from data.augmentations import noisy
from data.sampling import sample_rng
from evaluation.metrics import Image
from models.restorer import restore


def restorations(
    net: nn.Module,
    lq: Image,
    *,
    name: str | None = None,
    samples: int,
    sigma: float,
    seed: int,
    device: torch.device | str = "cpu",
    flip_ensemble: bool = False,
) -> Iterator[Image]:
    """`samples` restorations, uint8 RGB, of `lq` with seeded noise of `sigma` 8-bit steps each.

    `name` is the picture's, see `models.restorer.restore`.
    """
    for number in range(samples):
        changed = noisy(lq, sample_rng(seed, number, 0), sigma)
        passes = restore(net, changed, name=name, flip_ensemble=flip_ensemble, device=device)
        yield passes[-1]


def diversity(pictures: list[Image]) -> float:
    """Mean over pixels and channels of the standard deviation across `pictures`, in 8-bit steps.

    0 where all are alike. Raises `ValueError` for fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"diversity needs two restorations of a face, not {len(pictures)}")
    return float(np.stack(pictures).astype(np.float64).std(axis=0).mean())
