"""SRCNN: three convolutions on the enlarged input.

Dong et al., Image Super-Resolution Using Deep Convolutional Networks (TPAMI 2016), the 9-1-5
network, here on RGB and keeping the size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.space import SCALES


class SRCNN(nn.Module):
    """Patches 9x9 to 64, 1x1 to 32, 5x5 to RGB: 20,099 parameters at any scale."""

    lq_multiple = 1
    """The LQ's sides may be any number of pixels."""

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = "srcnn"
        self.scale = scale
        self.conv1 = nn.Conv2d(3, 64, 9, padding=4)
        self.conv2 = nn.Conv2d(64, 32, 1)
        self.conv3 = nn.Conv2d(32, 3, 5, padding=2)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1]."""
        large = F.interpolate(
            lq, scale_factor=float(self.scale), mode="bicubic", align_corners=False
        )
        restored: Tensor = self.conv3(F.relu(self.conv2(F.relu(self.conv1(large)))))
        return restored
