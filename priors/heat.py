"""Heat teacher, quick tier: landmarks that the faces choose themselves.

The corners of the mirror-averaged mean face are the points. In each face they are found again by
normalised cross-correlation with the average patch around them, held together by a shape model
(similarity + principal modes); patches and modes are then learned anew from what was found.
Points come in mirror pairs or lie on the midline, so a mirrored face has the same points with
their indices permuted by `swap`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from models.points import GRID, RADIUS, find_points, fit_shapes, search, windows
from models.student_heads import draw_points

POINTS = 26
FIT_SIZE = GRID
"""Side at which points are searched; distances below are pixels at this side."""
APART = 8.0
"""Least distance between chosen points."""
MODES = 20
"""Most modes of the shape beyond the similarity."""
STIFFNESS = 3.0
"""Weight of the shape modes' own variance against the found places."""
KEPT_VARIANCE = 0.9
FIT_ROUNDS = 4
MOST_FACES = 200
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class PointModel:
    """Average patches and the shape model of the points; all in pixels at FIT_SIZE."""

    mean: np.ndarray
    """(N, 2) mean places, x then y."""
    swap: np.ndarray
    """(N,) index of each point's mirror partner (its own on the midline)."""
    patches: np.ndarray
    """(N, 21, 21) average grey patches."""
    basis: np.ndarray
    """(4 + MODES, N, 2) moves of the shape: the similarity, then its own modes, then zeros."""
    hold: np.ndarray
    """(4 + MODES,) how strongly each is held back."""

    def points(self, faces: np.ndarray) -> np.ndarray:
        """Points (B, N, 2) as shares of the side of HQ faces (B, S, S, 3) uint8 RGB."""
        model = [
            torch.from_numpy(np.asarray(part, np.float32))
            for part in (self.mean, self.patches, self.basis, self.hold)
        ]
        found = [
            find_points(torch.from_numpy(grey_faces(faces[i : i + CHUNK])), *model).numpy()
            for i in range(0, len(faces), CHUNK)
        ]
        return ((np.concatenate(found) + 0.5) / FIT_SIZE).astype(np.float32)


def grey_faces(faces: np.ndarray) -> np.ndarray:
    """Luma (B, FIT_SIZE, FIT_SIZE) float32 in [0, 1] of faces (B, S, S, 3) uint8 RGB."""
    out = np.empty((len(faces), FIT_SIZE, FIT_SIZE), np.float32)
    for face, grey in zip(faces, out, strict=True):
        small = cv2.resize(face, (FIT_SIZE, FIT_SIZE), interpolation=cv2.INTER_AREA)
        grey[:] = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return out / 255


