"""Points of a face by correlation with average patches, held together by a shape model.

Teacher and student share it. Everything is a pure function of tensors, in pixels at GRID unless
said otherwise; fixed loops and no decomposition, so that it also exports.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.device import constant

GRID = 128
"""Side at which points are searched."""
RADIUS = 10
"""Patches are 21 x 21."""
REACH = 6
"""How far one search step may move a point."""
PULL = 3e-3
"""What a squared pixel away from the shape's present place costs in correlation."""
ROUNDS = 4
LEAST_TRUST = 0.05
SOLVER_STEPS = 30
"""Of conjugate gradients, for at most as many unknowns."""
NOTHING = 1e-6
"""Added to a divisor that may be 0; smaller ones are optimised away when exporting."""
LUMA = (0.299, 0.587, 0.114)


def grey_of(face: Tensor) -> Tensor:
    """Luma (B, GRID, GRID) of RGB faces (B, 3, S, S) in [0, 1]."""
    weights = constant(LUMA, face)
    grey = torch.einsum("c,bchw->bhw", weights, face.float())
    if grey.shape[-1] == GRID:
        return grey
    large = functional.interpolate(
        grey[:, None], (GRID, GRID), mode="bilinear", align_corners=False
    )
    return large[:, 0]


def find_points(grey: Tensor, mean: Tensor, patches: Tensor, basis: Tensor, hold: Tensor) -> Tensor:
    """Points (B, N, 2), x then y, of faces (B, GRID, GRID).

    Args:
        mean: (N, 2) mean places. patches: (N, 21, 21). basis: (K, N, 2) moves of the shape.
        hold: (K,) how strongly each move is held back.
    """
    places = mean.expand(len(grey), -1, -1)
    for _ in range(ROUNDS):
        found, trust = search(grey, places, patches)
        places = fit_shapes(found, trust, mean, basis, hold)
    return places


def windows(grey: Tensor, places: Tensor, radius: int) -> Tensor:
    """Square windows (B, N, 2r+1, 2r+1) of grey (B, S, S) around the pixels nearest to places."""
    pad, side = radius + 2 * REACH, 2 * radius + 1
    padded = functional.pad(grey[:, None], (pad, pad, pad, pad), mode="replicate")[:, 0]
    corner = (places.round().long() + pad - radius).clamp(0, padded.shape[-1] - side)
    steps = torch.arange(side, device=grey.device)
    rows = (corner[..., 1, None] + steps)[..., :, None]
    columns = (corner[..., 0, None] + steps)[..., None, :]
    face = torch.arange(len(grey), device=grey.device)[:, None, None, None]
    return padded[face, rows, columns]


def search(grey: Tensor, places: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Best match of each patch within REACH of its place.

    Args:
        grey: (B, S, S). places: (B, N, 2). patches: (N, 21, 21).
    Returns:
        found (B, N, 2), to a fraction of a pixel, and trust (B, N) in [0.0025, 1], its correlation
        squared.
    """
    match = correlate(windows(grey, places, RADIUS + REACH), patches)
    side = match.shape[-1]
    steps = torch.arange(-REACH, REACH + 1, device=grey.device, dtype=grey.dtype)
    score = (match - PULL * (steps[:, None] ** 2 + steps**2)).flatten(2)
    best = score.argmax(2)
    row, column = best // side, best % side
    trust = match.flatten(2).gather(2, best[..., None])[..., 0].clamp(LEAST_TRUST, 1.0) ** 2
    inside_x, inside_y = column.clamp(1, side - 2), row.clamp(1, side - 2)
    shift = torch.stack(
        [
            column - REACH + _vertex(score, row * side + inside_x, 1),
            row - REACH + _vertex(score, inside_y * side + column, side),
        ],
        -1,
    )
    return places.round() + shift, trust


def correlate(area: Tensor, patches: Tensor) -> Tensor:
    """Normalised cross-correlation (B, N, n, n) of patches (N, k, k) over areas (B, N, a, a)."""
    count, side = len(area), patches.shape[-1]
    kernels = patches - patches.mean((1, 2), keepdim=True)
    kernels = kernels / (kernels.square().sum((1, 2), keepdim=True).sqrt() + 1e-6)
    flat = area.flatten(0, 1)
    product = functional.conv2d(flat[None], kernels.repeat(count, 1, 1)[:, None], groups=len(flat))[
        0
    ]
    mean, square = (_box(maps, side) for maps in (flat, flat * flat))
    spread = (side**2 * (square - mean * mean).clamp_min(1e-5)).sqrt()
    return (product / spread).unflatten(0, area.shape[:2])


def _box(maps: Tensor, side: int) -> Tensor:
    """Means (B, n, n) over all squares of `side` pixels of maps (B, a, a), rows then columns."""
    rows = functional.avg_pool2d(maps[:, None], (side, 1), 1)
    return functional.avg_pool2d(rows, (1, side), 1)[:, 0]


def _vertex(score: Tensor, at: Tensor, step: int) -> Tensor:
    """Sub-pixel offset in [-.5, .5] of the parabola through scores (B,N,n*n) at `at` +- `step`."""
    below, peak, above = (score.gather(2, (at + k)[..., None])[..., 0] for k in (-step, 0, step))
    bend = below - 2 * peak + above
    flat = bend > -1e-6
    offset = (below - above) / (2 * bend.masked_fill(flat, -1.0))
    return offset.clamp(-0.5, 0.5).masked_fill(flat, 0.0)


def fit_shapes(found: Tensor, trust: Tensor, mean: Tensor, basis: Tensor, hold: Tensor) -> Tensor:
    """Shapes (B, N, 2) nearest to found places: mean + moves of the basis, weighted by trust."""
    moves = basis.flatten(1)
    weight = trust.repeat_interleave(2, 1)
    left = (moves * weight[:, None]) @ moves.T + torch.diag(hold)
    right = (weight * (found - mean).flatten(1)) @ moves.T
    return mean + (solve(left, right) @ moves).unflatten(1, mean.shape)


def solve(left: Tensor, right: Tensor) -> Tensor:
    """x (B, K) of left (B, K, K) x = right (B, K), left symmetric and positive.

    Conjugate gradients with the diagonal as preconditioner (Hestenes and Stiefel 1952).
    """
    diagonal = left.diagonal(dim1=1, dim2=2)
    x, rest = torch.zeros_like(right), right
    towards = rest / diagonal
    way, size = towards, (rest * towards).sum(1, keepdim=True)
    for _ in range(SOLVER_STEPS):
        turned = (left @ way[..., None])[..., 0]
        length = size / ((way * turned).sum(1, keepdim=True) + NOTHING)
        x, rest = x + length * way, rest - length * turned
        towards = rest / diagonal
        fresh = (rest * towards).sum(1, keepdim=True)
        way, size = towards + way * (fresh / (size + NOTHING)), fresh
    return x
