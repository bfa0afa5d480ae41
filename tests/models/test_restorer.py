"""Restoring one picture: any size, the flip ensemble, rounding, and the network's mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.restorer import passes_of, restore, restore_each, to_batch, to_picture
from models.zoo import build


class Enlarge(nn.Module):
    """Nearest enlargement with a brighter left half; refuses sides that are no multiples of 8."""

    scale = 2
    lq_multiple = 8

    def forward(self, lq: Tensor) -> list[Tensor]:
        assert lq.shape[-1] % 8 == 0
        assert lq.shape[-2] % 8 == 0
        grown = F.interpolate(lq, scale_factor=2.0, mode="nearest")
        tinted = grown.clone()
        tinted[..., : grown.shape[-1] // 2] += 0.2
        return [grown, tinted]


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 200, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 30), (2, 3), (1, 1)])
def test_any_size_is_padded_and_cropped(height: int, width: int) -> None:
    lq = picture(height, width)
    first, second = restore(Enlarge(), lq)
    assert np.array_equal(first, lq.repeat(2, axis=0).repeat(2, axis=1))
    assert second.shape == first.shape
    assert second.dtype == np.uint8


def test_the_flip_ensemble_averages_both_views() -> None:
    lq = picture(16, 16)
    plain = restore(Enlarge(), lq)
    both = restore(Enlarge(), lq, flip_ensemble=True)
    assert np.array_equal(both[0], plain[0])
    # Each half is brighter in one view only: the mean is 0.1 brighter everywhere.
    grown = plain[0].astype(np.float32) / 255
    expected = np.round((grown + 0.1) * 255)
    assert np.abs(both[1] - expected).max() <= 1
    mirrored = restore(Enlarge(), lq[:, ::-1].copy(), flip_ensemble=True)
    assert np.array_equal(mirrored[1][:, ::-1], both[1])


def test_pixels_are_clamped_and_rounded_not_truncated() -> None:
    values = torch.tensor([-0.5, 0.6 / 255, 0.4 / 255, 1.7]).reshape(1, 1, 4).expand(3, 1, 4)
    assert to_picture(values)[0, :, 0].tolist() == [0, 1, 0, 255]
    lq = picture(5, 7)
    assert np.array_equal(to_picture(to_batch(lq)[0]), lq)


def test_the_network_keeps_its_mode_and_one_tensor_is_one_pass() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.9)).train()
    net.scale = 1  # type: ignore[assignment]
    lq = picture(8, 8)
    assert np.array_equal(restore(net, lq)[0], restore(net, lq)[0])
    assert net.training
    assert len(passes_of(net, to_batch(lq))) == 1


def test_what_is_no_picture_is_refused() -> None:
    good = picture(8, 8)
    wrong: list[Any] = [good.astype(np.float32), good[..., 0], good[:0]]
    for bad in wrong:
        with pytest.raises(ValueError, match="uint8 RGB"):
            restore(Enlarge(), bad)


@pytest.mark.parametrize("threads", [1, 3])
def test_many_pictures_at_once_are_restored_as_one_by_one(threads: int) -> None:
    torch.manual_seed(0)
    net = build("espcn").train()
    rng = np.random.default_rng(0)
    lqs = [rng.integers(100, 150, (9, 8 + i, 3)).astype(np.uint8) for i in range(9)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = list(restore_each(net, iter(lqs), flip_ensemble=True))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert net.training
    assert len(found) == len(lqs)
    for passes, lq in zip(found, lqs, strict=True):
        np.testing.assert_array_equal(passes[-1], restore(net, lq, flip_ensemble=True)[-1])


def test_an_error_in_one_of_many_pictures_is_raised() -> None:
    lqs = [np.zeros((8, 8, 3), np.uint8)] * 3 + [np.zeros((8, 8), np.uint8)]
    with pytest.raises(ValueError, match="uint8 RGB"):
        list(restore_each(build("espcn"), lqs))
