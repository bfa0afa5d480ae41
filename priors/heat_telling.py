"""Heat teacher, cpu tier: of many candidates on the whole face, the points that tell most.

The candidates are where edge directions change together in the mean face, outline and lower lip
included. They are found in some faces; of them the 26 are kept, in mirror pairs, from which the
places of all candidates can best be told, given how they vary between faces and how surely each
is found again in a face that was moved (as sensors are placed for Gaussian processes: Krause,
Singh, Guestrin 2008, here by the variance that is left).
"""

from __future__ import annotations

import cv2
import numpy as np

from models.points import edge_maps
from priors.geometry import move_points, small_similarity, warp_image
from priors.heat import (
    FIT_SIZE,
    POINTS,
    PointModel,
    face_region,
    follow,
    grey_faces,
    parts,
    searched,
    spread_points,
)

CANDIDATES, CANDIDATES_APART = 60, 6.0
WHOLE_FACE = (0.57, 0.36, 0.40)
"""Ellipse of the candidates, as `priors.heat.FACE_REGION`: chin and cheeks belong to it."""
SCOUTED, MOVED = 200, 60
"""Faces in which candidates are looked for, and those of them that are moved as well."""
MOST_ERROR = 0.04 * 124 / 4
"""Equivariance error, in pixels, above which a candidate is not taken: 4 % of the eye distance."""


def fit_telling_points(
    faces: np.ndarray, rng: np.random.Generator, count: int = POINTS
) -> PointModel:
    """Points learned from all HQ faces (N, S, S, 3) uint8 RGB, N x FIT_SIZE^2 floats in memory."""
    grey = grey_faces(faces)
    chosen = rng.permutation(len(grey))[:SCOUTED]
    some = np.ascontiguousarray(grey[np.sort(chosen)])
    places, swap = spread_points(edge_strength(some), CANDIDATES, CANDIDATES_APART)
    scout = follow(some, places, swap)
    kept = most_telling(*evidence(scout, faces[np.sort(chosen)], some, rng), swap, count)
    return follow(grey, scout.mean[kept].astype(np.float32), renumbered(swap, kept))


def edge_strength(grey: np.ndarray) -> np.ndarray:
    """How much edge directions of the mean face change around each place, (S, S), symmetric."""
    total = sum(edge_maps(part).sum(0).numpy() for (part,) in parts(grey))
    maps = np.asarray(total, np.float32) / len(grey)
    strength = sum(cv2.cornerMinEigenVal(one, blockSize=5, ksize=3) for one in maps)
    strength = cv2.GaussianBlur(np.asarray(strength, np.float32), (0, 0), 1.0)
    return (strength + strength[:, ::-1]) * face_region(len(strength), WHOLE_FACE)


def evidence(
    model: PointModel, faces: np.ndarray, grey: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How points vary, how far from the shape they are found, and how they follow a moved face.

    Returns:
        covariance (2N, 2N) of the shapes, noise (N,) in square pixels along an axis, equivariance
        error (N,) in pixels.
    """
    shares = model.points(faces)
    shapes = (shares * FIT_SIZE - 0.5).astype(np.float32)
    found, _ = searched(grey, shapes, model.patches)
    noise = ((found - shapes) ** 2).mean((0, 2))
    error = equivariance(model, faces[:MOVED], shares[:MOVED], rng)
    flat = (shapes - shapes.mean(0)).reshape(len(shapes), -1).astype(np.float64)
    return flat.T @ flat / len(flat), noise + error**2 / 2, error


def equivariance(
    model: PointModel, faces: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mean distance (N,), in pixels, of points of moved faces from their moved points (B, N, 2)."""
    moves = [small_similarity(rng) for _ in faces]
    warped = np.stack([warp_image(face, move) for face, move in zip(faces, moves, strict=True)])
    wanted = np.stack([move_points(p, move) for p, move in zip(shares, moves, strict=True)])
    return FIT_SIZE * np.linalg.norm(model.points(warped) - wanted, axis=2).mean(0)


def most_telling(
    covariance: np.ndarray, noise: np.ndarray, error: np.ndarray, swap: np.ndarray, count: int
) -> np.ndarray:
    """Indices (count,), ascending, of the points that leave least variance of all points unknown.

    Args:
        covariance: (2N, 2N) of x and y of the points. noise: (N,) variance along an axis.
        error: (N,) pixels; above MOST_ERROR a point is only taken where no other is left.
        swap: (N,) mirror partners, which are taken together.
    """
    left = covariance.copy()
    chosen: list[int] = []
    units = [sorted({i, int(swap[i])}) for i in range(len(swap)) if i <= swap[i]]
    while len(chosen) < count:
        room = [unit for unit in units if len(unit) <= count - len(chosen)]
        if not room:
            raise ValueError(f"{count} points cannot be taken in pairs")
        steady = [unit for unit in room if error[unit].max() <= MOST_ERROR] or room
        gains = [_gain(left, noise, unit) / len(unit) for unit in steady]
        best = steady[int(np.argmax(gains))]
        rows, seen = _seen(left, noise, best)
        left = left - left[:, rows] @ np.linalg.solve(seen, left[rows])
        chosen += best
        units.remove(best)
    return np.sort(chosen)


def _seen(left: np.ndarray, noise: np.ndarray, unit: list[int]) -> tuple[list[int], np.ndarray]:
    """Rows of a unit's coordinates and the covariance with which they are measured."""
    rows = [2 * i + axis for i in unit for axis in (0, 1)]
    return rows, left[np.ix_(rows, rows)] + np.diag(np.repeat(noise[unit], 2) + 1e-3)


def _gain(left: np.ndarray, noise: np.ndarray, unit: list[int]) -> float:
    """Variance of all points that is known once a unit is measured."""
    rows, seen = _seen(left, noise, unit)
    return float(np.trace(np.linalg.solve(seen, left[rows] @ left[:, rows])))


def renumbered(swap: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Mirror partners (count,) among the kept points."""
    place = {int(old): new for new, old in enumerate(kept)}
    return np.array([place[int(swap[old])] for old in kept])
