"""The perceptual-loss system's generator: ten convolutions, batch norm, bilinear enlargement.

Channels 128-128-128 | up | 64-64-64 | up | 64-64-64-3: each group's last two convolutions are a
residual block with batch norm, ReLU everywhere.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.norm import BatchNorm
from models.space import SCALES
from models.zoo.msrresnet import bilinear

ENLARGE = {1: (1, 1), 2: (2, 1), 4: (2, 2), 8: (4, 2)}
"""Factors of the two enlargements, by scale."""


class BilinearResNet(nn.Module):
    """559,427 parameters and 1,024 learned statistics of its batch norms, at any scale."""

    lq_multiple = 1
    """The LQ's sides may be any number of pixels."""

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = "bilinear-resnet"
        self.scale = scale
        self.groups = nn.ModuleList((_group(3, 128), _group(128, 64), _group(64, 64)))
        self.conv_last = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1]."""
        features = self.groups[0](lq)
        for factor, group in zip(ENLARGE[self.scale], list(self.groups)[1:], strict=True):
            features = group(bilinear(features, factor))
        restored: Tensor = self.conv_last(features)
        return restored


class _NormedBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))), (B, C, H, W) of the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = BatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        body = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(body)))


def _group(before: int, channels: int) -> nn.Sequential:
    """One convolution to `channels` and a residual block."""
    return nn.Sequential(
        nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), _NormedBlock(channels)
    )
