"""Building blocks that are not searched: dense blocks, the tail, resampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.operations import SLOPE


class ResidualDenseBlock(nn.Module):
    """Five 3x3 convolutions, densely connected, with residual scale 0.2 (ESRGAN, Fig. 4)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        outs = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, out, 3, padding=1) for i, out in enumerate(outs)
        )
        for conv in self.convs:
            damp(conv, 1.0)  # the residual scale damps enough; ESRGAN's further 0.1 learns slower

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for conv in list(self.convs)[:-1]:
            new = F.leaky_relu(conv(features), SLOPE)
            features = torch.cat((features, new), 1)
        return x + 0.2 * self.convs[-1](features)


def dense_stack(channels: int, growth: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualDenseBlock(channels, growth) for _ in range(blocks)))


class Tail(nn.Module):
    """Base grid to image: three times (x2 nearest, conv, LeakyReLU), conv, LeakyReLU, conv to RGB.

    (B,C,h,w) -> (B,3,8h,8w)
    """

    def __init__(self, channels: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        sizes = (channels, *widths)
        self.ups = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, widths, strict=False)
        )
        self.refine = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.out = damp(nn.Conv2d(widths[-1], 3, 3, padding=1), 0.1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.ups:
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        return self.out(F.leaky_relu(self.refine(x), SLOPE))


def damp(conv: nn.Module, factor: float) -> nn.Module:
    """Kaiming-normal weights times `factor`, zero bias: residual branches start small."""
    if isinstance(conv, nn.Conv2d):
        nn.init.kaiming_normal_(conv.weight, a=SLOPE)
        with torch.no_grad():
            conv.weight.mul_(factor)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
    return conv


def resample(x: Tensor, factor: float) -> Tensor:
    """Bilinear resampling by a power of two; halving is the 2x2 mean."""
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def to_grid(x: Tensor, finer_by: int) -> Tensor:
    """Bring features to a grid that is 2^finer_by coarser without losing any of them.

    finer_by > 0: pixel-unshuffle (channels x 4^finer_by); < 0: bilinear enlargement.
    """
    return F.pixel_unshuffle(x, 2**finer_by) if finer_by > 0 else resample(x, 2.0**-finer_by)


def unshuffled(channels: int, finer_by: int) -> int:
    """Channels after `to_grid`."""
    return channels * 4 ** max(finer_by, 0)
