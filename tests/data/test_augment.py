"""Flips of images, maps, labels and points agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from data.augment import flip_image, flip_labels, flip_maps, flip_points

SWAP = (0, 2, 1)


def test_flips_undo_themselves_and_agree() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, size=(5, 8)).astype(np.uint8)
    one_hot = (labels == np.arange(3)[:, None, None]).astype(np.float32)
    flipped = flip_labels(labels, SWAP)
    assert np.array_equal(
        flip_maps(one_hot, SWAP), (flipped == np.arange(3)[:, None, None]).astype(np.float32)
    )
    assert np.array_equal(flip_labels(flipped, SWAP), labels)
    image = rng.integers(0, 256, size=(5, 8, 3), dtype=np.uint8)
    assert np.array_equal(flip_image(image)[:, 0], image[:, -1])


def test_a_flipped_point_marks_the_same_pixel() -> None:
    image = np.zeros((6, 9), np.uint8)
    points = np.array([[1, 2], [3, 4], [7, 0]], np.float32)
    for value, (x, y) in enumerate(points.astype(int), start=1):
        image[y, x] = value
    mirrored, moved = flip_image(image), flip_points(points, 9, SWAP)
    marks = [mirrored[int(y), int(x)] for x, y in moved]
    assert marks == [1, 3, 2]  # left and right have changed places
    assert np.array_equal(flip_points(moved, 9, SWAP), points)


@pytest.mark.parametrize("swap", [(0, 1), (0, 0, 1), (1, 2, 0)])
def test_only_a_permutation_that_undoes_itself_is_a_swap(swap: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="swap must"):
        flip_maps(np.zeros((3, 2, 2), np.float32), swap)
