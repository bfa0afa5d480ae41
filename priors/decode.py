"""Whether codes say something about a face: high frequencies rebuilt from them by a linear map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from priors.dictionary import SIDE, Codes, high_frequencies
from priors.vq import VqCodes

GRID = SIDE // 2
"""Side of the grid of codes that is decoded; each code covers 2x2 pixels at SIDE."""
AROUND = 1
"""Codes this far away help to rebuild a cell."""
RIDGE = 1e-2
PARTS = ((200, 280, 130, 382), (230, 350, 200, 312), (340, 420, 190, 322))
"""Eyes, nose and mouth of an aligned face of 512 px: top, bottom, left, right."""


def box_psnr(codes: Codes, faces: np.ndarray, tested: Sequence[np.ndarray]) -> tuple[float, float]:
    """PSNR in dB in the part boxes of `tested` HQ faces, rebuilt from their own codes and others'.

    A ridge regression learns from `faces` (N, S, S, 3) what 3x3 codes say about the 2x2 luma
    pixels (of a face of 128 px) below the middle one; the low-pass is given. For the rival the
    codes come from another tested face. Codes of an autoencoder are decoded by its own decoder.
    """
    truth = [high_frequencies(hq) for hq in tested]
    if isinstance(codes, VqCodes):
        hqs = np.stack(tested)
        ids = codes.ids(hqs, 2 * GRID)
        own, other = (codes.rebuilt(some, hqs) for some in (ids, np.roll(ids, -1, 0)))
        return box_psnr_of(list(own), truth), box_psnr_of(list(other), truth)
    rebuilt = ridge_rebuilt(codes, faces, tested)
    others = [*rebuilt[1:], rebuilt[0]]
    return box_psnr_of(rebuilt, truth), box_psnr_of(others, truth)


def ridge_rebuilt(
    codes: Codes, faces: np.ndarray, tested: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """High frequencies (SIDE, SIDE) of `tested`, by a ridge regression learned from `faces`."""
    gram: np.ndarray | float = 0.0
    cross: np.ndarray | float = 0.0
    for face in faces:
        inputs, wanted = _inputs(codes, face), _cells(high_frequencies(face))
        gram, cross = gram + inputs.T @ inputs, cross + inputs.T @ wanted
    assert isinstance(gram, np.ndarray)
    weights = np.linalg.solve(gram + RIDGE * len(faces) * np.eye(len(gram)), cross)
    return [_image(_inputs(codes, hq) @ weights) for hq in tested]


def _inputs(codes: Codes, face: np.ndarray) -> np.ndarray:
    """(GRID * GRID, 9 D + 1): the codes around each cell, and 1."""
    ids = codes.ids(face[None], 2 * GRID)[0]
    padded = np.pad(codes.codebook[ids], ((AROUND, AROUND), (AROUND, AROUND), (0, 0)), mode="edge")
    steps = range(2 * AROUND + 1)
    near = [padded[y : y + GRID, x : x + GRID] for y in steps for x in steps]
    flat = np.concatenate(near, axis=2).reshape(GRID * GRID, -1)
    return np.concatenate([flat, np.ones((len(flat), 1), flat.dtype)], axis=1).astype(np.float64)


def _cells(high: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) as (GRID * GRID, 4)."""
    return high.reshape(GRID, 2, GRID, 2).transpose(0, 2, 1, 3).reshape(-1, 4)


def _image(cells: np.ndarray) -> np.ndarray:
    return cells.reshape(GRID, GRID, 2, 2).transpose(0, 2, 1, 3).reshape(SIDE, SIDE)


def box_psnr_of(rebuilt: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Mean PSNR in dB over all part boxes of high frequencies (SIDE, SIDE) of aligned faces.

    The low-pass cancels in the difference.
    """
    inside = np.zeros((512, 512), np.uint8)
    for top, bottom, left, right in PARTS:
        inside[top:bottom, left:right] = 1
    mask = cv2.resize(inside, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST).astype(bool)
    errors = [float(((a - b)[mask] ** 2).mean()) for a, b in zip(rebuilt, truth, strict=True)]
    return float(np.mean([-10 * np.log10(max(error, 1e-12)) for error in errors]))
