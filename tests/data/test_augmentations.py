"""Augmentations: what they change, what they leave, and that they are drawn apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from data import augmentations
from data.augmentations import AUGMENTATIONS, FACE_CHANGES, Augmentation, cut_blur, parse
from data.batches import Batch, BatchMaker
from data.errors import DataError
from data.sources import SyntheticSource
from data.synthetic import render_face

SIDE = 64


@pytest.fixture(scope="module")
def hq() -> np.ndarray:
    return render_face(3, size=SIDE).image


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", FACE_CHANGES)
def test_a_change_gives_another_picture_of_the_same_kind(name: str, hq: np.ndarray) -> None:
    changed = FACE_CHANGES[name](hq, _rng(5))
    assert changed.dtype == np.uint8
    assert changed.shape == hq.shape
    assert not np.array_equal(changed, hq)
    assert np.array_equal(FACE_CHANGES[name](hq, _rng(5)), changed)


def test_a_permutation_keeps_every_channel(hq: np.ndarray) -> None:
    changed = augmentations.permute(hq, _rng(5))
    means = [hq[..., c].mean() for c in range(3)]
    assert sorted(changed[..., c].mean() for c in range(3)) == pytest.approx(sorted(means))


def test_no_rotation_leaves_the_middle_out_of_place(hq: np.ndarray) -> None:
    turned = augmentations.rotate(hq, _rng(2)).astype(float)
    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    assert np.abs(turned[middle, middle] - hq[middle, middle]).mean() < 12


def test_cut_blur_shows_the_clean_picture_inside_or_outside(hq: np.ndarray) -> None:
    lq = np.zeros((16, 16, 3), np.uint8)
    shares = {round((cut_blur(lq, hq, _rng(seed)) > 0).any(-1).mean(), 1) for seed in range(12)}
    assert len(shares) == 2
    assert sum(shares) == pytest.approx(1.0, abs=0.11)


def test_what_is_left_out_is_not_drawn(hq: np.ndarray) -> None:
    rng = _rng()
    assert Augmentation().face(hq, rng) is hq
    assert Augmentation().lq(hq, hq, rng) is hq
    assert rng.random() == _rng().random()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_probability_is_kept(name: str, hq: np.ndarray) -> None:
    some = parse([f"{name}=0.3"])
    lq = hq[::4, ::4]
    rng = _rng()
    changed = 0
    for _ in range(200):
        changed += some.face(hq, rng) is not hq or some.lq(lq, hq, rng) is not lq
    assert 40 < changed < 80


def test_batches_of_the_same_faces_differ_only_by_what_was_asked_for() -> None:
    def batch(**options: Any) -> Batch:
        source = SyntheticSource(4, SIDE)
        make = BatchMaker(
            source,
            seed=0,
            faces=2,
            crops=1,
            lq_crop=None,
            degradation="first-order",
            scale=4,
            **options,
        )
        return make(0)

    plain = batch()
    again = batch(augmentation=parse(["rotation=0"]))
    noisy = batch(augmentation=parse(["noise=1"]))
    sharp = batch(sharpened=True)
    assert np.array_equal(plain.lq, again.lq)
    assert np.array_equal(plain.hq, noisy.hq)
    assert 0 < (plain.lq - noisy.lq).abs().mean() < 0.1
    assert not np.array_equal(plain.hq, sharp.hq)


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("flipud=0.5", "name each of rotation, jitter"),
        ("rotation", "write rotation=0.5"),
        ("rotation=often", "write rotation=0.5"),
        ("rotation=1.5", "between 0 and 1"),
    ],
)
def test_terms_that_mean_nothing_are_refused(term: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse([term])


def test_a_doubled_term_is_refused() -> None:
    with pytest.raises(DataError, match="once"):
        parse(["noise=0.1", "noise=0.2"])
