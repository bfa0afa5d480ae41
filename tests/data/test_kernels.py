"""Kernels agree with the reference's; blurring with them agrees with plain correlation."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.blur import BlurRange, blur, draw_kernel, draw_sinc, scaled_size, separable_terms
from data.first_order import FirstOrder
from data.kernels import FAMILIES, bell_kernel, sinc_kernel
from data.second_order import SecondOrder

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def test_kernels_equal_the_reference() -> None:
    reference = np.load(GOLDEN / "kernels.npz")
    entries = json.loads((GOLDEN / "kernels.json").read_text())
    assert len(entries) == 70
    for entry in entries:
        if entry["family"] == "sinc":
            kernel = sinc_kernel(entry["size"], entry["cutoff"])
        else:
            kernel = bell_kernel(
                entry["family"],
                size=entry["size"],
                sigma_x=entry["sigma_x"],
                sigma_y=entry["sigma_x"] if entry["isotropic"] else entry["sigma_y"],
                theta=entry["theta"],
                beta=entry["beta"] or 1.0,
            )
        assert np.abs(kernel - reference[entry["id"]]).max() <= 1e-6, entry["id"]


@pytest.mark.parametrize("family", FAMILIES)
def test_bell_kernels_sum_to_one_and_turn_with_the_angle(family: str) -> None:
    flat = bell_kernel(family, size=15, sigma_x=2.0, sigma_y=0.7, theta=0.0, beta=1.5)
    turned = bell_kernel(family, size=15, sigma_x=2.0, sigma_y=0.7, theta=np.pi / 2, beta=1.5)
    assert flat.sum() == pytest.approx(1.0, abs=1e-12)
    assert flat[7, 10] > flat[10, 7]
    np.testing.assert_allclose(turned, flat.T, atol=1e-12)


def test_sinc_keeps_what_is_below_its_cutoff() -> None:
    response = np.abs(np.fft.fft2(sinc_kernel(21, np.pi / 2), s=(128, 128)))[0]
    assert response[8] == pytest.approx(1.0, abs=0.1)
    assert response[56:64].max() < 0.1


def test_wrong_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        sinc_kernel(8, 2.0)
    with pytest.raises(ValueError, match="positive"):
        bell_kernel("gaussian", size=7, sigma_x=0.0, sigma_y=1.0, theta=0.0)
    with pytest.raises(ValueError, match="gaussian, generalized, plateau"):
        bell_kernel("box", size=7, sigma_x=1.0, sigma_y=1.0, theta=0.0)


def test_blur_equals_plain_correlation() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (70, 90, 3)).astype(np.float32)
    ranges = (FirstOrder().blur, SecondOrder().first.blur, SecondOrder().second.blur)
    for choices in ranges * 15:
        kernel = draw_kernel(rng, choices, spatial=1.0)
        plain = cv2.filter2D(
            image.astype(np.float64), -1, kernel, borderType=cv2.BORDER_REFLECT_101
        )
        assert np.abs(blur(image, kernel) - plain).max() < 0.011


def test_an_isotropic_gaussian_takes_one_term() -> None:
    kernel = bell_kernel("gaussian", size=21, sigma_x=2.0, sigma_y=2.0, theta=0.0)
    assert len(separable_terms(kernel)) == 1
    tilted = bell_kernel("gaussian", size=21, sigma_x=3.0, sigma_y=1.0, theta=0.7)
    terms = separable_terms(tilted)
    assert len(terms) > 1
    total = sum(np.outer(column, row) for column, row in terms)
    assert np.abs(total - tilted).sum() <= 4e-5


def test_lengths_scale_with_the_side() -> None:
    assert [scaled_size(size, 0.25) for size in (7, 13, 21, 41)] == [1, 3, 5, 11]
    assert [scaled_size(size, 1.0) for size in (7, 21)] == [7, 21]
    choices = BlurRange(shapes=(("gaussian", True, 1.0),), sigma=(4.0, 4.0001), sizes=(41,))
    wide = draw_kernel(np.random.default_rng(0), choices, spatial=1.0)
    narrow = draw_kernel(np.random.default_rng(0), choices, spatial=0.25)
    assert _deviation(wide) == pytest.approx(4.0, rel=0.01)
    assert _deviation(narrow) == pytest.approx(1.0, rel=0.01)
    sinc = draw_sinc(np.random.default_rng(0), size=21, low=np.pi / 3, spatial=0.25)
    assert sinc.shape == (1, 1)


def _deviation(kernel: np.ndarray) -> float:
    axis = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    return float(np.sqrt((kernel.sum(axis=0) * axis**2).sum()))
