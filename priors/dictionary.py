"""Dict teacher, quick and cpu tiers: high frequencies of patches, as one of 512 codes.

The high frequencies of a face (its own down-up taken away) are cut into square patches, reduced to
8 principal components, companded (their lengths are heavy-tailed) and clustered. Low-pass and patch
are 1/16 of the face wide, seen at 128 pixels: what is coarser needs no code, and of what is finer
than one LQ pixel almost nothing can be told from the LQ (a linear probe on 8 components of 8-pixel
patches beyond the LQ's own band explained less than 5 % of their energy). Codes mean the same for
every size of HQ. The grid of patches is half of the student's side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np

from priors.template import kmeans, nearest

CODES, CODE_DIM = 512, 8
SIDE = 128
"""Side at which patches are taken."""
WIDTH = 8
"""Width of the low-pass and of a patch, in pixels at SIDE."""
SAMPLES = 40_000
FIT_ROUNDS = 12


@dataclass(frozen=True, kw_only=True)
class Codes(ABC):
    """A codebook over high frequencies; a kind of codes adds `vectors`, what is looked up in it."""

    codebook: np.ndarray
    """(K, D) code vectors, of about unit mean square."""
    spread: float
    """Mean squared distance of a vector to its code."""

    @abstractmethod
    def vectors(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Unquantised codes (N, size/2, size/2, D) of HQ faces (N, S, S, 3) uint8 RGB."""

    def ids(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Index of the nearest code (N, size/2, size/2) int64 of each patch of HQ faces."""
        vectors = self.vectors(faces, size)
        labels, _ = nearest(vectors.reshape(-1, vectors.shape[-1]), self.codebook)
        return labels.reshape(vectors.shape[:-1])

    def maps(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Maps (N, D + 1, size, size) float32: expected code, then 1 - entropy / log(codes).

        The chance of a code falls off with its distance as exp(-d^2 / 2 spread).
        """
        vectors = self.vectors(faces, size)
        out = np.empty((len(faces), vectors.shape[-1] + 1, size, size), np.float32)
        for maps, grid in zip(out, vectors, strict=True):
            half = self._soften(grid.reshape(-1, grid.shape[-1])).reshape(*grid.shape[:2], -1)
            maps[:] = cv2.resize(half, (size, size)).transpose(2, 0, 1)
        return out

    def _soften(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (P, D) -> expected code and confidence (P, D + 1)."""
        score = vectors @ self.codebook.T - (self.codebook**2).sum(1) / 2
        score = score / max(self.spread, 1e-6)
        score -= score.max(1, keepdims=True)
        chance = np.exp(score)
        chance /= chance.sum(1, keepdims=True)
        entropy = -(chance * np.log(chance + 1e-12)).sum(1, keepdims=True)
        sure = 1 - entropy / np.log(max(2, len(self.codebook)))
        return np.concatenate([chance @ self.codebook, sure], 1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class PatchCodes(Codes):
    """Codes of patches: basis, companding and codebook."""

    basis: np.ndarray
    """(64, D) principal components of patches, orthonormal."""
    knee: float
    """Length at which companding starts to bend."""
    unit: float
    """Root mean square of the companded components; codes are divided by it."""

    def vectors(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Unquantised codes (N, size/2, size/2, D) of HQ faces (N, S, S, 3) uint8 RGB."""
        flat = np.stack([high_patches(face, size // 2) for face in faces])
        return compand(flat @ self.basis, self.knee) / self.unit


def high_frequencies(face: np.ndarray) -> np.ndarray:
    """Luma of a face (S, S, 3) uint8 at SIDE minus its own down-up, (SIDE, SIDE) in [-1, 1]."""
    return split_luma(face)[0]


def split_luma(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High frequencies and low-pass (SIDE, SIDE) of a face (S, S, 3) uint8; their sum is luma."""
    small = (
        face
        if face.shape[0] == SIDE
        else cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    )
    grey = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    low = cv2.resize(grey, (SIDE // WIDTH, SIDE // WIDTH), interpolation=cv2.INTER_AREA)
    low = cv2.resize(low, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return grey - low, low


def high_patches(face: np.ndarray, grid: int) -> np.ndarray:
    """High-frequency patches (grid, grid, 64), centred on a regular grid."""
    high = np.pad(high_frequencies(face), WIDTH, mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(high, (WIDTH, WIDTH))
    centre = (np.arange(grid) + 0.5) * SIDE / grid
    corner = np.floor(centre - WIDTH / 2).astype(int) + WIDTH
    return views[corner[:, None], corner].reshape(grid, grid, WIDTH * WIDTH)


def compand(vectors: np.ndarray, knee: float) -> np.ndarray:
    """Vectors (..., D) with each length r replaced by log(1 + r / knee)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors * (np.log1p(length / knee) / np.maximum(length, 1e-9))


def expand(vectors: np.ndarray, knee: float) -> np.ndarray:
    """Inverse of `compand`."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors * (knee * np.expm1(length) / np.maximum(length, 1e-9))


def fit_codes(
    faces: np.ndarray,
    rng: np.random.Generator,
    *,
    size: int,
    codes: int = CODES,
    samples: int = SAMPLES,
) -> PatchCodes:
    """Codes learned from HQ faces.

    Args:
        faces: (N, S, S, 3) uint8 RGB.
        size: side of the student's maps; patches are centred on a grid of half of it.
        codes: number of codes; fewer are made when there are not four patches for each.
        samples: about how many patches to learn from.
    """
    pool = sample_patches(faces, rng, size // 2, samples)
    _, vectors = np.linalg.eigh(pool.T @ pool / len(pool))
    basis = np.ascontiguousarray(vectors[:, ::-1][:, :CODE_DIM])
    basis *= np.where(basis[0] < 0, -1, 1)
    reduced = pool @ basis
    knee = max(float(np.median(np.linalg.norm(reduced, axis=1))), 1e-4)
    bent = compand(reduced, knee)
    unit = max(float(np.sqrt((bent**2).mean())), 1e-6)
    bent = (bent / unit).astype(np.float32)
    codes = max(2, min(codes, len(bent) // 4))
    codebook, labels = kmeans(bent, codes, rng, restarts=1, rounds=FIT_ROUNDS)
    spread = float(((bent - codebook[labels]) ** 2).sum(1).mean())
    return PatchCodes(
        basis=basis.astype(np.float32),
        knee=knee,
        unit=unit,
        codebook=codebook,
        spread=spread,
    )


def sample_patches(
    faces: np.ndarray, rng: np.random.Generator, grid: int, samples: int
) -> np.ndarray:
    """About `samples` patches (P, 64) float32 drawn evenly from faces (N, S, S, 3) uint8 RGB."""
    each = max(1, samples // len(faces))
    drawn = []
    for face in faces:
        patches = high_patches(face, grid).reshape(grid * grid, -1)
        take = min(each, len(patches))
        drawn.append(patches[rng.choice(len(patches), take, replace=False)])
    return np.concatenate(drawn).astype(np.float32)
