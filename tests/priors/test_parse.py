"""The parse teacher: classes, symmetry, and that it follows a face's own colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from models.atlas import GROUPS, explain, in_common, placed
from priors.checks import colour_r2, overlap
from priors.fitted import FittedPriors
from priors.parse import ParseAtlas, colour_features
from priors.sketch import NAMES, first_chance, shares, sketch, within_reach
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


def test_the_first_atlas_is_a_symmetric_sketch_and_keeps_each_class_near_it() -> None:
    labels = sketch(64)
    assert sorted(np.unique(labels)) == list(range(len(NAMES)))
    np.testing.assert_array_equal(labels, labels[:, ::-1])
    eyes = within_reach(64)[NAMES.index("eyes and brows")]
    torch.testing.assert_close(eyes[28, [20, 43]], torch.ones(2))
    assert eyes[5].max() == eyes[60].max() == pytest.approx(1e-4)
    torch.testing.assert_close(first_chance(64).sum(0), torch.ones(64, 64))
    groups = in_common(shares(64)[None], GROUPS)[0]
    torch.testing.assert_close(groups, torch.ones_like(groups))


def test_classes_of_a_group_have_one_colour_and_others_their_own() -> None:
    sums = torch.arange(12.0)[None, :, None]
    pooled = in_common(sums, GROUPS)[0, :, 0]
    assert pooled.tolist() == [1, 1, 5, 5, 15, 15, 15, 7, 8, 9, 10, 11]
    assert in_common(sums[:, :2], GROUPS).equal(sums[:, :2])


def test_the_pose_of_a_moved_face_is_found(atlas: ParseAtlas, faces: Faces) -> None:
    moved = np.array([[1, 0, 5], [0, 1, -4]], np.float32)
    poses = []
    for some in (faces.images[:8], np.stack([_moved(f, moved) for f in faces.images[:8]])):
        poses.append(explain(colour_features(some, 64), *atlas.tensors()).pose)
    shift = 128 * (poses[1] - poses[0])[:, :2].median(0).values
    assert 0.8 < shift[0] < 6.5
    assert -5.5 < shift[1] < -0.5


def test_an_atlas_is_placed_where_the_pose_says() -> None:
    chance = torch.zeros(1, 64, 64)
    chance[0, 20:24, 40:44] = 1
    poses = torch.tensor([[4 / 64, -8 / 64, 0, 0], [0, 0, 0.2, 0], [0, 0, 0, 0.2]])
    shifted, turned, grown = placed(chance, poses)[:, 0]
    assert shifted[12:16, 44:48].min() > 0.9
    line = torch.arange(64.0)
    turned_x, turned_y, grown_x, grown_y = (
        float((maps / maps.sum()).sum(axis) @ line) for maps in (turned, grown) for axis in (0, 1)
    )
    # the square is right of the middle and above it, at (41.5, 21.5); clockwise leads down
    assert min(turned_x, grown_x) > 42.5
    assert turned_y > 22.5
    assert grown_y < 20.5


def _moved(face: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.warpAffine(face, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE))
