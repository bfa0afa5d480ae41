"""Fixed LQ/HQ pairs to validate on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from data.sources import FaceSource

SEED = 2024
"""Seed of every LQ that is made for validation."""
ImagePair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Validation:
    """Pairs of a restored image's input and truth, the same in every run."""

    names: Sequence[str]
    """One name per pair."""
    pairs: Sequence[ImagePair]
    """(LQ uint8 `(h,w,3)`, HQ uint8 `(h*s,w*s,3)`), RGB."""
    fingerprint: str = ""
    """16 hex digits that stand for the faces and how their LQ came about."""

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, i: int) -> ImagePair:
        """Return (LQ, HQ) number `i`."""
        return self.pairs[i]


class StoredPairs(Sequence[ImagePair]):
    """Pairs out of two sources with the same names."""

    def __init__(self, lq: FaceSource, hq: FaceSource) -> None:
        self._lq, self._hq = lq, hq

    def __len__(self) -> int:
        return len(self._hq)

    @overload
    def __getitem__(self, i: int) -> ImagePair: ...
    @overload
    def __getitem__(self, i: slice) -> list[ImagePair]: ...
    def __getitem__(self, i: int | slice) -> ImagePair | list[ImagePair]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        i = range(len(self))[i]
        return self._lq.image(i), self._hq.image(i)


class DegradedFaces:
    """LQ made from HQ faces once, with a preset and a seed, and kept in memory.

    The LQ of face `i` depends on the face, the preset, the scale, the seed and `i` alone.
    """

    def __init__(self, hq: FaceSource, *, degradation: str, scale: int, seed: int = SEED) -> None:
        self._hq, self._preset, self._scale, self._seed = hq, degradation, scale, seed
        self._kept: dict[int, np.ndarray] = {}
        self.names = hq.names
        self.side = hq.side // scale
        text = f"{hq.fingerprint} {hq.side} {degradation} {scale} {seed}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._hq)

    def image(self, i: int) -> np.ndarray:
        """Return the LQ of face `i`, uint8 `(side,side,3)`, the caller's to change."""
        i = range(len(self))[i]
        if i not in self._kept:
            self._kept[i] = fixed_lq(
                self._hq.image(i), i, degradation=self._preset, scale=self._scale, seed=self._seed
            )
        return self._kept[i].copy()


def fixed_lq(
    hq: np.ndarray, index: int, *, degradation: str, scale: int, seed: int = SEED
) -> np.ndarray:
    """Return the validation LQ of face number `index`, uint8 `(H/scale,W/scale,3)`."""
    from data.degradation import degrade
    from data.sampling import sample_rng

    return degrade(hq, sample_rng(seed, 0, index), degradation, scale)
