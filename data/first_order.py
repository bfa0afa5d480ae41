"""The first-order degradation: blur, downscale, noise, JPEG, back to full size, area downscale."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.blur import BlurRange, blur, draw_kernel
from data.jpeg import jpeg
from data.levels import to_levels
from data.noise import gaussian_noise
from data.resize import INTERPOLATION, RESIZE_MODES

_BLUR = BlurRange(
    shapes=(("gaussian", True, 0.5), ("gaussian", False, 0.5)), sigma=(0.2, 5.0), sizes=(41,)
)


@dataclass(frozen=True, kw_only=True)
class FirstOrder:
    """Ranges of the 2023 edition of the challenge; each pair is the bounds of a uniform draw.

    `sigma` of the noise is in 8-bit steps; `downscale` is relative to the HQ side. Resizing is
    OpenCV's own (its INTER_AREA, not adaptive pooling).
    """

    blur: BlurRange = _BLUR
    downscale: tuple[float, float] = (0.0625, 1.0)
    sigma: tuple[float, float] = (0.0, 25.0)
    quality: tuple[int, int] = (50, 95)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, scale: int, spatial: float
    ) -> np.ndarray:
        """LQ uint8 BGR (H/scale, W/scale, 3) of an HQ uint8 BGR (H,W,3); `spatial` = side/512."""
        height, width = image.shape[:2]
        out = blur(image.astype(np.float32), draw_kernel(rng, self.blur, spatial=spatial))
        factor = rng.uniform(*self.downscale)
        small = (max(1, int(width * factor)), max(1, int(height * factor)))
        out = cv2.resize(out, small, interpolation=_mode(rng))
        sigma = rng.uniform(*self.sigma)
        out = out + gaussian_noise((small[1], small[0]), rng, sigma=sigma, grey=False)
        decoded = jpeg(out, rng, self.quality).astype(np.float32)
        full = cv2.resize(decoded, (width, height), interpolation=_mode(rng))
        levels = to_levels(full)
        return cv2.resize(levels, (width // scale, height // scale), interpolation=cv2.INTER_AREA)


def _mode(rng: np.random.Generator) -> int:
    return INTERPOLATION[RESIZE_MODES[int(rng.integers(len(RESIZE_MODES)))]]
