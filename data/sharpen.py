"""Unsharp masking of HQ faces, which one published recipe applies to its training target."""

from __future__ import annotations

import cv2
import numpy as np

_SIDE = 512


def sharpen(
    image: np.ndarray, *, weight: float = 0.5, radius: int = 51, threshold: float = 10.0
) -> np.ndarray:
    """Sharpened uint8 (H,W,3) of a uint8 (H,W,3) picture; `weight` 0 gives the picture back.

    Adds `weight` times the difference to a Gaussian blur, where that difference exceeds
    `threshold` (8-bit steps), with soft borders (Real-ESRGAN's USM). `radius` is the odd kernel
    size in pixels of a 512 face and scales with the shorter side. Validation HQ are not sharpened,
    so a network trained towards this is scored against something else: off unless asked for.
    """
    size = 2 * max(0, round((radius * min(image.shape[:2]) / _SIDE - 1) / 2)) + 1
    source = image.astype(np.float32)
    residual = source - cv2.GaussianBlur(source, (size, size), 0)
    mask = (np.abs(residual) > threshold).astype(np.float32)
    soft = cv2.GaussianBlur(mask, (size, size), 0)
    sharp = np.clip(source + weight * residual, 0.0, 255.0)
    out = source + soft * (sharp - source)
    return np.clip(np.rint(out), 0.0, 255.0).astype(np.uint8)
