"""Horizontal flip of images, prior maps, label maps and points. (Faces are never flipped upside
down: they are aligned.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def flip_image(image: np.ndarray) -> np.ndarray:
    """Return the mirror image of `image` `(H,W)` or `(H,W,C)`, contiguous."""
    return np.ascontiguousarray(image[:, ::-1])


def flip_maps(maps: np.ndarray, swap: Sequence[int]) -> np.ndarray:
    """Return the mirrored maps `(C,h,w)`; channel c of the result is channel `swap[c]` mirrored.

    `swap` is the left/right permutation of the classes or points (`PARSE_SWAP`, `LANDMARK_SWAP`).
    Raises `ValueError` unless it is a permutation of the channels and its own inverse.
    """
    order = _checked(swap, maps.shape[0])
    return np.ascontiguousarray(maps[order][..., ::-1])


def flip_labels(labels: np.ndarray, swap: Sequence[int]) -> np.ndarray:
    """Return the mirrored label map `(h,w)` of class numbers, left and right classes swapped."""
    order = _checked(swap, len(swap))
    return np.ascontiguousarray(order.astype(labels.dtype)[labels[:, ::-1]])


def flip_points(points: np.ndarray, width: int, swap: Sequence[int]) -> np.ndarray:
    """Return the points `(N,2)` (x, y in px, pixel centres at whole numbers) in the mirror image.

    x becomes `width - 1 - x`; point n of the result is point `swap[n]` mirrored.
    """
    mirrored = points[_checked(swap, points.shape[0])].copy()
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


def _checked(swap: Sequence[int], count: int) -> np.ndarray:
    order = np.asarray(swap, dtype=np.int64)
    identity = np.arange(count)
    if order.shape != (count,) or not np.array_equal(np.sort(order), identity):
        raise ValueError(f"swap must be a permutation of {count} numbers, not {list(swap)}")
    if not np.array_equal(order[order], identity):
        raise ValueError(f"swap must undo itself when applied twice, {list(swap)} does not")
    return order
