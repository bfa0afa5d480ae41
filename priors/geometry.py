"""Small similarities of aligned faces: what moves a face must move its priors alike."""

from __future__ import annotations

import cv2
import numpy as np

DEGREES, SCALE, SHIFT = 5.0, 0.05, 3.0 / 128
"""Largest turn, relative change of size, and shift as a share of the side."""

Matrix = np.ndarray
"""(2, 3): where a place (x, y, 1), in shares of the side, goes."""


def small_similarity(rng: np.random.Generator) -> Matrix:
    """A random turn, scaling and shift about the middle of the face."""
    angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES))
    factor = 1 + rng.uniform(-SCALE, SCALE)
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(-SHIFT, SHIFT, 2)
    middle = np.array([0.5, 0.5])
    return np.concatenate([turn, (middle - turn @ middle + shift)[:, None]], axis=1)


def warp_image(image: np.ndarray, matrix: Matrix, *, labels: bool = False) -> np.ndarray:
    """The image (S,S) or (S,S,C) moved by `matrix`; borders repeat; `labels` are never mixed."""
    side = image.shape[0]
    pixels = matrix.copy()
    # pixel i has its centre at (i + .5) / side
    pixels[:, 2] = side * (matrix[:, 2] + matrix[:, :2] @ np.full(2, 0.5 / side)) - 0.5
    method = cv2.INTER_NEAREST if labels else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(image, pixels, (side, side), flags=method, borderMode=cv2.BORDER_REPLICATE)
    )


def move_points(points: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Points (..., 2), shares of the side, moved by `matrix`."""
    return points @ matrix[:, :2].T + matrix[:, 2]
