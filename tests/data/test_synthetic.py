"""The embedded synthetic faces: determinism, alignment, and truth of their labels."""

from __future__ import annotations

import time
from functools import lru_cache

import cv2
import numpy as np
import pytest

from data.synthetic import (
    LANDMARK_NAMES,
    LANDMARK_SWAP,
    PARSE_CLASSES,
    PARSE_SWAP,
    SyntheticFace,
    render_face,
)
from data.synthetic_pose import align
from data.synthetic_traits import HAIR_STYLES, HATS, draw_look, draw_shape

SIDE = 256
COUNT = 60


@lru_cache(maxsize=COUNT)
def face(index: int) -> SyntheticFace:
    """A face at 256, rendered once for all tests."""
    return render_face(index, SIDE)


def landmark(index: int, name: str) -> np.ndarray:
    """One landmark (2,) in units of a 512 picture."""
    return (face(index).landmarks[LANDMARK_NAMES.index(name)] + 0.5) * 512.0 / SIDE


def test_the_same_index_gives_the_same_face() -> None:
    first, again = render_face(3, 128), render_face(3, 128)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.parse, again.parse)
    assert np.array_equal(first.landmarks, again.landmarks)


def test_an_order_of_rendering_does_not_matter() -> None:
    alone = render_face(5, 64).image
    for index in (9, 1, 7):
        render_face(index, 64)
    assert np.array_equal(render_face(5, 64).image, alone)


def test_faces_differ() -> None:
    means = [face(i).image.astype(np.float32) for i in range(12)]
    for i in range(12):
        for j in range(i):
            assert np.abs(means[i] - means[j]).mean() > 8.0, (i, j)


@pytest.mark.parametrize("size", [64, 100, 128, 192, 512])
def test_shapes_at_every_size(size: int) -> None:
    got = render_face(2, size)
    assert got.image.shape == (size, size, 3)
    assert got.image.dtype == np.uint8
    assert got.parse.shape == (size, size)
    assert got.parse.max() < len(PARSE_CLASSES)
    assert got.landmarks.shape == (len(LANDMARK_NAMES), 2)
    assert got.image.std() > 20.0


def test_larger_than_512() -> None:
    small, large = render_face(4, 512), render_face(4, 640)
    reduced = cv2.resize(large.image, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(float) - small.image).mean() < 6.0


@pytest.mark.parametrize("index", [0, 7, 11])
@pytest.mark.parametrize("size", [64, 128])
def test_a_small_face_is_the_large_face_reduced(index: int, size: int) -> None:
    large, small = render_face(index, 512), render_face(index, size)
    reduced = cv2.resize(large.image, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(float) - small.image).mean() < 5.0
    labels = cv2.resize(large.parse, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    assert (labels == small.parse).mean() > 0.95
    scaled = (large.landmarks + 0.5) * size / 512.0 - 0.5
    assert np.abs(scaled - small.landmarks).max() < 1e-3


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="index >= 0"):
        render_face(-1, 128)
    with pytest.raises(ValueError, match="size >= 16"):
        render_face(0, 8)


def test_eyes_are_aligned_as_in_ffhq() -> None:
    left = np.array([landmark(i, "left_eye_centre") for i in range(COUNT)])
    right = np.array([landmark(i, "right_eye_centre") for i in range(COUNT)])
    assert np.abs(left.mean(0) - (194.0, 238.0)).max() < 2.0
    assert np.abs(right.mean(0) - (318.0, 238.0)).max() < 2.0
    assert np.abs(left - (194.0, 238.0)).max() < 16.0
    assert np.abs(right - (318.0, 238.0)).max() < 16.0
    assert left.std(0).min() > 0.8


def test_poses_are_within_fifteen_degrees_and_vary() -> None:
    yaws = np.degrees([draw_shape(i).yaw for i in range(300)])
    assert np.abs(yaws).max() <= 15.0 + 1e-9
    assert yaws.std() > 4.0


def test_a_turned_head_moves_the_nose_against_the_eyes() -> None:
    def offset(index: int) -> float:
        eyes = landmark(index, "left_eye_centre") + landmark(index, "right_eye_centre")
        return float(landmark(index, "nose_tip")[0] - eyes[0] / 2)

    yaws = np.array([draw_shape(i).yaw for i in range(COUNT)])
    offsets = np.array([offset(i) for i in range(COUNT)])
    assert np.corrcoef(yaws, offsets)[0, 1] > 0.9
    assert offsets.std() > 3.0


