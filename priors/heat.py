"""Heat teacher: landmarks that the faces choose themselves.

The corners of the mirror-averaged mean face are the points. In each face they are found again by
correlation of edge maps with the average patch around them, held together by a shape model
(similarity + principal modes); patches and modes are then learned anew from what was found
(models/points.py). Points come in mirror pairs or lie on the midline, so a mirrored face has the
same points with their indices permuted by `swap`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from models.points import GRID, RADIUS, STRIDE, edge_maps, find_points, fit_shapes, search, windows
from models.student_heads import draw_points
from priors.detector import Detector, detect

POINTS = 26
FIT_SIZE = GRID
"""Side at which points are searched; distances below are pixels at this side."""
APART = 8.0
"""Least distance between chosen points."""
MODES = 20
"""Most modes of the shape beyond the similarity."""
STIFFNESS = 3.0
"""How much stronger the modes are held than their variances ask for; found places are noisy."""
RIGID_HOLD = 1e-4
"""How strongly the similarity is held: hardly."""
KEPT_VARIANCE = 0.98
FIT_ROUNDS = 4
MOST_FACES = 200
CHUNK = 16
FACE_REGION = (0.55, 0.32, 0.36)
"""Middle row and half-axes, in shares of the side, of the ellipse that an aligned face fills."""


@dataclass(frozen=True, kw_only=True)
class PointModel:
    """Average patches and the shape model of the points; all in pixels at FIT_SIZE."""

    mean: np.ndarray
    """(N, 2) mean places, x then y."""
    swap: np.ndarray
    """(N,) index of each point's mirror partner (its own on the midline)."""
    patches: np.ndarray
    """(N, 3, 11, 11) average patches of `models.points.edge_maps`."""
    basis: np.ndarray
    """(4 + MODES, N, 2) moves of the shape: the similarity, then its own modes, then zeros."""
    hold: np.ndarray
    """(4 + MODES,) how strongly each is held back."""
    net: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """Weights of a detector that finds points by itself (`priors.detector`); none: empty."""
    width: int = 0
    """Of the detector."""
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """(N,) which points are the detector's; the others are searched for."""

    def points(self, faces: np.ndarray) -> np.ndarray:
        """Points (B, N, 2) as shares of the side of HQ faces (B, S, S, 3) uint8 RGB."""
        model = as_tensors(self.mean, self.patches, self.basis, self.hold)
        found = [
            find_points(torch.from_numpy(grey_faces(faces[i : i + CHUNK])), *model).numpy()
            for i in range(0, len(faces), CHUNK)
        ]
        searched_for = as_shares(np.concatenate(found))
        if not len(self.net):
            return searched_for
        return np.where(self.kept[:, None], self.detected(faces), searched_for)

    @torch.no_grad()
    def detected(self, faces: np.ndarray) -> np.ndarray:
        """The detector's points (B, N, 2), as `points`."""
        detector = Detector(len(self.swap), int(self.width)).fill(self.net).eval()
        found = []
        for i in range(0, len(faces), CHUNK):
            small = np.stack([at_fit_size(face) for face in faces[i : i + CHUNK]])
            seen = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
            found.append(detect(detector, seen, self.swap).numpy())
        return np.concatenate(found)


def as_tensors(*parts: np.ndarray) -> list[Tensor]:
    """Arrays as float32 tensors."""
    return [torch.from_numpy(np.asarray(part, np.float32)) for part in parts]


def as_shares(places: np.ndarray) -> np.ndarray:
    """Places in pixels at FIT_SIZE as shares of the side."""
    return ((places + 0.5) / FIT_SIZE).astype(np.float32)


def at_fit_size(face: np.ndarray) -> np.ndarray:
    """Face (S, S, 3) uint8 at FIT_SIZE, by area averaging."""
    return np.asarray(cv2.resize(face, (FIT_SIZE, FIT_SIZE), interpolation=cv2.INTER_AREA))


def grey_faces(faces: np.ndarray) -> np.ndarray:
    """Luma (B, FIT_SIZE, FIT_SIZE) float32 in [0, 1] of faces (B, S, S, 3) uint8 RGB."""
    out = np.empty((len(faces), FIT_SIZE, FIT_SIZE), np.float32)
    for face, grey in zip(faces, out, strict=True):
        grey[:] = cv2.cvtColor(at_fit_size(face), cv2.COLOR_RGB2GRAY)
    return out / 255


