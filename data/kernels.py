"""Blur kernels of blind super-resolution: Gaussian, generalized Gaussian, plateau and sinc.

The three bell shapes share one covariance and differ in how its Mahalanobis distance falls off
(Wang et al. 2021, "Real-ESRGAN", section 3.1 and appendix); sinc is a circular low pass, whose
ringing and overshoot are what over-sharpened or strongly compressed pictures show.
"""

from __future__ import annotations

import numpy as np
from scipy.special import j1

FAMILIES: tuple[str, ...] = ("gaussian", "generalized", "plateau")


def squared_distance(size: int, sigma_x: float, sigma_y: float, theta: float) -> np.ndarray:
    """Squared Mahalanobis distance of each kernel pixel to the centre, float64 (size, size).

    `size` is odd, sigmas are in pixels along the axes before a rotation by `theta` radians.
    Raises ValueError on an even size or a sigma that is not positive.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"kernel size {size} is not odd and positive")
    if sigma_x <= 0 or sigma_y <= 0:
        raise ValueError(f"sigma ({sigma_x}, {sigma_y}) must be positive")
    axis = np.arange(size, dtype=np.float64) - size // 2
    x, y = axis[None, :], axis[:, None]
    cos, sin = np.cos(theta), np.sin(theta)
    along, across = (cos * x + sin * y) / sigma_x, (cos * y - sin * x) / sigma_y
    return along**2 + across**2


def bell_kernel(
    family: str, *, size: int, sigma_x: float, sigma_y: float, theta: float, beta: float = 1.0
) -> np.ndarray:
    """One bell-shaped kernel of `FAMILIES`, float64 (size, size), summing to 1.

    With d the squared distance: gaussian exp(-d/2), generalized exp(-d^beta/2),
    plateau 1/(d^beta + 1). An isotropic kernel is one with sigma_y = sigma_x.
    """
    distance = squared_distance(size, sigma_x, sigma_y, theta)
    if family == "gaussian":
        kernel = np.exp(-0.5 * distance)
    elif family == "generalized":
        kernel = np.exp(-0.5 * distance**beta)
    elif family == "plateau":
        kernel = 1.0 / (distance**beta + 1.0)
    else:
        raise ValueError(f"kernel family {family!r} is not one of {', '.join(FAMILIES)}")
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """Circular low-pass kernel, float64 (size, size), summing to 1; it has negative lobes.

    `size` is odd, `cutoff` in radians per pixel (pi is the Nyquist frequency of an axis).
    The impulse response of a disc of radius c is c J1(c r) / (2 pi r), and c^2 / (4 pi) at r = 0.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"kernel size {size} is not odd and positive")
    axis = np.arange(size, dtype=np.float64) - size // 2
    radius = np.hypot(axis[None, :], axis[:, None])
    centre = size // 2
    radius[centre, centre] = 1.0
    kernel = cutoff * j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4 * np.pi)
    return kernel / kernel.sum()
