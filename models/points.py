"""Points of a face by correlation with average patches, held together by a shape model.

Teacher and student share it. Everything is a pure function of tensors, in pixels at GRID unless
said otherwise; fixed loops and no decomposition, so that it also exports.

What is correlated are maps of edge directions that forget which side of an edge is darker: the
outline of a face is lighter than what is behind it in one picture and darker in the next. A match
is not one place but a mean and a covariance of places, so that an edge counts only across itself
(response maps as Gaussians, as in constrained local models: Saragih, Lucey, Cohn 2011).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.device import constant
from models.solving import solve

GRID = 128
"""Side at which points are searched."""
MAPS = 3
"""What of a face is correlated: two maps of edge directions and one of relative brightness."""
TAPS, STRIDE = 11, 2
"""Patches have 11 x 11 values, 2 pixels apart."""
RADIUS = STRIDE * (TAPS // 2)
REACH = 6
"""How far one search step may move a point."""
SHARPNESS = 20.0
"""What a correlation of 1 is worth in log probability."""
PULL = 1 / 72
"""What a squared pixel away from the shape's present place costs in log probability."""
LEAST_VARIANCE = 0.25
"""Of a found place along any direction."""
ROUNDS = 4
SOLVER_STEPS = 30
"""Of conjugate gradients, for at most as many unknowns."""
LUMA = (0.299, 0.587, 0.114)
FINE, COARSE = 1.0, 4
"""Standard deviation of the blur before edges, and pixels of the grid of what is usual nearby."""
FAINT_EDGE, FAINT_SPREAD = 0.004, 4e-4
"""Edges and variances of the luma in [0, 1] that count as noise."""
BRIGHTNESS = 0.3
"""Weight of the brightness beside the edges."""


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


