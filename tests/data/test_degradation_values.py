"""Numbers of the second order under Real-ESRGAN's names."""

from __future__ import annotations

import numpy as np
import pytest

from data.degradation import degrade
from data.degradation_values import NAMES, parse_values
from data.errors import DataError
from data.second_order import SecondOrder


def test_nothing_given_is_the_challenges_own() -> None:
    assert parse_values([]) == SecondOrder()


def test_every_number_finds_its_place() -> None:
    changed = parse_values(
        [
            "resize_prob=0.1,0.2,0.7",
            "noise_range2=2,30",
            "jpeg_range=30,60",
            "blur_sigma2=0.5,1",
            "betag_range=0.4,3",
            "kernel_list=iso,plateau_aniso",
            "kernel_prob=0.5,0.5",
            "second_blur_prob=0.25",
            "final_sinc_prob=0",
            "gray_noise_prob2=1",
        ]
    )
    assert changed.first.resize_probability == (0.1, 0.2, 0.7)
    assert changed.first.quality == (30, 60)
    assert dict(changed.first.blur.beta)["generalized"] == (0.4, 3.0)
    assert changed.first.blur.shapes == (("gaussian", True, 0.5), ("plateau", False, 0.5))
    assert changed.second.sigma == (2.0, 30.0)
    assert changed.second.blur.sigma == (0.5, 1.0)
    assert (changed.second.blur_probability, changed.second.grey_probability) == (0.25, 1.0)
    assert changed.final_sinc_probability == 0.0
    assert changed.first.blur.sigma == SecondOrder().first.blur.sigma


def test_more_noise_is_more_noise() -> None:
    hq = np.full((64, 64, 3), 128, np.uint8)
    stronger = parse_values(["noise_range=60,60", "gaussian_noise_prob=1", "jpeg_range=95,95"])
    spreads = []
    for preset in ("second-order", stronger):
        lqs = [degrade(hq, np.random.default_rng(i), preset) for i in range(12)]
        spreads.append(np.mean([lq.std() for lq in lqs]))
    assert spreads[1] > 1.2 * spreads[0]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (["blur=1"], f"name each of {NAMES[0]}"),
        (["noise_range=1,2", "noise_range=1,3"], "once"),
        (["noise_range=1"], "2 numbers are needed"),
        (["noise_range=5,1"], "a range rises"),
        (["noise_range=low,high"], "not numbers"),
        (["gray_noise_prob=1.5"], "between 0 and 1"),
        (["resize_prob=0.5,0.5,0.5"], "sum to 1.5"),
        (["kernel_list=iso"], "give both"),
        (["kernel_list=iso,box", "kernel_prob=0.5,0.5"], "'box' is not one of iso"),
        (["kernel_list=iso,aniso", "kernel_prob=0.5,0.6"], "sum to 1.1"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(terms: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_values(terms)
