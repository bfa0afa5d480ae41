"""rdb-plain: a plain stack of residual dense blocks, the rival that a searched network must beat.

The blocks are ESRGAN's (Wang et al. 2018), the reduced grid is Real-ESRGAN's pixel-unshuffle
intake.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.zoo.msrresnet import SCALES, bilinear, small_kaiming

TAIL = (48, 32, 16)


class RDBPlain(nn.Module):
    """Dense blocks on the base grid (HQ / 8), then three doublings; 2,147,507 parameters at x4."""

    def __init__(
        self, *, blocks: int = 8, channels: int = 64, growth: int = 32, scale: int = 4
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = "rdb-plain"
        self.scale = scale
        self.lq_multiple = 8 // scale
        self.conv_first = nn.Conv2d(3 * self.lq_multiple**2, channels, 3, padding=1)
        self.body = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.upconvs = nn.ModuleList(
            nn.Conv2d(wide, 4 * narrow, 3, padding=1)
            for wide, narrow in zip((channels, *TAIL), TAIL, strict=False)
        )
        self.conv_last = nn.Conv2d(TAIL[-1], 3, 3, padding=1)
        # The output starts near the bilinear base.
        small_kaiming(self.conv_last)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, about [0, 1], not clamped.

        `lq` `(B, 3, h, w)` in [0, 1], its sides multiples of `lq_multiple` (2 at x4).
        """
        shallow = self.conv_first(F.pixel_unshuffle(lq, self.lq_multiple))
        features = shallow + self.conv_body(self.body(shallow))
        for upconv in self.upconvs:
            features = F.leaky_relu(F.pixel_shuffle(upconv(features), 2), 0.1)
        return self.conv_last(features) + bilinear(lq, self.scale)


class DenseBlock(nn.Module):
    """`x + 0.2 f(x)`, f five 3x3 convolutions, each fed all earlier outputs (ESRGAN, figure 4)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth if i < 4 else channels, 3, padding=1)
            for i in range(5)
        )
        for conv in self.convs:
            small_kaiming(conv)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, H, W)` of the same shape."""
        states = [x]
        for conv in self.convs[:-1]:
            states.append(F.leaky_relu(conv(torch.cat(states, 1)), 0.2))
        return x + 0.2 * self.convs[-1](torch.cat(states, 1))
