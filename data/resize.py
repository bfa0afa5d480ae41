"""Resizing without anti-aliasing, as the published degradation pipelines do it.

Equal to `torch.nn.functional.interpolate(..., align_corners=False)` of the same mode; OpenCV and
sparse row and column sums do it several times faster on one core.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from scipy.sparse import csr_matrix

RESIZE_MODES: tuple[str, ...] = ("area", "bilinear", "bicubic")
INTERPOLATION: dict[str, int] = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}


@lru_cache(maxsize=2048)
def _averages(before: int, after: int) -> csr_matrix:
    """Rows of adaptive average pooling, float32 (after, before): row i averages the pixels
    floor(i*before/after) .. ceil((i+1)*before/after) - 1."""
    row = np.arange(after)
    first = row * before // after
    last = -((-(row + 1) * before) // after)
    counts = last - first
    starts = np.concatenate(([0], np.cumsum(counts)))
    columns = np.arange(starts[-1]) - np.repeat(starts[:-1] - first, counts)
    values = np.repeat(1.0 / counts, counts).astype(np.float32)
    return csr_matrix((values, columns, starts), shape=(after, before))


def area_resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Adaptive average pooling of float32 (H,W,3) to (h,w,3); enlarging repeats pixels."""
    (height, width), (rows, columns) = image.shape[:2], size
    if rows != height:
        flat = _averages(height, rows) @ image.reshape(height, -1)
        image = flat.reshape(rows, width, 3)
    if columns != width:
        turned = cv2.transpose(image).reshape(width, -1)
        image = cv2.transpose((_averages(width, columns) @ turned).reshape(columns, -1, 3))
    return image


def resize(image: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """Image float32 (H,W,3) resized to `size` = (h,w) with one of `RESIZE_MODES`, float32.

    Bilinear and bicubic (a = -0.75) sample without anti-aliasing; bicubic may overshoot.
    """
    if tuple(image.shape[:2]) == tuple(size):
        return image
    if mode == "area":
        return area_resize(image, size)
    return cv2.resize(image, (size[1], size[0]), interpolation=INTERPOLATION[mode])


def rescale(image: np.ndarray, factor: float, mode: str) -> np.ndarray:
    """Image float32 (H,W,3) resized by `factor`: the size is floored (at least 1), while bilinear
    and bicubic map coordinates by the exact factor, not by the ratio of the sizes. (A factor so
    near to 1 that OpenCV would copy the image, above 1 - 0.5 / side, maps by the ratio.)"""
    height, width = image.shape[:2]
    rows, columns = max(1, int(height * factor)), max(1, int(width * factor))
    copied = factor < 1 and (round(height * factor), round(width * factor)) == (height, width)
    if mode == "area" or copied or min(height, width) * factor < 1:
        return resize(image, (rows, columns), mode)
    # OpenCV rounds the size up or down but also maps by the factor: drop the row that is too many
    out = cv2.resize(image, None, fx=factor, fy=factor, interpolation=INTERPOLATION[mode])
    return np.ascontiguousarray(out[:rows, :columns])
