"""Building blocks that are not searched: dense blocks, the tail, resampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.mixing import MixWeights, coefficients, scaled, total
from models.operations import SLOPE
from models.space import Space


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
    """Base grid to image, (B,C,h,w) -> (B,3,8h,8w), by the open kinds of tail.

    resize: three times (x2 nearest, conv, LeakyReLU), conv, LeakyReLU, conv to RGB;
    shuffle: three times (conv, pixel-shuffle x2, LeakyReLU), conv to RGB.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        widths = space.width.tail
        steps = list(zip((space.width.channels, *widths), widths, strict=False))
        self.kinds, self.slopes = space.framed("tail/kind"), space.framed("tail/slope")
        if "shuffle" in self.kinds:
            self.shuffles = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in steps)
        if "resize" in self.kinds:
            self.ups = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in steps)
            self.refine = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.out = damp(nn.Conv2d(widths[-1], 3, 3, padding=1), 0.1)

    def forward(self, x: Tensor, weights: MixWeights | None = None) -> Tensor:
        makers = {"shuffle": self._shuffled, "resize": self._resized}
        open_now = coefficients("tail/kind", self.kinds, weights)
        return self.out(total([scaled(makers[k](x, weights), c) for k, c in open_now]))

    def parts(self, kind: str) -> list[nn.Module]:
        """The layers that only this kind of tail has."""
        return [self.shuffles] if kind == "shuffle" else [self.ups, self.refine]

    def _shuffled(self, x: Tensor, weights: MixWeights | None) -> Tensor:
        for conv in self.shuffles:
            x = self._active(F.pixel_shuffle(conv(x), 2), weights)
        return x

    def _resized(self, x: Tensor, weights: MixWeights | None) -> Tensor:
        for conv in self.ups:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self._active(conv(x), weights)
        return self._active(self.refine(x), weights)

    def _active(self, x: Tensor, weights: MixWeights | None) -> Tensor:
        open_now = coefficients("tail/slope", self.slopes, weights)
        return total([scaled(F.leaky_relu(x, float(slope)), c) for slope, c in open_now])


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
