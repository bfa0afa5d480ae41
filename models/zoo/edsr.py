"""EDSR without mean shift: residual blocks on the LQ grid, one long skip, pixel-shuffle.

Lim et al., Enhanced Deep Residual Networks (CVPRW 2017), figure 3; parameter names as in BasicSR.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.space import SCALES
from models.zoo.msrresnet import ResidualBlock


class EDSR(nn.Module):
    """20 blocks of 64 features: 1,812,995 parameters at x4."""

    lq_multiple = 1
    """The LQ's sides may be any number of pixels."""

    def __init__(self, *, blocks: int = 20, channels: int = 64, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = f"edsr-{blocks}"
        self.scale = scale
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        doublings: list[nn.Module] = []
        for _ in range(SCALES.index(scale)):
            doublings += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2)]
        self.upsample = nn.Sequential(*doublings)
        self.conv_last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1]."""
        centred = lq - 0.5  # in place of EDSR's shift by the mean colour of its training pictures
        features = self.conv_first(centred)
        features = features + self.conv_after_body(self.body(features))
        restored: Tensor = self.conv_last(self.upsample(features)) + 0.5
        return restored
