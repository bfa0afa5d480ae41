"""The landmark teacher: its points, their mirror pairs, and that they move with the face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from priors.fitted import FittedPriors
from priors.heat import PointModel, choose_points, draw_heat
from tests.priors.conftest import Faces


@pytest.fixture(scope="module")
def model(fitted: FittedPriors) -> PointModel:
    assert fitted.teachers.heat is not None
    return fitted.teachers.heat


def test_there_are_26_points_in_mirror_pairs_or_on_the_midline(model: PointModel) -> None:
    assert model.mean.shape == (26, 2)
    assert sorted(model.swap) == list(range(26))
    np.testing.assert_array_equal(model.swap[model.swap], np.arange(26))
    mirrored = model.mean[model.swap] * [-1, 1] + [127, 0]
    np.testing.assert_allclose(mirrored, model.mean, atol=1e-3)
    midline = model.swap == np.arange(26)
    np.testing.assert_allclose(model.mean[midline, 0], 63.5, atol=1e-3)
    apart = np.linalg.norm(model.mean[:, None] - model.mean, axis=-1) + 99 * np.eye(26)
    assert apart.min() > 2


def test_mirrored_face_has_the_mirrored_points(model: PointModel, faces: Faces) -> None:
    some = faces.images[:6]
    points, found = (model.points(f) for f in (some, some[:, :, ::-1]))
    wanted = points[:, model.swap] * [-1, 1] + [1, 0]
    assert np.linalg.norm(found - wanted, axis=-1).mean() * 128 < 0.3


def test_points_move_with_the_face(model: PointModel, faces: Faces) -> None:
    shift = np.array([[1, 0, 3], [0, 1, -2]], np.float32)
    some = faces.images[:8]
    moved = np.stack(
        [cv2.warpAffine(f, shift, (128, 128), borderMode=cv2.BORDER_REPLICATE) for f in some]
    )
    step = 128 * (model.points(moved) - model.points(some))
    np.testing.assert_allclose(step.mean((0, 1)), [3, -2], atol=0.4)


def test_points_differ_between_faces(model: PointModel, faces: Faces) -> None:
    points = 128 * model.points(faces.images)
    assert np.linalg.norm(points - points.mean(0), axis=-1).mean() > 0.5


def test_heat_peaks_at_the_points() -> None:
    heat = draw_heat(np.array([[0.25, 0.5], [0.75, 0.125]], np.float32), 64)
    assert heat.shape == (2, 64, 64)
    row, column = np.unravel_index(heat[1].argmax(), (64, 64))
    assert abs(column + 0.5 - 48) <= 0.5
    assert abs(row + 0.5 - 8) <= 0.5
    assert 0.75 < heat.max() <= 1  # the peaks lie between pixel centres


@pytest.mark.parametrize("count", [7, 26])
def test_chosen_points_are_as_many_as_asked_for(count: int) -> None:
    rng = np.random.default_rng(1)
    face = cv2.GaussianBlur(rng.random((128, 128), np.float32), (0, 0), 3)
    face = (face + face[:, ::-1]) / 2
    places, swap = choose_points(face, count)
    assert len(places) == len(swap) == count
    np.testing.assert_allclose(places[swap, 0], 127 - places[:, 0])
