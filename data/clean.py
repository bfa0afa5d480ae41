"""Reduction alone, by one interpolation kernel or by a random one, without blur, noise or JPEG.

A network trained on one kernel fails on another; training over several does not. No kernel smooths
before it samples (as when a picture is shown smaller), so fine patterns alias.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

KERNELS: dict[str, int] = {
    "nearest": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}


@dataclass(frozen=True)
class Clean:
    """One of `kernels`, equally likely."""

    kernels: tuple[str, ...] = tuple(KERNELS)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, scale: int, spatial: float
    ) -> np.ndarray:
        """LQ uint8 BGR (H/scale, W/scale, 3) of an HQ uint8 BGR (H,W,3); `spatial` is not used."""
        kernel = KERNELS[self.kernels[int(rng.integers(len(self.kernels)))]]
        size = (image.shape[1] // scale, image.shape[0] // scale)
        return np.asarray(cv2.resize(image, size, interpolation=kernel), dtype=np.uint8)


CLEAN: dict[str, Clean] = {"kernels": Clean(), **{name: Clean((name,)) for name in KERNELS}}
"""By name: `kernels` draws one per face, the others are always the same."""
