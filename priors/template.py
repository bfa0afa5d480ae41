"""First guess of the parse atlas: which positions of a face change together from face to face."""

from __future__ import annotations

import cv2
import numpy as np

COMPONENTS = 15
RESTARTS, ROUNDS = 8, 30
MOUTH = (0.0, 0.215)
"""Where the mouth is, in [-.5, .5] from the centre of an aligned face."""
EYES = (0.12, -0.03)
"""Where an eye is."""


def kmeans(
    points: np.ndarray, count: int, rng: np.random.Generator, *, restarts: int, rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Best of several k-means++ runs: centres (count, D) and labels (N,) of points (N, D).

    An empty cluster restarts at the point that is farthest from its centre.
    Raises:
        ValueError: fewer points than clusters.
    """
    if len(points) < count:
        raise ValueError(f"k-means of {len(points)} points into {count} clusters")
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for _ in range(restarts):
        centres = spread_out(points, count, rng)
        for _ in range(rounds):
            labels, distance = nearest(points, centres)
            sums = np.stack(
                [np.bincount(labels, points[:, d], count) for d in range(points.shape[1])], 1
            )
            counts = np.bincount(labels, minlength=count)
            fresh = (sums / np.maximum(counts, 1)[:, None]).astype(points.dtype)
            empty = np.flatnonzero(counts == 0)
            fresh[empty] = points[np.argsort(distance)[::-1][: len(empty)]]
            if np.allclose(fresh, centres, atol=1e-6):
                break
            centres = fresh
        labels, distance = nearest(points, centres)
        if best is None or distance.sum() < best[0]:
            best = (float(distance.sum()), centres, labels)
    assert best is not None
    return best[1], best[2]


def spread_out(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ seeds (count, D): each drawn with chance proportional to squared distance."""
    chosen = [int(rng.integers(len(points)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    for _ in range(count - 1):
        steps = np.cumsum(distance, dtype=np.float64)
        drawn = int(np.searchsorted(steps, rng.random() * steps[-1]))
        chosen.append(min(drawn, len(points) - 1))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen].copy()


def nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centre (N,) and the squared distance to it (N,)."""
    labels = np.empty(len(points), np.int64)
    distance = np.empty(len(points), points.dtype)
    squares = (centres**2).sum(1)
    for i in range(0, len(points), 8192):
        part = points[i : i + 8192]
        apart = squares - 2 * part @ centres.T
        labels[i : i + 8192] = apart.argmin(1)
        distance[i : i + 8192] = apart.min(1) + (part**2).sum(1)
    return labels, np.maximum(distance, 0)


def describe_positions(features: np.ndarray) -> np.ndarray:
    """Vectors (S x S/2, 15 + 2 D + 2) of the left half's positions.

    Args:
        features: (N, D, S, S) of aligned faces, S even.
    The features are averaged with their mirror, each position's values over the faces are centred
    and scaled to unit length and reduced by SVD; then come 0.22 x mean, 0.12 x std, 0.35|x|, 0.35y.
    """
    count, dims, size, _ = features.shape
    half = (features + features[..., ::-1])[..., : size // 2] / 2
    series = half.reshape(count, dims, -1).transpose(2, 0, 1)  # (P, N, D)
    mean, std = series.mean(1), series.std(1)
    flat = (series - mean[:, None]).reshape(len(series), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    # the Gram matrix of the faces is small: no need for the SVD of the long side
    values, vectors = np.linalg.eigh(flat.T @ flat if flat.shape[1] < len(flat) else flat @ flat.T)
    keep = np.argsort(values)[::-1][:COMPONENTS]
    reduced = (
        flat @ vectors[:, keep]
        if flat.shape[1] < len(flat)
        else (vectors[:, keep] * np.sqrt(np.maximum(values[keep], 0)))
    )
    line = (np.arange(size) + 0.5) / size - 0.5
    down, across = np.meshgrid(line, -line[: size // 2], indexing="ij")
    place = 0.35 * np.stack([across.ravel(), down.ravel()], 1)
    return np.concatenate([reduced, 0.22 * mean, 0.12 * std, place], 1).astype(np.float32)


def first_labels(features: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Symmetric class of each position (S, S), from features (N, D, S, S).

    k-means finds three classes fewer. The class of the mouth is then split by the same vectors
    and both the mouth's and the eyes' by their mean and spread alone, because the plain run
    leaves the mouth with chin and cheeks and the eyes with their surroundings.
    """
    size = features.shape[-1]
    points = describe_positions(features)
    look = points[:, -2 - 2 * features.shape[1] : -2]
    _, labels = kmeans(points, classes - 3, rng, restarts=RESTARTS, rounds=ROUNDS)
    for vectors, place in ((points, MOUTH), (look, MOUTH), (look, EYES)):
        labels = split(labels, vectors, place, size, rng)
    left = labels.reshape(size, size // 2)
    return np.concatenate([left, left[:, ::-1]], 1)


def split(
    labels: np.ndarray,
    points: np.ndarray,
    place: tuple[float, float],
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Labels (P,) with one class more: the class at `place` divided by a k-means of its own."""
    row = int((place[1] + 0.5) * size)
    column = int((0.5 - place[0]) * size)
    column = min(column, size // 2 - 1)
    inside = np.flatnonzero(labels == labels[row * (size // 2) + column])
    if len(inside) < 8:
        inside = np.flatnonzero(labels == np.bincount(labels).argmax())
    _, parts = kmeans(points[inside], 2, rng, restarts=RESTARTS, rounds=ROUNDS)
    fresh = labels.copy()
    fresh[inside[parts == 1]] = labels.max() + 1
    return fresh


def soft_template(labels: np.ndarray, classes: int) -> np.ndarray:
    """Atlas (K, S, S) of labels (S, S): blurred one-hot maps plus 1e-3, summing to 1."""
    one_hot = (np.arange(classes)[:, None, None] == labels).astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(m, (0, 0), 2.0) for m in one_hot]) + 1e-3
    return soft / soft.sum(0)
