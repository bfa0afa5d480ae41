"""Random blur kernels and fast exact blurring with them."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np

from data.kernels import bell_kernel, sinc_kernel

KERNEL_SIZES: tuple[int, ...] = tuple(range(7, 22, 2))
# A blur may differ from the full kernel's by at most 255 * 4e-5 = 0.01 of an 8-bit step.
_TOLERANCE = 4e-5
# Milliseconds for 512x512x3 float32 on one core, only their ratio counts (OpenCV 5, AVX2).
_MS_FOURIER, _MS_PER_TAP, _MS_PER_LINE_TAP, _MS_PER_TERM = 11.3, 0.027, 0.09, 0.3
_FOURIER_TAPS = 130


@dataclass(frozen=True, kw_only=True)
class BlurRange:
    """From which kernels a blur draws. Lengths in pixels of a 512 face, angles in radians.

    `shapes` lists (family, isotropic, probability); `sigma` bounds both axes; `beta` maps a family
    to its range, drawn below or above 1 with equal probability; `sinc_probability` is the chance of
    a sinc kernel instead, its cutoff at least pi/3 for sizes under 13, else pi/5, and at most pi.
    """

    shapes: tuple[tuple[str, bool, float], ...]
    sigma: tuple[float, float]
    sizes: tuple[int, ...] = KERNEL_SIZES
    beta: tuple[tuple[str, tuple[float, float]], ...] = ()
    sinc_probability: float = 0.0


def scaled_size(size: int, spatial: float) -> int:
    """Odd kernel size nearest to `size` * `spatial`, at least 1."""
    return 2 * max(0, round((size * spatial - 1) / 2)) + 1


def draw_sinc(rng: np.random.Generator, *, size: int, low: float, spatial: float) -> np.ndarray:
    """Sinc kernel of a cutoff uniform in `low`..pi, both lengths scaled by `spatial`.

    A cutoff that leaves the band of the smaller image (pi or more) removes nothing: identity.
    """
    cutoff = rng.uniform(low, pi) / spatial
    return sinc_kernel(scaled_size(size, spatial), cutoff) if cutoff < pi else np.ones((1, 1))


def draw_kernel(rng: np.random.Generator, choices: BlurRange, *, spatial: float) -> np.ndarray:
    """One random kernel, float64 (k,k) with odd k, summing to 1; `spatial` = side / 512."""
    size = int(rng.choice(choices.sizes))
    if rng.random() < choices.sinc_probability:
        return draw_sinc(rng, size=size, low=pi / 3 if size < 13 else pi / 5, spatial=spatial)
    weights = [probability for _, _, probability in choices.shapes]
    family, isotropic, _ = choices.shapes[int(rng.choice(len(weights), p=weights))]
    sigma_x = rng.uniform(*choices.sigma)
    sigma_y = sigma_x if isotropic else rng.uniform(*choices.sigma)
    theta = 0.0 if isotropic else rng.uniform(-pi, pi)
    beta = 1.0
    if family in dict(choices.beta):
        low, high = dict(choices.beta)[family]
        beta = rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high)
    return bell_kernel(
        family,
        size=scaled_size(size, spatial),
        sigma_x=sigma_x * spatial,
        sigma_y=sigma_y * spatial,
        theta=theta,
        beta=beta,
    )


def _trimmed(kernel: np.ndarray) -> np.ndarray:
    """Kernel without the outer rings whose absolute sum is a tenth of the tolerance or less."""
    total = np.abs(kernel).sum()
    for margin in range(kernel.shape[0] // 2, 0, -1):
        inner = kernel[margin:-margin, margin:-margin]
        if total - np.abs(inner).sum() <= 0.1 * _TOLERANCE:
            return inner
    return kernel


def separable_terms(kernel: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fewest (column, row) pairs whose outer products add up to `kernel` (k,k), up to an absolute
    sum of differences of 3.6e-5; an isotropic Gaussian needs one."""
    left, values, right = np.linalg.svd(kernel)
    rest = kernel.copy()
    terms = []
    for i, value in enumerate(values):
        column, row = left[:, i] * value, right[i]
        terms.append((column, row))
        rest = rest - np.outer(column, row)
        if np.abs(rest).sum() <= 0.9 * _TOLERANCE:
            break
    return terms


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Float32 (H,W,3) image correlated with `kernel` (k,k), borders reflected; equal to the plain
    correlation within 0.01 for values up to 255, by whichever of two ways is cheaper."""
    kernel = _trimmed(kernel)
    size = kernel.shape[0]
    if size == 1:
        return image * np.float32(kernel[0, 0])
    whole = size**2 * _MS_PER_TAP if size**2 < _FOURIER_TAPS else _MS_FOURIER
    per_term = size * _MS_PER_LINE_TAP + _MS_PER_TERM
    terms = separable_terms(kernel)
    if len(terms) * per_term > whole:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    column, row = terms[0]
    out = cv2.sepFilter2D(image, -1, row, column, borderType=cv2.BORDER_REFLECT_101)
    for column, row in terms[1:]:
        part = cv2.sepFilter2D(image, -1, row, column, borderType=cv2.BORDER_REFLECT_101)
        cv2.add(out, part, dst=out)
    return out