def choose_points(mean_face: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The strongest corners of a mirror-symmetric face, and their mirror permutation.

    Args:
        mean_face: (S, S) grey in [0, 1], equal to its own mirror image.
        count: number of points.
    Returns:
        places (count, 2) in pixels and swap (count,): pairs first left then right, sorted from
        top to bottom; points nearer than APART / 2 to the midline lie on it.
    """
    size = mean_face.shape[0]
    middle = (size - 1) / 2
    strength = cv2.cornerMinEigenVal(mean_face, blockSize=5, ksize=3)
    strength = cv2.GaussianBlur(strength, (0, 0), 1.0) * face_region(size)
    order = np.dstack(np.unravel_index(np.argsort(strength, axis=None)[::-1], strength.shape))[0]
    chosen: list[tuple[float, float]] = []
    missing = count
    for apart in (APART, APART / 2, 1.0):
        for row, column in order:
            x, y = (float(column), float(row))
            x = middle if abs(x - middle) < apart / 2 else x
            takes = 1 if x == middle else 2
            near = any((x - a) ** 2 + (y - b) ** 2 < apart**2 for a, b in chosen)
            if x > middle or takes > missing or near or 1 < 2 * (middle - x) < apart:
                continue
            chosen.append((x, y))
            missing -= takes
            if not missing:
                return with_mirrors(chosen, middle)
    raise ValueError(f"no {count} points in a mean face of side {size}")


def face_region(size: int) -> np.ndarray:
    """1 inside the ellipse that an aligned face fills, 0 outside; (S, S) float32."""
    line = (np.arange(size) + 0.5) / size
    inside = ((line[None] - 0.5) / 0.32) ** 2 + ((line[:, None] - 0.55) / 0.36) ** 2 < 1
    return inside.astype(np.float32)


def with_mirrors(left: list[tuple[float, float]], middle: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of the left half and the midline -> all points (N, 2) and their swap (N,)."""
    places: list[tuple[float, float]] = []
    swap: list[int] = []
    for x, y in sorted(left, key=lambda p: (p[1], p[0])):
        here = len(places)
        if x == middle:
            places.append((x, y))
            swap.append(here)
        else:
            places += [(x, y), (2 * middle - x, y)]
            swap += [here + 1, here]
    return np.array(places, np.float32), np.array(swap)


def similarity_modes(mean: np.ndarray) -> np.ndarray:
    """Orthonormal moves (4, N, 2) of points (N, 2): two shifts, scale, rotation."""
    centred = mean - mean.mean(0)
    shift_x, shift_y = np.zeros_like(mean), np.zeros_like(mean)
    shift_x[:, 0], shift_y[:, 1] = 1, 1
    turn = np.stack([-centred[:, 1], centred[:, 0]], 1)
    moves = np.stack([shift_x, shift_y, centred, turn]).astype(np.float64)
    return moves / np.linalg.norm(moves, axis=(1, 2), keepdims=True)


def held(mean: np.ndarray, modes: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Basis (4 + MODES, N, 2) of the shape's moves and how strongly each is held (4 + MODES,).

    Modes are held by STIFFNESS x (mean variance of the modes) / (variance of the mode).
    """
    basis = np.zeros((4 + MODES, *mean.shape), np.float32)
    hold = np.ones(4 + MODES, np.float32)
    basis[:4], hold[:4] = similarity_modes(mean), 1e-6
    if len(modes):
        basis[4 : 4 + len(modes)] = modes
        hold[4 : 4 + len(modes)] = STIFFNESS * spread.mean() / np.maximum(spread, 1e-6)
    return basis, hold


def learn_modes(shapes: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modes (M, N, 2) and variances (M,) of shapes (B, N, 2) beyond similarity, to 90 %."""
    rigid = similarity_modes(mean).reshape(4, -1)
    basis = np.linalg.qr(rigid.T)[0]
    moved = (shapes - mean).reshape(len(shapes), -1).astype(np.float64)
    moved = moved - (moved @ basis) @ basis.T
    values, vectors = np.linalg.eigh(moved.T @ moved / len(moved))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    share = np.cumsum(values) / max(values.sum(), 1e-12)
    kept = int(np.searchsorted(share, KEPT_VARIANCE)) + 1 if values.sum() > 1e-9 else 0
    kept = min(kept, MODES)
    return vectors.T[:kept].reshape(kept, *mean.shape), values[:kept]


def mirrored(shapes: np.ndarray, swap: np.ndarray) -> np.ndarray:
    """Shapes (..., N, 2) of the mirrored faces, in pixels at FIT_SIZE."""
    flipped = shapes[..., swap, :].copy()
    flipped[..., 0] = FIT_SIZE - 1 - flipped[..., 0]
    return flipped


def fit_points(faces: np.ndarray, rng: np.random.Generator, count: int = POINTS) -> PointModel:
    """Points learned from HQ faces (N, S, S, 3) uint8 RGB; at most MOST_FACES are used."""
    if len(faces) > MOST_FACES:
        faces = faces[np.sort(rng.choice(len(faces), MOST_FACES, replace=False))]
    grey = grey_faces(faces)
    average = grey.mean(0)
    mean, swap = choose_points((average + average[:, ::-1]) / 2, count)
    both = np.concatenate([grey, grey[..., ::-1]])
    places = np.broadcast_to(mean, (len(grey), *mean.shape)).astype(np.float32)
    basis, hold = held(mean, np.zeros((0, *mean.shape)), np.zeros(0))
    for _ in range(FIT_ROUNDS):
        shapes = np.concatenate([places, mirrored(places, swap)])
        cut = windows(torch.from_numpy(both), torch.from_numpy(shapes), RADIUS).numpy()
        patches = normalised(cut).mean(0)
        found, trust = searched(grey, places, patches)
        shapes = np.concatenate([found, mirrored(found, swap)])
        basis, hold = held(mean, *learn_modes(shapes, mean))
        model = (torch.from_numpy(np.asarray(a, np.float32)) for a in (mean, basis, hold))
        places = fit_shapes(torch.from_numpy(found), torch.from_numpy(trust), *model).numpy()
    middle = np.concatenate([places, mirrored(places, swap)]).mean(0)
    return PointModel(mean=middle, swap=swap, patches=patches, basis=basis, hold=hold)


def searched(
    grey: np.ndarray, places: np.ndarray, patches: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`models.points.search` of many faces, some at a time."""
    parts = [
        search(
            torch.from_numpy(grey[i : i + CHUNK]),
            torch.from_numpy(places[i : i + CHUNK]),
            torch.from_numpy(patches),
        )
        for i in range(0, len(grey), CHUNK)
    ]
    found, trust = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return found, trust


def normalised(patches: np.ndarray) -> np.ndarray:
    """Patches (..., k, k) with mean 0 and length 1."""
    centred = patches - patches.mean((-2, -1), keepdims=True)
    return centred / (np.linalg.norm(centred, axis=(-2, -1), keepdims=True) + 1e-6)


def draw_heat(points: np.ndarray, size: int) -> np.ndarray:
    """Heat maps (N, size, size) in [0, 1] of points (N, 2) given as shares of the side."""
    return np.asarray(draw_points(torch.from_numpy(points), size))
