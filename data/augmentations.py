"""Random changes of training faces beyond the flip, each with its probability; all off by default.

Those of the face itself (rotation, jitter, permutation, blend) come before the degradation, so LQ,
HQ and what the student sees stay one picture. CutBlur and noise change the LQ after it. Sources:
Yoo et al., Rethinking Data Augmentation for Image Super-resolution (CVPR 2020), section 3, for
CutBlur, blend and the permutation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from data.errors import DataError
from data.levels import to_levels

ROTATION_DEGREES = 25.0
BRIGHTNESS = 16.0
"""Largest change of brightness, in 8-bit steps."""
HUE_DEGREES = 9.0
STRENGTH = (0.75, 1.25)
"""Factors of contrast and of saturation."""
BLEND_KEEP = (0.6, 1.0)
"""Share of the face that a blend keeps."""
CUT_SIDE = 0.7
"""Mean side of CutBlur's rectangle as a share of the LQ's side."""
NOISE_SIGMA = 5.0
"""Standard deviation of the input noise, in 8-bit steps."""

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Augmentation:
    """Probabilities by name, see `parse`. Nothing is drawn for a name that is left out."""

    probabilities: tuple[tuple[str, float], ...] = ()

    def face(self, hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The changed HQ face, uint8 RGB (H,W,3), before it is degraded."""
        for name, change in FACE_CHANGES.items():
            if self._drawn(name, rng):
                hq = change(hq, rng)
        return hq

    def lq(self, lq: np.ndarray, hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The changed LQ, uint8 RGB (h,w,3), of the HQ (H,W,3) that it was made from."""
        if self._drawn("cutblur", rng):
            lq = cut_blur(lq, hq, rng)
        if self._drawn("noise", rng):
            lq = noisy(lq, rng)
        return lq

    def _drawn(self, name: str, rng: np.random.Generator) -> bool:
        return any(name == own and rng.random() < p for own, p in self.probabilities)


def rotate(hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture turned about its centre by up to 25 degrees; borders are mirrored."""
    height, width = hq.shape[:2]
    angle = rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return cv2.warpAffine(
        hq, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def jitter(hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with another brightness, contrast, saturation and hue."""
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    contrast, saturation = (rng.uniform(*STRENGTH) for _ in range(2))
    hue = rng.uniform(-HUE_DEGREES, HUE_DEGREES)
    image = hq.astype(np.float32)
    image = (image - image.mean()) * contrast + image.mean() + brightness
    hsv = cv2.cvtColor(np.clip(image, 0, 255) / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + hue) % 360.0
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0.0, 1.0)
    return to_levels(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255.0)


def permute(hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with its colour channels in another order."""
    return np.ascontiguousarray(hq[..., rng.permutation(3)])


def blend(hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture mixed with one flat colour."""
    keep = rng.uniform(*BLEND_KEEP)
    colour = rng.uniform(0.0, 255.0, size=3)
    return to_levels((keep * hq + (1.0 - keep) * colour).astype(np.float32))


def noisy(lq: np.ndarray, rng: np.random.Generator, sigma: float = NOISE_SIGMA) -> np.ndarray:
    """The LQ uint8 RGB with white noise of deviation `sigma` in 8-bit steps."""
    return to_levels(lq + rng.normal(0.0, sigma, lq.shape).astype(np.float32))


def cut_blur(lq: np.ndarray, hq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The LQ with a rectangle, or all but it, replaced by the clean reduction of the HQ.

    The network then sees in one picture where it must restore and where it must leave alone.
    """
    height, width = lq.shape[:2]
    clean = cv2.resize(hq, (width, height), interpolation=cv2.INTER_AREA)
    share = float(np.clip(rng.normal(CUT_SIDE, 0.01), 0.05, 1.0))
    rows, columns = max(1, int(share * height)), max(1, int(share * width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    inside = np.zeros((height, width, 1), dtype=bool)
    inside[top : top + rows, left : left + columns] = True
    if rng.random() < 0.5:
        inside = ~inside
    return np.where(inside, clean, lq)


FACE_CHANGES: dict[str, Change] = {
    "rotation": rotate,
    "jitter": jitter,
    "permutation": permute,
    "blend": blend,
}
AUGMENTATIONS = (*FACE_CHANGES, "cutblur", "noise")
MOVING = frozenset({"rotation"})
"""Those after which labels of the unchanged face would be in the wrong place."""


def parse(terms: Sequence[str]) -> Augmentation:
    """The augmentation of terms `name=probability`, such as `rotation=0.5 jitter=0.5`.

    Raises `DataError` for an unknown or doubled name, or a number outside 0..1.
    """
    chosen: dict[str, float] = {}
    for term in terms:
        name, _, number = term.partition("=")
        if name not in AUGMENTATIONS or name in chosen:
            raise DataError(f"--augment {term}: name each of {', '.join(AUGMENTATIONS)} once")
        try:
            chosen[name] = float(number)
        except ValueError as error:
            raise DataError(f"--augment {term}: write {name}=0.5, a probability") from error
        if not 0.0 <= chosen[name] <= 1.0:
            raise DataError(f"--augment {term}: a probability lies between 0 and 1")
    return Augmentation(tuple(chosen.items()))
