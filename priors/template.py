"""k-means with restarts."""

from __future__ import annotations

import numpy as np


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
