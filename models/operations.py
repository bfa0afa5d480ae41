"""The operations an edge of a cell can carry; adding one means a line in `OPERATIONS`.

Every operation maps (B,C,H,W) to the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.mixing import MixWeights, coefficients, scaled, total
from models.norm import BatchNorm

SLOPE = 0.2
"""Negative slope of every LeakyReLU of FaceSR (ESRGAN's)."""


class ConvOperation(nn.Sequential):
    """LeakyReLU, k x k convolution (dilated if asked), batch norm if asked."""

    def __init__(self, channels: int, kernel: int, norm: str, dilation: int = 1) -> None:
        layers: list[nn.Module] = [
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(
                channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation
            ),
        ]
        if norm == "batch":
            layers.append(BatchNorm(channels))
        super().__init__(*layers)


class ChannelAttention(nn.Module):
    """Residual channel attention block (Zhang et al., RCAN, ECCV 2018, eq. 6-9)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        squeezed = max(channels // 4, 2)
        self.body = nn.Sequential(
            ConvOperation(channels, 3, norm), ConvOperation(channels, 3, norm)
        )
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        pooled = body.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))
        return x + body * gate


OPERATIONS: dict[str, Callable[[int, str], nn.Module]] = {
    "skip": lambda channels, norm: nn.Identity(),
    "conv3": lambda channels, norm: ConvOperation(channels, 3, norm),
    "conv5": lambda channels, norm: ConvOperation(channels, 5, norm),
    "conv7": lambda channels, norm: ConvOperation(channels, 7, norm),
    "dilated3": lambda channels, norm: ConvOperation(channels, 3, norm, dilation=2),
    "channel_attention": lambda channels, norm: ChannelAttention(channels, norm),
}


def build_operation(name: str, channels: int, norm: str = "none") -> nn.Module:
    """The operation `name` on `channels` channels; KeyError lists what exists."""
    if name not in OPERATIONS:
        raise KeyError(f"unknown operation {name!r}: choose from {sorted(OPERATIONS)}")
    return OPERATIONS[name](channels, norm)


class Mixed(nn.Module):
    """Weighted sum of the open operations of one edge; with one open, that operation."""

    def __init__(self, name: str, operations: tuple[str, ...], channels: int, norm: str) -> None:
        super().__init__()
        self.name = name
        self.operations = operations
        self.options = nn.ModuleDict({o: build_operation(o, channels, norm) for o in operations})

    def forward(self, x: Tensor, weights: MixWeights | None) -> Tensor:
        open_now = coefficients(self.name, self.operations, weights)
        return total([scaled(self.options[o](x), c) for o, c in open_now])
