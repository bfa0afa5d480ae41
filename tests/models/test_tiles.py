"""Tiles: every pixel once, no seams, maps of the whole picture."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from torch import Tensor

from models import restorer, tiles
from models.network import FaceSR
from models.restorer import passes_of, restore
from models.tiles import OVERLAP, restore_tiles
from models.zoo import build
from search.sample import random_genotype
from tests.models.helpers import SMALL


@pytest.mark.parametrize(("height", "width"), [(128, 128), (300, 128), (200, 456)])
def test_a_network_that_sees_little_gives_the_same_as_whole(height: int, width: int) -> None:
    torch.manual_seed(0)
    net = build("espcn", 2)
    lq = torch.rand(1, 3, height, width)
    with torch.no_grad():
        (whole,) = passes_of(net, lq)
        (tiled,) = restore_tiles(lambda tile, maps: passes_of(net, tile), lq, None, 2, tile=128)
    inner = (whole - tiled).abs()[..., 8:-8, 8:-8]
    assert inner.max() < 0.02, "only the padding at a tile's border differs, and it fades"
    assert inner.mean() < 1e-3


def test_tiles_cover_and_overlap() -> None:
    for length in (1, 128, 129, 192, 500, 1000):
        spans = list(tiles._spans(length, 128))
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(end - begin <= 128 for begin, end in spans)
        pairs = itertools.pairwise(spans)
        assert all(later[0] <= earlier[1] - OVERLAP for earlier, later in pairs)


def test_a_seam_is_no_larger_than_what_the_network_does_anyway() -> None:
    torch.manual_seed(0)
    net = build("rdb-plain")
    lq = torch.full((1, 3, 128, 264), 0.5)
    with torch.no_grad():
        (whole,) = passes_of(net, lq)
        (tiled,) = restore_tiles(lambda tile, maps: passes_of(net, tile), lq, None, 4, tile=128)
    steps = [(image[..., 1:] - image[..., :-1]).abs() for image in (whole, tiled)]
    inside = (..., slice(80, -80), slice(80, -80))
    assert steps[1][inside].max() < steps[0][inside].max() + 1 / 255


def test_the_student_sees_the_whole_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restorer, "TILE", 16)
    monkeypatch.setattr(tiles, "OVERLAP", 8)
    monkeypatch.setattr(restore_tiles, "__kwdefaults__", {"tile": 16})
    net = FaceSR(random_genotype(SMALL, random.Random(2)))
    seen: list[tuple[int, ...]] = []
    predict = net.prior_maps

    def watched(face: Tensor) -> dict[str, Tensor]:
        seen.append(tuple(face.shape[-2:]))
        return predict(face)

    monkeypatch.setattr(net, "prior_maps", watched)
    picture = (torch.rand(24, 32, 3) * 255).to(torch.uint8).numpy()
    restored = restore(net, picture)
    assert [image.shape for image in restored] == [(96, 128, 3)] * 2
    assert seen == [(24, 32)]