def test_main_classes_are_present_in_most_faces() -> None:
    seen = np.zeros(len(PARSE_CLASSES))
    for i in range(COUNT):
        seen += np.bincount(face(i).parse.ravel(), minlength=len(PARSE_CLASSES)) > 12
    share = dict(zip(PARSE_CLASSES, seen / COUNT, strict=True))
    for name in ("background", "skin", "nose", "upper_lip", "lower_lip", "neck", "cloth"):
        assert share[name] > 0.85, name
    for name in ("left_eye", "right_eye"):
        assert share[name] > 0.9, name
    for name in ("left_brow", "right_brow", "hair"):
        assert share[name] > 0.7, name
    for name in ("mouth", "left_ear", "right_ear"):
        assert 0.2 < share[name] < 0.9, name
    for name in ("hat", "glasses"):
        assert 0.03 < share[name] < 0.5, name


def test_every_attribute_occurs() -> None:
    looks = [draw_look(i) for i in range(600)]
    assert {look.style for look in looks} == set(HAIR_STYLES)
    assert {look.hat for look in looks} == set(HATS)
    assert {look.beard for look in looks} == {"none", "stubble", "goatee", "full"}
    assert {look.glasses for look in looks} == {"none", "round", "square", "wide", "sun"}


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("left_eye_centre", ("left_eye",)),
        ("right_eye_centre", ("right_eye",)),
        ("left_eye_outer", ("left_eye",)),
        ("right_eye_inner", ("right_eye",)),
        ("left_brow_peak", ("left_brow",)),
        ("right_brow_peak", ("right_brow",)),
        ("nose_tip", ("nose",)),
        ("left_nose_wing", ("nose",)),
        ("left_mouth_corner", ("upper_lip", "lower_lip", "mouth")),
        ("right_mouth_corner", ("upper_lip", "lower_lip", "mouth")),
        ("upper_lip_top", ("upper_lip",)),
        ("lower_lip_bottom", ("lower_lip",)),
        ("chin", ("skin",)),
        ("right_jaw", ("skin",)),
    ],
)
def test_landmarks_lie_in_their_regions(name: str, classes: tuple[str, ...]) -> None:
    allowed = [PARSE_CLASSES.index(c) for c in classes]
    hiding = [PARSE_CLASSES.index(c) for c in ("hair", "hat", "glasses")]
    row, visible = LANDMARK_NAMES.index(name), 0
    for i in range(30):
        x, y = face(i).landmarks[row]
        outside = (~np.isin(face(i).parse, allowed)).astype(np.uint8)
        distance = cv2.distanceTransform(outside, cv2.DIST_L2, 5)
        at = round(float(y)), round(float(x))
        if face(i).parse[at] in hiding:
            continue
        visible += 1
        assert distance[at] <= 3.0, (i, name)
    assert visible >= 15


def test_mirror_permutations() -> None:
    for swap, names in ((PARSE_SWAP, PARSE_CLASSES), (LANDMARK_SWAP, LANDMARK_NAMES)):
        assert sorted(swap) == list(range(len(names)))
        assert [swap[k] for k in swap] == list(range(len(names)))
        for name, k in zip(names, swap, strict=True):
            if name.startswith("left_"):
                assert names[k] == name.replace("left_", "right_")
            elif not name.startswith("right_"):
                assert names[k] == name


def test_mirrored_landmarks_resemble_a_face() -> None:
    points = np.mean([face(i).landmarks for i in range(COUNT)], 0)
    mirrored = (points * (-1.0, 1.0) + (SIDE - 1.0, 0.0))[list(LANDMARK_SWAP)]
    assert np.abs(mirrored - points).max() < 4.0


def test_enough_labels() -> None:
    assert len(PARSE_CLASSES) >= 11
    assert len(LANDMARK_NAMES) >= 26
    assert len(set(LANDMARK_NAMES)) == len(LANDMARK_NAMES)


def test_skin_and_hair_have_detail_to_recover() -> None:
    for i in (3, 11):
        picture = render_face(i, 512)
        grey = cv2.cvtColor(picture.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        lost = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 3.0))
        for name, least in (("hair", 3.0), ("skin", 0.6)):
            assert lost[picture.parse == PARSE_CLASSES.index(name)].mean() > least, name


def test_the_pose_inverts() -> None:
    shape = draw_shape(8)
    pose = align(shape)
    x, y = pose.frontal(128)
    at = (64, 60)
    back = pose.on_nose(np.array([(x[at], y[at])]))[0]
    expected = (np.array((60.5, 64.5))) * 4.0
    assert np.abs(back - expected).max() < 1.0


def test_speed() -> None:
    render_face(0, 512)
    start = time.process_time()
    for i in range(4):
        render_face(i, 512)
    assert (time.process_time() - start) / 4 < 0.5
