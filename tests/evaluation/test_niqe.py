"""NIQE rises where a face looks less natural."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.synthetic import render_face
from evaluation.metrics import Image, MetricError
from evaluation.niqe import FEATURES, NiqeModel, _fit_asymmetric, fit_niqe, niqe

SIDE, BLOCK = 256, 64


@pytest.fixture(scope="module")
def model() -> NiqeModel:
    return fit_niqe((render_face(i, size=SIDE).image for i in range(12)), block=BLOCK)


def _mean(change: object, model: NiqeModel) -> float:
    faces = [render_face(100 + i, size=SIDE).image for i in range(4)]
    return float(np.mean([niqe(change(face), model) for face in faces]))  # type: ignore[operator]


def _blurred(sigma: float) -> object:
    return lambda face: cv2.GaussianBlur(face, (0, 0), sigma)


def _noisy(sigma: float) -> object:
    def change(face: Image) -> Image:
        noise = np.random.default_rng(0).normal(0, sigma, face.shape)
        return np.clip(face + noise, 0, 255).astype(np.uint8)

    return change


def test_it_rises_with_blur_and_with_noise(model: NiqeModel) -> None:
    clean = _mean(lambda face: face, model)
    blurred = [_mean(_blurred(sigma), model) for sigma in (1.0, 3.0)]
    noisy = [_mean(_noisy(sigma), model) for sigma in (8.0, 25.0)]
    assert clean < blurred[0] < blurred[1]
    assert clean < noisy[0] < noisy[1]


def test_the_model_says_what_it_was_fitted_on(model: NiqeModel) -> None:
    assert (model.faces, model.block) == (12, BLOCK)
    assert model.mean.shape == (FEATURES,)


def test_a_gaussian_is_recognised() -> None:
    values = np.random.default_rng(0).normal(0, 2.0, (3, 200, 200))
    shape, left, right = _fit_asymmetric(values)
    assert shape == pytest.approx([2.0] * 3, abs=0.05)
    assert left == pytest.approx(right, rel=0.03)
    assert left == pytest.approx([2.0 * np.sqrt(2.0)] * 3, rel=0.03)


def test_pictures_without_enough_blocks_are_refused(model: NiqeModel) -> None:
    with pytest.raises(MetricError, match="1 blocks of 64 px; NIQE needs 4"):
        niqe(np.zeros((100, 100, 3), np.uint8), model)
    with pytest.raises(MetricError, match="NIQE needs over 36"):
        fit_niqe([render_face(0, size=128).image], block=BLOCK)
