"""Resizing equals PyTorch's interpolation, by size and by exact factor."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from data.resize import RESIZE_MODES, rescale, resize


def _image() -> np.ndarray:
    noise = np.random.default_rng(0).random((96, 128, 3), dtype=np.float32) * 255
    return cv2.GaussianBlur(noise, (0, 0), 0.7)


def _torch(image: np.ndarray, mode: str, **where: object) -> np.ndarray:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    more = {} if mode == "area" else {"align_corners": False}
    out = F.interpolate(tensor, mode=mode, **where, **more)  # type: ignore[arg-type]
    return out[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("factor", [0.2, 0.333, 0.5, 0.777, 0.98, 1.0, 1.27, 1.5])
def test_rescale_maps_by_the_exact_factor(mode: str, factor: float) -> None:
    image = _image()
    expected = _torch(image, mode, scale_factor=factor)
    ours = rescale(image, factor, mode)
    assert ours.shape == (int(96 * factor), int(128 * factor), 3)
    assert np.abs(ours - expected).max() < 0.01


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("size", [(31, 77), (96, 40), (120, 128), (150, 141), (1, 1)])
def test_resize_maps_by_the_ratio_of_the_sizes(mode: str, size: tuple[int, int]) -> None:
    image = _image()
    assert np.abs(resize(image, size, mode) - _torch(image, mode, size=size)).max() < 0.01


def test_a_factor_just_under_one_still_resizes() -> None:
    image = _image()
    ours = rescale(image, 0.999, "bilinear")
    np.testing.assert_array_equal(ours, resize(image, (95, 127), "bilinear"))


def test_enlarging_by_area_repeats_pixels() -> None:
    image = _image()
    np.testing.assert_array_equal(
        resize(image, (192, 256), "area"), image.repeat(2, 0).repeat(2, 1)
    )
