"""The second-order degradation: blur, resize, noise and JPEG twice over, and a final sinc.

Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
Data", section 3, with the ranges of the 2024 edition of the challenge. Where the reference draws
some choices per batch, every choice here is drawn per sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi

import numpy as np

from data.blur import KERNEL_SIZES, BlurRange, blur, draw_kernel, draw_sinc
from data.jpeg import jpeg
from data.levels import to_levels
from data.noise import gaussian_noise, poisson_noise
from data.resize import RESIZE_MODES, rescale, resize

_SHAPES = (
    ("gaussian", True, 0.45),
    ("gaussian", False, 0.25),
    ("generalized", True, 0.12),
    ("generalized", False, 0.03),
    ("plateau", True, 0.12),
    ("plateau", False, 0.03),
)
_BETA = (("generalized", (0.5, 4.0)), ("plateau", (1.0, 2.0)))


def _blur_range(sigma: tuple[float, float]) -> BlurRange:
    return BlurRange(shapes=_SHAPES, sigma=sigma, beta=_BETA, sinc_probability=0.1)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One of the two rounds; each pair is the bounds of a uniform draw.

    `resize_probability` is (up, down, keep), `resize_range` the factors at its ends, relative to
    the HQ in the first round and to the LQ in the second. `sigma` of Gaussian noise is in 8-bit
    steps, `poisson_scale` multiplies shot noise.
    """

    blur: BlurRange
    blur_probability: float
    resize_probability: tuple[float, float, float]
    resize_range: tuple[float, float]
    sigma: tuple[float, float]
    poisson_scale: tuple[float, float]
    quality: tuple[int, int]
    gaussian_probability: float = 0.5
    grey_probability: float = 0.4

    def draw_factor(self, rng: np.random.Generator) -> float:
        """Resize factor: 1..high, low..1 or exactly 1, with `resize_probability`."""
        kind = int(rng.choice(3, p=self.resize_probability))
        low, high = self.resize_range
        return (rng.uniform(1.0, high), rng.uniform(low, 1.0), 1.0)[kind]

    def add_noise(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Float32 BGR image (H,W,3) with noise, clipped to 0..255."""
        grey = rng.random() < self.grey_probability
        if rng.random() < self.gaussian_probability:
            sigma = rng.uniform(*self.sigma)
            noise = gaussian_noise(image.shape[:2], rng, sigma=sigma, grey=grey)
        else:
            noise = poisson_noise(image, rng, scale=rng.uniform(*self.poisson_scale), grey=grey)
        noise += image
        return np.clip(noise, 0.0, 255.0, out=noise)


_FIRST = Stage(
    blur=_blur_range((0.2, 3.0)),
    blur_probability=1.0,
    resize_probability=(0.2, 0.7, 0.1),
    resize_range=(0.2, 1.5),
    sigma=(1.0, 20.0),
    poisson_scale=(0.05, 2.0),
    quality=(50, 95),
)
_SECOND = Stage(
    blur=_blur_range((0.2, 1.5)),
    blur_probability=0.8,
    resize_probability=(0.3, 0.4, 0.3),
    resize_range=(0.3, 1.2),
    sigma=(1.0, 15.0),
    poisson_scale=(0.05, 1.5),
    quality=(70, 95),
)


@dataclass(frozen=True, kw_only=True)
class SecondOrder:
    """Both rounds and the final sinc filter of the 2024 edition of the challenge."""

    first: Stage = field(default=_FIRST)
    second: Stage = field(default=_SECOND)
    final_sinc_probability: float = 0.8

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, scale: int, spatial: float
    ) -> np.ndarray:
        """LQ uint8 BGR (H/scale, W/scale, 3) of an HQ uint8 BGR (H,W,3); `spatial` = side/512."""
        size = (image.shape[0] // scale, image.shape[1] // scale)
        out = blur(image.astype(np.float32), draw_kernel(rng, self.first.blur, spatial=spatial))
        out = rescale(out, self.first.draw_factor(rng), _mode(rng))
        out = self.first.add_noise(out, rng)
        out = jpeg(out, rng, self.first.quality).astype(np.float32)
        if rng.random() < self.second.blur_probability:
            out = blur(out, draw_kernel(rng, self.second.blur, spatial=spatial))
        factor = self.second.draw_factor(rng)
        out = resize(out, (_part(size[0], factor), _part(size[1], factor)), _mode(rng))
        out = self.second.add_noise(out, rng)
        if rng.random() < 0.5:
            out = self._to_size(out, rng, size=size, spatial=spatial)
            return jpeg(out, rng, self.second.quality)
        out = jpeg(out, rng, self.second.quality).astype(np.float32)
        out = self._to_size(out, rng, size=size, spatial=spatial)
        return to_levels(out)

    def _to_size(
        self, image: np.ndarray, rng: np.random.Generator, *, size: tuple[int, int], spatial: float
    ) -> np.ndarray:
        """Image resized to the LQ size, then sinc-filtered with `final_sinc_probability`."""
        image = resize(image, size, _mode(rng))
        if rng.random() < self.final_sinc_probability:
            kernel_size = int(rng.choice(KERNEL_SIZES))
            kernel = draw_sinc(rng, size=kernel_size, low=pi / 3, spatial=spatial)
            image = blur(image, kernel)
        return image


def _part(length: int, factor: float) -> int:
    return max(1, int(length * factor))


def _mode(rng: np.random.Generator) -> str:
    return RESIZE_MODES[int(rng.integers(len(RESIZE_MODES)))]
