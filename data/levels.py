"""Pictures of real numbers to 8 bit."""

from __future__ import annotations

import cv2
import numpy as np


def to_levels(image: np.ndarray) -> np.ndarray:
    """Float32 picture of 0..255 clipped and rounded to uint8, same shape; uint8 stays as it is."""
    if image.dtype == np.uint8:
        return image
    # adding nothing is OpenCV's fastest conversion that clips below 0 too
    return np.asarray(cv2.add(image, 0.0, dtype=cv2.CV_8U))  # type: ignore[call-overload]
