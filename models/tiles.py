"""Pictures that are too large for one pass through a network, restored in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from models.fusion import on_lq_grid

TILE = 320
"""Largest side in LQ px that is restored at once; multiple of every network's `lq_multiple`."""
OVERLAP = 64
"""LQ px that neighbouring tiles share; one fades into the other along them."""

Maps = Mapping[str, Tensor]
Passes = Callable[[Tensor, Maps | None], list[Tensor]]
"""(LQ (1,3,h,w), prior maps of exactly this LQ) -> restored images of every pass."""


def restore_tiles(
    restore: Passes, lq: Tensor, maps: Maps | None, scale: int, *, tile: int = TILE
) -> list[Tensor]:
    """Restore `lq` (1,3,h,w) tile by tile; every pass (1,3,h*scale,w*scale).

    `maps` are those of the whole picture: the student never sees a tile. Where tiles overlap, the
    weight goes linearly from one to the other, so there is no seam. Sides are multiples of what
    the network needs, and so are `tile` and `OVERLAP`.
    """
    height, width = lq.shape[-2:]
    whole = {name: on_lq_grid(value, height, width) for name, value in (maps or {}).items()}
    sums: list[Tensor] = []
    weights = lq.new_zeros((1, 1, height * scale, width * scale))
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            place = (..., slice(top, bottom), slice(left, right))
            large = (..., slice(top * scale, bottom * scale), slice(left * scale, right * scale))
            cut = {name: value[place] for name, value in whole.items()} if maps else None
            restored = restore(lq[place], cut)
            rows = _fade(top, bottom, height, scale, lq)[:, None]
            weight = rows * _fade(left, right, width, scale, lq)
            if not sums:
                sums = [lq.new_zeros((1, 3, *weights.shape[-2:])) for _ in restored]
            for total, image in zip(sums, restored, strict=True):
                total[large] += weight * image.float()
            weights[large] += weight
    return [total / weights for total in sums]


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of the tiles along a side; the last one ends where the side ends."""
    if length <= tile:
        yield 0, length
        return
    for begin in range(0, length - OVERLAP, tile - OVERLAP):
        end = min(begin + tile, length)
        yield max(0, end - tile), end


def _fade(begin: int, end: int, length: int, scale: int, like: Tensor) -> Tensor:
    """Weights along one side of a tile: 1, falling to almost 0 where another tile overlaps."""
    weight = like.new_ones((end - begin) * scale)
    ramp = torch.arange(1, OVERLAP * scale + 1, device=like.device) / (OVERLAP * scale + 1)
    ramp = ramp.to(weight)[: len(weight)]
    if begin > 0:
        weight[: len(ramp)] *= ramp
    if end < length:
        weight[-len(ramp) :] *= ramp.flip(0)
    return weight
