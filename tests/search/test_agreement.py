"""The signal is 1 for noise, grows where gradients agree, and is kept exactly."""

from __future__ import annotations

import pytest
import torch

from search.agreement import GradientSignal


def filled(mean: float, steps: int, size: int = 400) -> GradientSignal:
    rng = torch.Generator().manual_seed(0)
    signal = GradientSignal([size])
    for _ in range(steps):
        signal.add([torch.randn(size, generator=rng) + mean])
    return signal


def test_noise_has_signal_one_and_agreement_grows_with_the_root_of_the_steps() -> None:
    assert filled(0.0, 200).value() == pytest.approx(1.0, abs=0.12)
    assert filled(0.5, 100).value() == pytest.approx((1 + 0.25 * 100) ** 0.5, rel=0.1)
    assert filled(0.5, 400).value() == pytest.approx((1 + 0.25 * 400) ** 0.5, rel=0.1)


def test_logits_that_a_step_left_out_are_not_counted() -> None:
    with_gaps, without = GradientSignal([2, 3]), GradientSignal([2])
    rng = torch.Generator().manual_seed(0)
    for step in range(20):
        gradient = torch.randn(2, generator=rng)
        with_gaps.add([gradient, torch.ones(3) if step < 5 else None])
        without.add([gradient])
    assert with_gaps.value() == without.value() > 0


def test_state_comes_back() -> None:
    signal = filled(0.1, 20)
    again = GradientSignal([400])
    assert again.value() == 0.0
    again.load(signal.state())
    assert again.value() == signal.value()
