"""Reduction by one kernel or a random one."""

from __future__ import annotations

import numpy as np
import pytest

from data.clean import CLEAN, KERNELS
from data.degradation import DEGRADATIONS, degrade
from data.synthetic import render_face


@pytest.fixture(scope="module")
def hq() -> np.ndarray:
    return render_face(1, size=64).image


def test_every_kernel_gives_its_own_lq_and_nothing_else_is_random(hq: np.ndarray) -> None:
    lqs = {name: degrade(hq, np.random.default_rng(0), name) for name in KERNELS}
    for name, lq in lqs.items():
        assert lq.shape == (16, 16, 3)
        assert np.array_equal(lq, degrade(hq, np.random.default_rng(1), name))
    assert len({lq.tobytes() for lq in lqs.values()}) == len(KERNELS)


def test_kernels_draws_each_of_them(hq: np.ndarray) -> None:
    single = {degrade(hq, np.random.default_rng(0), name).tobytes() for name in KERNELS}
    drawn = {degrade(hq, np.random.default_rng(i), "kernels").tobytes() for i in range(40)}
    assert drawn == single


def test_a_flat_picture_stays_flat() -> None:
    flat = np.full((32, 32, 3), 77, np.uint8)
    for name in CLEAN:
        assert (degrade(flat, np.random.default_rng(0), name) == 77).all()


def test_the_default_comes_first() -> None:
    assert next(iter(DEGRADATIONS)) == "second-order"
