"""A Pix2Pix-style U-Net that resizes instead of transposing, without dropout.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (CVPR 2017),
appendix 6.1.1: strided 4x4 convolutions down, skips across. Upwards every level is enlarged by
nearest neighbours and convolved (Odena et al., Distill 2016, against checkerboards). Widths are
those that fit the cap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.norm import BatchNorm
from models.space import SCALES
from models.zoo.msrresnet import bilinear

WIDTHS = (32, 64, 128, 192, 192)
"""Channels of the levels HQ / 2, / 4, ... / 32."""


class UNet(nn.Module):
    """Down from the bilinear HQ to HQ / 32 and up again; see `WIDTHS`."""

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = "unet"
        self.scale = scale
        self.lq_multiple = 2 ** len(WIDTHS) // scale
        inputs = (3, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(inputs, WIDTHS, strict=True)
        )
        self.down_norms = nn.ModuleList(BatchNorm(width) for width in WIDTHS[1:])
        below = (WIDTHS[-1], *(2 * width for width in WIDTHS[-2::-1]))
        above = (*WIDTHS[-2::-1], WIDTHS[0])
        self.up = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(below, above, strict=True)
        )
        self.up_norms = nn.ModuleList(BatchNorm(width) for width in above)
        self.conv_last = nn.Conv2d(WIDTHS[0], 3, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1].

        The sides of `lq` are multiples of `lq_multiple` (8 at x4).
        """
        base = bilinear(lq, self.scale)
        levels = [F.leaky_relu(self.down[0](base), 0.2)]
        for conv, norm in zip(list(self.down)[1:], self.down_norms, strict=True):
            levels.append(F.leaky_relu(norm(conv(levels[-1])), 0.2))
        features = levels.pop()
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = F.relu(norm(conv(features)))
            if levels:
                features = torch.cat((features, levels.pop()), 1)
        return self.conv_last(features) + base