def edge_maps(grey: Tensor) -> Tensor:
    """Maps (B, MAPS, S, S) of luma (B, S, S) in [0, 1] that are compared with patches.

    The first two are the gradient at twice its angle, so that both sides of an edge are alike,
    with its length relative to what is usual nearby and below 1; the third is the brightness
    relative to its mean and spread nearby.
    """
    fine = _blurred(grey)
    padded = functional.pad(fine[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    length = (across * across + down * down + 1e-8).sqrt()
    scale = 1 / (length * (_nearby(length) + FAINT_EDGE + length))
    mean = _nearby(grey)
    spread = (_nearby((grey - mean).square()) + FAINT_SPREAD).sqrt()
    tone = BRIGHTNESS * ((grey - mean) / spread).clamp(-3, 3)
    return torch.stack(
        [(across * across - down * down) * scale, 2 * across * down * scale, tone], 1
    )


def _blurred(grey: Tensor) -> Tensor:
    """(B, S, S) blurred by a Gaussian of FINE pixels."""
    radius = int(3 * FINE)
    steps = torch.arange(-radius, radius + 1, device=grey.device, dtype=grey.dtype)
    weights = torch.exp(-((steps / FINE) ** 2) / 2)
    weights = weights / weights.sum()
    padded = functional.pad(grey[:, None], (radius,) * 4, mode="replicate")
    rows = functional.conv2d(padded, weights.view(1, 1, -1, 1))
    return functional.conv2d(rows, weights.view(1, 1, 1, -1))[:, 0]


def _nearby(maps: Tensor) -> Tensor:
    """(B, S, S) blurred by a box of 3 x COARSE pixels twice, on a grid COARSE times smaller."""
    small = functional.avg_pool2d(maps[:, None], COARSE)
    for _ in range(2):
        padded = functional.pad(small, (1, 1, 1, 1), mode="replicate")
        small = functional.avg_pool2d(padded, 3, 1)
    return functional.interpolate(small, maps.shape[1:], mode="bilinear", align_corners=False)[:, 0]


def find_points(grey: Tensor, mean: Tensor, patches: Tensor, basis: Tensor, hold: Tensor) -> Tensor:
    """Points (B, N, 2), x then y, of faces (B, GRID, GRID).

    Args:
        mean: (N, 2) mean places. patches: (N, MAPS, TAPS, TAPS). basis: (K, N, 2) moves of the
            shape. hold: (K,) how strongly each move is held back.
    """
    maps = edge_maps(grey)
    places = mean.expand(len(grey), -1, -1)
    for _ in range(ROUNDS):
        found, trust = search(maps, places, patches)
        places = fit_shapes(found, trust, mean, basis, hold)
    return places


def windows(maps: Tensor, places: Tensor, radius: int) -> Tensor:
    """Square windows (B, N, C, 2r+1, 2r+1) of (B, C, S, S) around the pixels nearest to places."""
    pad, side = radius + 2 * REACH, 2 * radius + 1
    padded = functional.pad(maps, (pad, pad, pad, pad), mode="replicate").permute(0, 2, 3, 1)
    corner = (places.round().long() + pad - radius).clamp(0, padded.shape[1] - side)
    steps = torch.arange(side, device=maps.device)
    rows = (corner[..., 1, None] + steps)[..., :, None]
    columns = (corner[..., 0, None] + steps)[..., None, :]
    face = torch.arange(len(maps), device=maps.device)[:, None, None, None]
    return padded[face, rows, columns].permute(0, 1, 4, 2, 3)


def search(maps: Tensor, places: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Where each patch is within REACH of its place, and how surely.

    Args:
        maps: (B, MAPS, S, S). places: (B, N, 2). patches: (N, MAPS, TAPS, TAPS).
    Returns:
        found (B, N, 2), the mean of the places by their probability, and trust (B, N, 2, 2), the
        inverse of their covariance.
    """
    match = correlate(windows(maps, places, RADIUS + REACH), patches)
    steps = torch.arange(-REACH, REACH + 1, device=maps.device, dtype=maps.dtype)
    score = SHARPNESS * match - PULL * (steps[:, None] ** 2 + steps**2)
    share = score.flatten(2).softmax(2).view_as(score)
    by_x, by_y = share.sum(2), share.sum(3)
    x, y = by_x @ steps, by_y @ steps
    square = steps * steps
    xx = by_x @ square - x * x + LEAST_VARIANCE
    yy = by_y @ square - y * y + LEAST_VARIANCE
    xy = (share @ steps) @ steps - x * y
    area = xx * yy - xy * xy
    trust = torch.stack([yy, -xy, -xy, xx], -1) / area[..., None]
    return places.round() + torch.stack([x, y], -1), trust.unflatten(-1, (2, 2))


def correlate(area: Tensor, patches: Tensor) -> Tensor:
    """Normalised correlation (B, N, n, n) of patches (N, C, k, k) over areas (B, N, C, a, a).

    The patches' values are STRIDE apart; the spread of the areas is of all their pixels.
    """
    count = len(area)
    kernels = patches - patches.mean((2, 3), keepdim=True)
    kernels = kernels / (kernels.square().sum((1, 2, 3), keepdim=True).sqrt() + 1e-6)
    flat = area.flatten(0, 2)
    groups = count * len(patches)
    product = functional.conv2d(
        flat[None], kernels.repeat(count, 1, 1, 1), groups=groups, dilation=STRIDE
    )[0]
    side = STRIDE * (patches.shape[-1] - 1) + 1
    mean, square = _box(area, side), _box(area.square().sum(2), side)
    spread = (square - mean.square().sum(2)).flatten(0, 1).clamp_min(1e-6)
    values = patches.shape[-1] ** 2
    return (product / (values * spread).sqrt()).unflatten(0, area.shape[:2])


def _box(maps: Tensor, side: int) -> Tensor:
    """Means (..., n, n) over all squares of `side` pixels of maps (..., a, a), by running sums."""
    sums = functional.pad(maps, (1, 0, 1, 0)).cumsum(-1).cumsum(-2)
    rows = sums[..., side:, :] - sums[..., :-side, :]
    return (rows[..., side:] - rows[..., :-side]) / side**2


def fit_shapes(found: Tensor, trust: Tensor, mean: Tensor, basis: Tensor, hold: Tensor) -> Tensor:
    """Shapes (B, N, 2) nearest to found places (B, N, 2): mean + moves of the basis.

    Nearest by trust (B, N, 2, 2), the inverse covariances of the found places; `hold` (K,) are the
    inverse variances of the moves.
    """
    weighed = torch.einsum("bnij,knj->bkni", trust, basis).flatten(2)
    moves = basis.flatten(1)
    left = weighed @ moves.T + torch.diag(hold)
    right = (weighed @ (found - mean).flatten(1)[..., None])[..., 0]
    return mean + (solve(left, right, SOLVER_STEPS) @ moves).unflatten(1, mean.shape)
