"""PSNR and SSIM exactly as the challenge's scorer defines them, and their Y-channel variants.

All functions take two 8-bit RGB images `(H, W, 3)` of one shape and return a float. Means over a
set are means of the per-image values: pooling the squared error over the set first reads about 0.36
dB low.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

METRIC_DEFINITION = (
    "mean over images of the per-image value, 8-bit RGB, no crop; "
    "PSNR = 20 log10(255 / sqrt(MSE over all pixels and channels)); "
    "SSIM = Gaussian window 11x11 sigma 1.5, valid region, float64, mean of the three channels"
)

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]

WINDOW = 11
SIGMA = 1.5
STRIP = 64
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
# ITU-R BT.601 studio range, from R, G, B in [0, 1] to Y in 16..235.
LUMA = (65.481, 128.553, 24.966)
LUMA_OFFSET = 16.0


FACE_BOX = ((144, 464), (112, 400))
"""Rows and columns of the face itself in an aligned face of 512 px."""


class MetricError(ValueError):
    """An image that cannot be scored; the message says which, why, and what would be right."""


def face_box(image: Image) -> Image:
    """The part of an aligned face `(S, S, 3)` without background, hair ends and shoulders."""
    rows, columns = ([round(edge * len(image) / 512) for edge in edges] for edges in FACE_BOX)
    return image[rows[0] : rows[1], columns[0] : columns[1]]


def psnr(restored: Image, hq: Image) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 RGB images `(H, W, 3)`; infinity when equal.

    `20 log10(255 / sqrt(mean((a - b)^2)))` over every pixel and channel, no crop. Raises
    `MetricError`.
    """
    check_images(restored, hq)
    # Squares of 8-bit differences and their sum are integers: exact at any image size.
    difference = restored.astype(np.int32) - hq.astype(np.int32)
    total = int(np.sum(difference * difference, dtype=np.int64))
    return _decibel(total / difference.size)


def ssim(restored: Image, hq: Image) -> float:
    """Structural similarity in [-1, 1] of two uint8 RGB images `(H, W, 3)`, sides at least 11 px.

    Wang et al. 2004, eq. 13: Gaussian window 11x11 of sigma 1.5, population covariance, only where
    the window fits, float64, mean of the three channels. Raises `MetricError`.
    """
    check_images(restored, hq)
    return float(np.mean([_ssim_plane(restored[..., c], hq[..., c]) for c in range(3)]))


def psnr_y(restored: Image, hq: Image, *, crop: int = 4) -> float:
    """PSNR in dB of the lumas, `crop` pixels cut from every side: the number many papers print.

    It reads about 1.8 dB above the RGB value; it never ranks here. Raises `MetricError`.
    """
    first, second = _luma_pair(restored, hq, crop)
    return _decibel(float(np.mean((first - second) ** 2)))


def ssim_y(restored: Image, hq: Image, *, crop: int = 4) -> float:
    """SSIM in [-1, 1] of the lumas, `crop` pixels cut from every side. Raises `MetricError`."""
    return _ssim_plane(*_luma_pair(restored, hq, crop))


METRICS: dict[str, Callable[[Image, Image], float]] = {"psnr": psnr, "ssim": ssim}


def luma(image: Image) -> NDArray[np.float32]:
    """Y `(H, W)` float32 in 16..235 of a uint8 RGB image `(H, W, 3)`: BT.601, Matlab's rgb2ycbcr.

    Single precision, because the public tools convert in it and the published numbers come from
    them.
    """
    scaled = image.astype(np.float32) / 255.0
    y = np.dot(scaled[..., ::-1], LUMA[::-1]) + LUMA_OFFSET
    return (y / 255.0).astype(np.float32) * np.float32(255.0)


