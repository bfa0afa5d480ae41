"""Whether a picture looks like an aligned face: a plain template, learned from nothing."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Image

GRID = 32
DETAIL = 5.0
"""Sigma of the blur, in grid cells, that is taken off: light and skin tone do not count."""
ALIGNED = 0.10
"""Correlation below which a face is doubted: a hint, not a detector. Doubted shares, measured:

- upright: 4 % of the challenge's 400 test LQ, 4 % of 100 validation LQ, 12 % of synthetic faces;
- the same turned by 45 or 180 degrees 99 %, by 90 94 %, moved down by 16 % of the side 96 %;
- but turned by 20 degrees only 42 %, moved sideways by 20 % only 47 %;
- synthetic faces turned by 90 degrees 76 %, so that a quarter of them pass as upright.
"""

# Brightness of an FFHQ-aligned face at 512: weight, centre x, y and sigmas x, y, in px.
BLOBS = (
    (-1.0, 190, 228, 34, 22),  # eye and brow
    (-1.0, 322, 228, 34, 22),
    (-0.7, 256, 372, 45, 14),  # mouth
    (-0.3, 256, 330, 25, 10),  # nostrils
    (0.6, 256, 270, 22, 50),  # bridge of the nose
    (0.5, 180, 310, 30, 28),  # cheeks
    (0.5, 332, 310, 30, 28),
)


def alignment(picture: Image) -> float:
    """Correlation in [-1, 1] of a picture uint8 RGB `(H, W, 3)` with the template of a face.

    The median is 0.27 on upright real LQ and 0.20 on upright synthetic faces, 0.1 on faces turned
    by 20 degrees or moved sideways by a fifth, and 0 or less on faces turned or moved further.
    """
    grey = picture.astype(np.float32).mean(axis=2)
    small = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA)
    template, inside = _template()
    return _correlation(_detail(small)[inside], template[inside])


@cache
def _template() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Detail of the template `(32, 32)`, and the oval in which it counts."""
    y, x = (np.mgrid[0:GRID, 0:GRID] + 0.5) * (512 / GRID)
    drawn = sum(
        weight * np.exp(-(((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)
        for weight, cx, cy, sx, sy in BLOBS
    )
    inside = ((x - 256) / 168) ** 2 + ((y - 280) / 208) ** 2 < 1
    return _detail(np.asarray(drawn, np.float32)), inside


def _detail(grey: NDArray[np.generic]) -> NDArray[np.float64]:
    image = grey.astype(np.float32)
    return (image - cv2.GaussianBlur(image, (0, 0), DETAIL)).astype(np.float64)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-9))
