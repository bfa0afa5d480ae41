"""Consistency of the student with itself: what moves or mirrors a face must move its priors alike.

One more view of each LQ face, a small similarity and for half of them the mirror image; what the
student says of it is held against what it said of the first view, moved likewise. Regions and
points only: codes of high frequencies do not move with a face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.student import Student
from priors.geometry import small_similarity

STREAM = 73
MIRROR = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
"""x -> 1 - x, in shares of the side."""
TO_GRID = np.array([[2.0, 0.0, -1.0], [0.0, 2.0, -1.0], [0.0, 0.0, 1.0]])
"""Shares of the side -> the coordinates of `grid_sample`."""


@dataclass(frozen=True)
class View:
    """How each face of a batch is seen once more."""

    moves: Tensor
    """(B, 2, 3): where a place (x, y, 1), in shares of the side, goes."""
    back: Tensor
    """(B, 2, 3): where it came from, in the coordinates of `grid_sample`."""
    flips: Tensor
    """(B,) bool."""

    def image(self, maps: Tensor) -> Tensor:
        """Maps (B, C, S, S), moved; borders repeat."""
        grid = functional.affine_grid(self.back, list(maps.shape), align_corners=False)
        return functional.grid_sample(
            maps, grid, mode="bilinear", padding_mode="border", align_corners=False
        )

    def points(self, points: Tensor, swap: Tensor) -> Tensor:
        """Points (B, N, 2), shares of the side, moved; mirrored ones take their partner's place."""
        moved = points @ self.moves[:, :, :2].mT + self.moves[:, None, :, 2]
        return torch.where(self.flips[:, None, None], moved[:, swap], moved)


def new_view(count: int, seed: int, step: int, device: torch.device) -> View:
    """The second view of `count` faces of a step, a pure function of (seed, step)."""
    rng = np.random.default_rng((seed, step, STREAM))
    moves, back, flips = [], [], rng.integers(0, 2, count).astype(bool)
    for flip in flips:
        whole = np.concatenate([small_similarity(rng), [[0.0, 0.0, 1.0]]])
        whole = MIRROR @ whole if flip else whole
        moves.append(whole[:2])
        back.append((TO_GRID @ np.linalg.inv(whole) @ np.linalg.inv(TO_GRID))[:2])
    both = torch.tensor(np.stack([moves, back]), dtype=torch.float32, device=device)
    return View(both[0], both[1], torch.tensor(flips, device=device))


def consistency_loss(
    student: Student,
    lq: Tensor,
    view: View,
    parse: Tensor | None,
    points: Tensor | None,
    swap: Tensor | None,
) -> Tensor:
    """Soft cross entropy of regions + Huber loss of points in pixels at 128, over both views.

    Args:
        lq: (B, 3, S, S). parse: logits (B, K, S/2, S/2), points: (B, N, 2), of the first view;
        they are the target and get no gradient. swap: (N,) mirror partners of the points.
    """
    moved = view.image(lq)
    half = student.features(moved)
    total = torch.zeros((), device=lq.device)
    if parse is not None:
        target = view.image(parse.detach().float().softmax(1))
        again = student.heads["parse"](moved, half).float().log_softmax(1)
        total = total - (target * again).sum(1).mean()
    if points is not None:
        assert swap is not None
        wanted = 128 * view.points(points.detach().float(), swap)
        again = student.heads["heat"](moved, half).float()
        total = total + functional.smooth_l1_loss(128 * again, wanted)
    return total
