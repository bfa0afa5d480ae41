"""NIQE, how unnatural a picture looks without its truth, against a model of our own faces.

Mittal, Soundararajan and Bovik, Making a "Completely Blind" Image Quality Analyzer (IEEE SPL 2013).
The published model was fitted on outside photographs; this one is fitted on training faces, so its
values compare only with values of the same model. Lower is better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from evaluation.metrics import Image, MetricError, luma, why_not_rgb8

BLOCK = 96
"""Side of a block in px, as published; blocks of the halved picture have half of it."""
SHARP = 0.75
"""Share of the sharpest block's sharpness that a block of the model needs."""
WINDOW, SIGMA = 7, 7.0 / 6.0
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
FEATURES = 2 * (2 + 4 * len(SHIFTS))
FEWEST_BLOCKS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NiqeModel:
    """Mean (36,) and covariance (36,36) of the features of pristine blocks."""

    mean: Floats
    covariance: Floats
    faces: int
    """Number of pictures that it was fitted on."""
    block: int


def fit_niqe(pictures: Iterable[Image], *, block: int = BLOCK) -> NiqeModel:
    """The model of pristine pictures, uint8 RGB `(H, W, 3)`; only their sharp blocks count.

    Raises `MetricError` where fewer blocks than features are found.
    """
    kept, faces = [], 0
    for picture in pictures:
        features, sharpness = _features(picture, block)
        kept.append(features[sharpness > SHARP * sharpness.max()])
        faces += 1
    found = np.concatenate(kept) if kept else np.zeros((0, FEATURES))
    if len(found) <= FEATURES:
        raise MetricError(f"{len(found)} blocks of {faces} pictures: NIQE needs over {FEATURES}")
    return NiqeModel(found.mean(0), np.cov(found, rowvar=False), faces, block)


def niqe(picture: Image, model: NiqeModel) -> float:
    """NIQE of a picture uint8 RGB `(H, W, 3)`: the distance of its blocks' features to the model's.

    Eq. 10 of the paper. Raises `MetricError` for a picture of fewer than four blocks.
    """
    features, _ = _features(picture, model.block)
    difference = features.mean(0) - model.mean
    pooled = (model.covariance + np.cov(features, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def _features(picture: Image, block: int) -> tuple[Floats, Floats]:
    """Features (N,36) and sharpness (N,) of the blocks of a picture."""
    if reason := why_not_rgb8(picture):
        raise MetricError(f"the picture {reason}")
    rows, columns = picture.shape[0] // block, picture.shape[1] // block
    if rows * columns < FEWEST_BLOCKS:
        raise MetricError(
            f"a picture of {picture.shape[1]}x{picture.shape[0]} px has {rows * columns} blocks of "
            f"{block} px; NIQE needs {FEWEST_BLOCKS}"
        )
    grey = luma(picture)[: rows * block, : columns * block].astype(np.float64)
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    parts, sharpness = [], np.zeros(0)
    for image, side in ((grey, block), (half, block // 2)):
        normal, deviation = _normalised(np.asarray(image, dtype=np.float64))
        if side == block:
            sharpness = _blocks(deviation, side).mean((1, 2))
        parts.append(_block_features(_blocks(normal, side)))
    return np.concatenate(parts, axis=1), sharpness


def _normalised(image: Floats) -> tuple[Floats, Floats]:
    """Mean-subtracted, contrast-normalised coefficients and the local deviation, both (H,W)."""
    mean = cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REPLICATE)
    square = cv2.GaussianBlur(image**2, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.abs(square - mean**2))
    return (image - mean) / (deviation + 1.0), deviation


def _blocks(image: Floats, side: int) -> Floats:
    """(N,side,side), left to right and top to bottom."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    cut = image[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.transpose(0, 2, 1, 3).reshape(-1, side, side)


def _block_features(blocks: Floats) -> Floats:
    """(N,18): shape and width of the coefficients, then four numbers per direction's products."""
    shape, left, right = _fit_asymmetric(blocks)
    columns = [shape, (left + right) / 2]
    for shift in SHIFTS:
        products = blocks * np.roll(blocks, shift, axis=(1, 2))
        shape, left, right = _fit_asymmetric(products)
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def _fit_asymmetric(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Shape, left and right width (N,) of an asymmetric generalised Gaussian per block.

    Moment matching (Lasmar et al., ICIP 2009): the shape comes from a table of the ratio.
    """
    values = blocks.reshape(len(blocks), -1)
    left = np.sqrt(_mean_square(values, values < 0))
    right = np.sqrt(_mean_square(values, values > 0))
    ratio = left / right
    spread = np.abs(values).mean(1) ** 2 / np.maximum(np.square(values).mean(1), 1e-12)
    wanted = spread * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, table = _shape_table()
    shape = shapes[np.abs(table[None] - wanted[:, None]).argmin(1)]
    factor = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * factor, right * factor


def _mean_square(values: Floats, where: NDArray[np.bool_]) -> Floats:
    count = np.maximum(where.sum(1), 1)
    mean: Floats = np.where(where, values**2, 0.0).sum(1) / count
    return np.maximum(mean, 1e-12)


@cache
def _shape_table() -> tuple[Floats, Floats]:
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
