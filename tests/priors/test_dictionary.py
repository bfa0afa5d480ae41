"""The codes of high frequencies: what they ignore, what they keep, and that they differ."""

from __future__ import annotations

import numpy as np
import pytest

from priors.dictionary import PatchCodes, compand, expand, fit_codes, high_frequencies
from priors.fitted import FittedPriors
from tests.priors.conftest import Faces


@pytest.fixture(scope="module")
def codes(fitted: FittedPriors) -> PatchCodes:
    assert isinstance(fitted.teachers.dict, PatchCodes)
    return fitted.teachers.dict


def test_codebook_is_512_codes_of_8_in_unit_scale(codes: PatchCodes, faces: Faces) -> None:
    assert codes.codebook.shape == (512, 8)
    np.testing.assert_allclose(codes.basis.T @ codes.basis, np.eye(8), atol=1e-4)
    vectors = codes.vectors(faces.images, 64)
    assert vectors.shape == (len(faces), 32, 32, 8)
    assert 0.8 < np.sqrt((vectors**2).mean()) < 1.2


def test_codes_are_used_and_near_their_patches(codes: PatchCodes, faces: Faces) -> None:
    ids = codes.ids(faces.images, 64)
    vectors = codes.vectors(faces.images, 64)
    assert len(np.unique(ids)) > 0.8 * 512
    left = ((codes.codebook[ids] - vectors) ** 2).sum()
    assert left < 0.5 * ((vectors - vectors.mean((0, 1, 2))) ** 2).sum()


def test_maps_are_an_expected_code_and_a_confidence(codes: PatchCodes, faces: Faces) -> None:
    maps = codes.maps(faces.images[:2], 64)
    assert maps.shape == (2, 9, 64, 64)
    assert 0 <= maps[:, 8].min() <= maps[:, 8].max() <= 1
    assert maps[:, 8].std() > 0.01
    lowest, highest = codes.codebook.min(0), codes.codebook.max(0)
    assert (maps[:, :8].min((0, 2, 3)) >= lowest - 1e-4).all()
    assert (maps[:, :8].max((0, 2, 3)) <= highest + 1e-4).all()


def test_high_frequencies_ignore_flat_light() -> None:
    flat = np.full((128, 128, 3), 90, np.uint8)
    np.testing.assert_allclose(high_frequencies(flat), 0, atol=1e-6)
    striped = flat.copy()
    striped[:, ::2] += 40
    assert high_frequencies(striped).std() > 0.05


def test_expand_undoes_compand() -> None:
    vectors = np.random.default_rng(0).normal(0, 2, (50, 8))
    np.testing.assert_allclose(expand(compand(vectors, 0.3), 0.3), vectors, rtol=1e-6)


def test_tiny_data_get_fewer_codes(faces: Faces) -> None:
    few = fit_codes(faces.images[:1], np.random.default_rng(0), size=64)
    assert few.codebook.shape == (32 * 32 // 4, 8)
