"""The parse teacher: classes, symmetry, and that it follows a face's own colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from priors.checks import colour_r2, overlap
from priors.fitted import FittedPriors
from priors.parse import ParseAtlas
from priors.template import kmeans
from tests.priors.conftest import Faces


@pytest.fixture(scope="module")
def atlas(fitted: FittedPriors) -> ParseAtlas:
    assert fitted.teachers.parse is not None
    return fitted.teachers.parse


def test_atlas_has_twelve_symmetric_classes_that_sum_to_one(atlas: ParseAtlas) -> None:
    assert atlas.chance.shape == (12, 64, 64)
    np.testing.assert_allclose(atlas.chance.sum(0), 1, atol=1e-4)
    np.testing.assert_allclose(atlas.chance, atlas.chance[..., ::-1], atol=1e-4)
    assert atlas.chance.max((1, 2)).min() > 0.2  # every class is likely somewhere


def test_every_class_is_seen_in_the_faces(atlas: ParseAtlas, faces: Faces) -> None:
    labels = atlas.maps(faces.images, 64).argmax(1)
    areas = np.bincount(labels.ravel(), minlength=12) / labels.size
    assert areas.min() > 0.003
    assert areas.max() < 0.5


@pytest.mark.parametrize("size", [32, 64, 128])
def test_mirrored_face_has_the_mirrored_parse(atlas: ParseAtlas, faces: Faces, size: int) -> None:
    some = faces.images[:4]
    maps, mirrored = (atlas.maps(f, size) for f in (some, some[:, :, ::-1]))
    assert maps.shape == (4, 12, size, size)
    np.testing.assert_allclose(maps.sum(1), 1, atol=1e-4)
    assert overlap(maps[..., ::-1].argmax(1), mirrored.argmax(1), 12).mean() > 0.97


def test_classes_explain_colours_better_than_the_template(atlas: ParseAtlas, faces: Faces) -> None:
    labels = atlas.maps(faces.images, 64).argmax(1)
    template = atlas.chance.argmax(0)
    own = [colour_r2(f, p) for f, p in zip(faces.images, labels, strict=True)]
    usual = [colour_r2(f, template) for f in faces.images]
    assert np.mean(own) > np.mean(usual) + 0.05
    assert (labels != template).mean() > 0.1


def test_parse_moves_with_the_face(atlas: ParseAtlas, faces: Faces) -> None:
    shift = np.array([[1, 0, 6], [0, 1, 4]], np.float32)
    moved = [
        cv2.warpAffine(f, shift, (128, 128), borderMode=cv2.BORDER_REPLICATE)
        for f in faces.images[:8]
    ]
    before = atlas.maps(faces.images[:8], 64).argmax(1)[:, 4:-8, 4:-8]
    after = atlas.maps(np.stack(moved), 64).argmax(1)[:, 6:-6, 7:-5]
    still = np.broadcast_to(atlas.chance.argmax(0), (8, 64, 64))
    template = overlap(still[:, 4:-8, 4:-8], still[:, 6:-6, 7:-5], 12).mean()
    assert overlap(before, after, 12).mean() > template + 0.03


def test_kmeans_finds_separate_groups_and_refuses_too_few_points() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
    points = np.concatenate([c + rng.normal(0, 0.3, (20, 2)) for c in centres]).astype(np.float32)
    found, labels = kmeans(points, 3, rng, restarts=3, rounds=20)
    assert sorted(np.bincount(labels)) == [20, 20, 20]
    assert all(np.linalg.norm(found - c, axis=1).min() < 0.5 for c in centres)
    with pytest.raises(ValueError, match="2 points into 3"):
        kmeans(points[:2], 3, rng, restarts=1, rounds=1)
