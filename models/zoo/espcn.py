"""ESPCN: three convolutions on the LQ grid, then one pixel-shuffle.

Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network (CVPR 2016), section 3, here on RGB.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.space import SCALES


class ESPCN(nn.Module):
    """5x5 to 64, 3x3 to 32, 3x3 to 3 s^2: 37,200 parameters at x4."""

    lq_multiple = 1
    """The LQ's sides may be any number of pixels."""

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = "espcn"
        self.scale = scale
        self.conv1 = nn.Conv2d(3, 64, 5, padding=2)
        self.conv2 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 3 * scale**2, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1]."""
        features = torch.tanh(self.conv2(torch.tanh(self.conv1(lq))))
        return F.pixel_shuffle(self.conv3(features), self.scale)