def check_images(restored: Image, hq: Image) -> None:
    """Raise `MetricError` unless both are uint8 RGB `(H, W, 3)` of one shape, larger than 1x1."""
    for name, image in (("restored", restored), ("HQ", hq)):
        reason = why_not_rgb8(image)
        if reason:
            raise MetricError(f"the {name} image {reason}")
    if restored.shape != hq.shape:
        sizes = f"{restored.shape[1]}x{restored.shape[0]} and {hq.shape[1]}x{hq.shape[0]}"
        raise MetricError(f"restored and HQ differ in size ({sizes} px); they must be equal")


def why_not_rgb8(image: object) -> str:
    """What keeps `image` from being uint8 RGB `(H, W, 3)`, with the fix; "" when nothing does."""
    if not isinstance(image, np.ndarray):
        return f"is a {type(image).__name__}; give a numpy array uint8 (H, W, 3)"
    if image.dtype != np.uint8:
        return f"has type {image.dtype}; give 8 bit (uint8), that is round(clamp(x, 0, 1) * 255)"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return f"is grey, shape {image.shape}; give RGB (H, W, 3)"
    if image.ndim == 3 and image.shape[2] == 4:
        return f"has an alpha channel, shape {image.shape}; drop it and give RGB (H, W, 3)"
    if image.ndim != 3 or image.shape[2] != 3:
        return f"has shape {image.shape}; give RGB (H, W, 3)"
    if image.shape[0] * image.shape[1] <= 1:
        return f"has shape {image.shape}: a single pixel or none, which is no picture"
    return ""


def _decibel(mean_square: float) -> float:
    if mean_square == 0:
        return float("inf")
    return float(20.0 * np.log10(255.0 / np.sqrt(mean_square)))


def _luma_pair(restored: Image, hq: Image, crop: int) -> tuple[Plane, Plane]:
    """Both lumas, cropped, float64."""
    check_images(restored, hq)
    if crop < 0 or 2 * crop >= min(hq.shape[:2]):
        raise MetricError(f"crop {crop} leaves nothing of {hq.shape[1]}x{hq.shape[0]} px")
    window = slice(crop, -crop or None)
    first, second = (luma(image)[window, window].astype(np.float64) for image in (restored, hq))
    return first, second


@cache
def _window() -> Plane:
    """The normalised 1-D Gaussian of the SSIM window, `(11, 1)`."""
    return cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_64F).astype(np.float64)


def _ssim_plane(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """SSIM of two planes `(H, W)`, range 0..255, mean over the positions where the window fits."""
    height, width = first.shape
    if min(height, width) < WINDOW:
        raise MetricError(f"SSIM needs sides of at least {WINDOW} px, these have {width}x{height}")
    # Strips keep the temporaries in the processor's cache: three times faster than whole planes.
    overlap = WINDOW - 1
    total = 0.0
    for top in range(0, height - overlap, STRIP):
        rows = slice(top, top + STRIP + overlap)
        total += float(_ssim_map(first[rows], second[rows]).sum())
    return total / ((height - overlap) * (width - overlap))


def _ssim_map(first: NDArray[np.generic], second: NDArray[np.generic]) -> Plane:
    """SSIM `(H - 10, W - 10)` at every position of the window inside two planes `(H, W)`."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    # The two variances only ever occur as their sum: one filter instead of two.
    squares, product = _blur(a * a + b * b), _blur(a * b)
    mean_product = mean_a * mean_b
    mean_squares = mean_a * mean_a + mean_b * mean_b
    numerator = (2 * mean_product + C1) * (2 * (product - mean_product) + C2)
    denominator = (mean_squares + C1) * (squares - mean_squares + C2)
    values: Plane = numerator / denominator
    return values


def _blur(plane: Plane) -> Plane:
    """Gaussian-weighted means `(H - 10, W - 10)` where the whole window lies inside the plane."""
    half = WINDOW // 2
    filtered = cv2.sepFilter2D(plane, cv2.CV_64F, _window(), _window())
    return np.asarray(filtered[half:-half, half:-half], dtype=np.float64)
