"""Pareto fronts of (log-probability, size) that remember which choices they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Choices = dict[str, str]
BLOCK = 2_000_000
"""Pairs looked at together in a product; bounds its memory."""


@dataclass(frozen=True)
class Front:
    """Points with rising size and strictly rising score, none of them beaten by another.

    score: (n,) float64 log-probabilities; size: (n,) int64 parameters; choose(i): the choices of
    point i, put together only when asked for.
    """

    score: NDArray[np.float64]
    size: NDArray[np.int64]
    choose: Callable[[int], Choices]

    def __len__(self) -> int:
        return len(self.score)


def leaf(score: Sequence[float], size: Sequence[int], choices: Sequence[Choices]) -> Front:
    """Front of single options given one by one."""
    scores, sizes = np.asarray(score, np.float64), np.asarray(size, np.int64)
    keep = unbeaten(scores, sizes)
    return Front(scores[keep], sizes[keep], lambda i: dict(choices[keep[i]]))


def union(fronts: Sequence[Front]) -> Front:
    """Front of all points: one of the fronts is chosen."""
    scores = np.concatenate([f.score for f in fronts])
    sizes = np.concatenate([f.size for f in fronts])
    owner = np.repeat(np.arange(len(fronts)), [len(f) for f in fronts])
    inside = np.concatenate([np.arange(len(f)) for f in fronts])
    keep = unbeaten(scores, sizes)
    owner, inside = owner[keep], inside[keep]
    return Front(scores[keep], sizes[keep], lambda i: fronts[int(owner[i])].choose(int(inside[i])))


def product(a: Front, b: Front, limit: int) -> Front:
    """Front of all sums of a point of `a` and one of `b` with size <= limit: both are chosen."""
    kept: list[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]] = []
    rows = max(BLOCK // max(len(b), 1), 1)
    for first in range(0, len(a), rows):
        part = slice(first, first + rows)
        size = (a.size[part, None] + b.size[None]).ravel()
        score = (a.score[part, None] + b.score[None]).ravel()
        pair = np.flatnonzero(size <= limit)
        pair = pair[unbeaten(score[pair], size[pair])]
        kept.append((score[pair], size[pair], pair + first * len(b)))
    scores, sizes, pairs = (np.concatenate([k[i] for k in kept]) for i in range(3))
    keep = unbeaten(scores, sizes)
    first_of, second_of = np.divmod(pairs[keep], len(b))
    return Front(
        scores[keep],
        sizes[keep],
        lambda i: a.choose(int(first_of[i])) | b.choose(int(second_of[i])),
    )


def best_pair(a: Front, b: Front, limit: int) -> tuple[int, int] | None:
    """Indices of the pair with the best summed score and summed size <= limit, or None.

    Both fronts rise, so the best partner of a point of `a` is the largest of `b` that still fits.
    """
    partner = np.searchsorted(b.size, limit - a.size, side="right") - 1
    fits = partner >= 0
    if not fits.any():
        return None
    scores = np.where(fits, a.score + b.score[np.maximum(partner, 0)], -np.inf)
    best = int(scores.argmax())
    return best, int(partner[best])


def unbeaten(score: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the points that no other point beats, by rising size."""
    order = np.lexsort((-score, size))
    before = np.concatenate(([-np.inf], np.maximum.accumulate(score[order])[:-1]))
    return order[score[order] > before]