def choose_points(face: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The strongest corners of a mirror-symmetric grey face (S, S), as `spread_points` says."""
    strength = cv2.cornerMinEigenVal(face, blockSize=5, ksize=3)
    strength = cv2.GaussianBlur(strength, (0, 0), 1.0)
    return spread_points(strength * face_region(len(face)), count, APART)


def spread_points(strength: np.ndarray, count: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The places of greatest strength that are not near one another, and their mirror permutation.

    Args:
        strength: (S, S), mirror-symmetric.
        count: number of points.
        least: least distance in pixels; less where there is no room.
    Returns:
        places (count, 2) in pixels and swap (count,): pairs first left then right, sorted from
        top to bottom; points nearer than half the distance to the midline lie on it.
    Raises:
        ValueError: there is no room for that many.
    """
    middle = (strength.shape[0] - 1) / 2
    order = np.dstack(np.unravel_index(np.argsort(strength, axis=None)[::-1], strength.shape))[0]
    chosen: list[tuple[float, float]] = []
    missing = count
    for apart in (least, least / 2, 1.0):
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
    raise ValueError(f"no {count} points in a face of side {strength.shape[0]}")


def face_region(size: int, ellipse: tuple[float, float, float] = FACE_REGION) -> np.ndarray:
    """1 inside the ellipse (middle row, half-axes, as shares), 0 outside; (S, S) float32."""
    line = (np.arange(size) + 0.5) / size
    middle, across, down = ellipse
    inside = ((line[None] - 0.5) / across) ** 2 + ((line[:, None] - middle) / down) ** 2 < 1
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

    Modes are held by STIFFNESS over their variance `spread` in square pixels.
    """
    basis = np.zeros((4 + MODES, *mean.shape), np.float32)
    hold = np.ones(4 + MODES, np.float32)
    basis[:4], hold[:4] = similarity_modes(mean), RIGID_HOLD
    if len(modes):
        basis[4 : 4 + len(modes)] = modes
        hold[4 : 4 + len(modes)] = STIFFNESS / np.maximum(spread, 1e-3)
    return basis, hold


def learn_modes(shapes: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modes (M, N, 2) and variances (M,) of shapes (B, N, 2) beyond similarity, to 98 %."""
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


def fit_points(
    faces: np.ndarray, rng: np.random.Generator, count: int = POINTS, most: int = MOST_FACES
) -> PointModel:
    """Points learned from HQ faces (N, S, S, 3) uint8 RGB; at most `most` are used."""
    if len(faces) > most:
        faces = faces[np.sort(rng.choice(len(faces), most, replace=False))]
    grey = grey_faces(faces)
    return follow(grey, *choose_points(mean_face(grey), count))


def mean_face(grey: np.ndarray) -> np.ndarray:
    """Mirror-averaged mean (S, S) of faces (B, S, S)."""
    average = grey.mean(0)
    return np.asarray((average + average[:, ::-1]) / 2)


def follow(grey: np.ndarray, mean: np.ndarray, swap: np.ndarray) -> PointModel:
    """The model that finds points, known on the mean face (N, 2), in faces (B, S, S) again."""
    places = np.broadcast_to(mean, (len(grey), *mean.shape)).astype(np.float32)
    for _ in range(FIT_ROUNDS):
        patches = average_patches(grey, places, swap)
        found, trust = searched(grey, places, patches)
        basis, hold = shape_model(found, mean, swap)
        model = as_tensors(mean, basis, hold)
        places = fit_shapes(*as_tensors(found, trust), *model).numpy()
    middle = np.concatenate([places, mirrored(places, swap)]).mean(0)
    return PointModel(mean=middle, swap=swap, patches=patches, basis=basis, hold=hold)


def shape_model(
    places: np.ndarray, mean: np.ndarray, swap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`held` modes of places (B, N, 2) and their mirror images."""
    return held(mean, *learn_modes(np.concatenate([places, mirrored(places, swap)]), mean))


def average_patches(grey: np.ndarray, places: np.ndarray, swap: np.ndarray) -> np.ndarray:
    """Mean patches (N, 3, 11, 11) around places (B, N, 2) of faces and of their mirror images."""
    total = np.zeros((), np.float64)
    for faces, shapes in ((grey, places), (grey[..., ::-1], mirrored(places, swap))):
        for part, near in parts(faces, shapes):
            cut = windows(edge_maps(part), near, RADIUS)[..., ::STRIDE, ::STRIDE]
            total = total + normalised(cut.numpy()).sum(0)
    return (total / (2 * len(grey))).astype(np.float32)


def searched(
    grey: np.ndarray, places: np.ndarray, patches: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`models.points.search` of many faces, some at a time."""
    wanted = torch.from_numpy(patches)
    told = [search(edge_maps(part), near, wanted) for part, near in parts(grey, places)]
    found, trust = (torch.cat(column).numpy() for column in zip(*told, strict=True))
    return found, trust


def parts(*arrays: np.ndarray) -> Iterator[list[Tensor]]:
    """CHUNK rows at a time of several arrays, as float32 tensors."""
    for i in range(0, len(arrays[0]), CHUNK):
        yield as_tensors(*(np.ascontiguousarray(array[i : i + CHUNK]) for array in arrays))


def normalised(patches: np.ndarray) -> np.ndarray:
    """Patches (..., C, k, k) whose maps have mean 0 and that have length 1."""
    centred = patches - patches.mean((-2, -1), keepdims=True)
    length = np.sqrt((centred**2).sum((-3, -2, -1), keepdims=True))
    return np.asarray(centred / (length + 1e-6))


def draw_heat(points: np.ndarray, size: int) -> np.ndarray:
    """Heat maps (N, size, size) in [0, 1] of points (N, 2) given as shares of the side."""
    return np.asarray(draw_points(torch.from_numpy(points), size))
