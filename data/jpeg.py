"""JPEG compression and decompression in memory."""

from __future__ import annotations

import cv2
import numpy as np

from data.levels import to_levels


def jpeg(image: np.ndarray, rng: np.random.Generator, quality: tuple[int, int]) -> np.ndarray:
    """BGR image (H,W,3) in 0..255 after one JPEG round trip, uint8 (H,W,3).

    The image is clipped and rounded to 8 bit first; the quality is uniform in `quality`, chroma is
    halved in both directions (4:2:0).
    """
    setting = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*quality))]
    _, coded = cv2.imencode(".jpg", to_levels(image), setting)
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
