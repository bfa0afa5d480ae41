"""Input normalisation: a network that sees standardised colours, and restores in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BUFFERS = ("input_mean", "input_deviation")


def normalise(
    net: nn.Module, mean: Sequence[float] = (0.0,) * 3, deviation: Sequence[float] = (1.0,) * 3
) -> nn.Module:
    """Let `net` take `(lq - mean) / deviation` and undo it on what it returns; returns `net`.

    mean, deviation: per channel of RGB in [0,1]. They are learned from the faces, so they are
    buffers that are saved with the weights and count towards the cap.
    """
    for name, values in zip(BUFFERS, (mean, deviation), strict=True):
        net.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1))
    net.learned_buffers = BUFFERS  # type: ignore[assignment]
    net.register_forward_pre_hook(_enter)
    net.register_forward_hook(_leave)
    return net


def is_normalised(net: nn.Module) -> bool:
    """Whether `net` was changed by `normalise`."""
    return getattr(net, "learned_buffers", None) == BUFFERS


def _enter(net: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    mean, deviation = (net.get_buffer(name) for name in BUFFERS)
    return ((inputs[0] - mean) / deviation, *inputs[1:])


def _leave(net: nn.Module, _inputs: tuple[Tensor, ...], restored: Tensor) -> Tensor:
    mean, deviation = (net.get_buffer(name) for name in BUFFERS)
    return restored * deviation + mean
