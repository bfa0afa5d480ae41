"""Noise has the distribution that its docstring names."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm, poisson

from data.noise import gaussian_noise, normal_quantiles, poisson_counts, poisson_noise


@pytest.mark.parametrize(("peak", "level"), [(256, 255), (256, 3), (128, 90), (16, 200), (1, 128)])
def test_poisson_counts_follow_the_distribution(peak: int, level: int) -> None:
    draws = poisson_counts(np.full(200_000, level, np.uint8), np.random.default_rng(7), peak)
    rate = level * peak / 255
    values = np.arange(int(poisson.ppf(1e-4, rate)), int(poisson.ppf(1 - 1e-4, rate)) + 1)
    observed = np.array([np.count_nonzero(draws == value) for value in values])
    expected = poisson.pmf(values, rate) * draws.size
    rest = draws.size - observed.sum(), draws.size - expected.sum()
    p = chisquare([*observed, rest[0]], [*expected, rest[1]]).pvalue
    assert p > 1e-3
    assert draws.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / draws.size))
    assert draws.var() == pytest.approx(rate, rel=0.02)


def test_black_has_no_shot_noise() -> None:
    counts = poisson_counts(np.zeros((50, 50), np.uint8), np.random.default_rng(0), 64)
    assert not counts.any()


def test_shot_noise_follows_the_number_of_distinct_values() -> None:
    rng = np.random.default_rng(0)
    few = np.tile(np.array([40.0, 80.0, 120.0], np.float32), (200, 200, 1))  # 3 values: v = 4
    noise = poisson_noise(few, rng, scale=0.5, grey=False)
    for channel, value in enumerate((40.0, 80.0, 120.0)):
        deviation = 0.5 * 255 * np.sqrt(value / 255 / 4)
        assert noise[..., channel].std() == pytest.approx(deviation, rel=0.03)
        assert noise[..., channel].mean() == pytest.approx(0.0, abs=5 * deviation / 200)


def test_grey_noise_is_equal_in_the_channels_and_colour_noise_is_not() -> None:
    image = np.random.default_rng(1).random((40, 40, 3), dtype=np.float32) * 255
    rng = np.random.default_rng(2)
    for grey in (True, False):
        gaussian = gaussian_noise((40, 40), rng, sigma=12.0, grey=grey)
        shot = poisson_noise(image, rng, scale=1.0, grey=grey)
        for noise in (gaussian, shot):
            assert noise.shape == (40, 40, 3)
            assert noise.dtype == np.float32
            assert np.array_equal(noise[..., 0], noise[..., 2]) == grey


def test_gaussian_noise_is_normal_and_white() -> None:
    noise = gaussian_noise((200, 200), np.random.default_rng(0), sigma=12.0, grey=False)
    assert noise.std() == pytest.approx(12.0, rel=0.01)
    assert kstest(noise.ravel() / 12.0, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_the_quantiles_are_the_normal_distribution() -> None:
    values = normal_quantiles().astype(np.float64)
    steps = np.arange(1, values.size + 1) / values.size
    assert np.abs(norm.cdf(values) - steps + 0.5 / values.size).max() < 1e-6
    assert values.std() == pytest.approx(1.0, abs=1e-3)
    assert values[-1] == pytest.approx(4.3, abs=0.05)
