"""MSRResNet, the challenge's baseline: SRResNet without batch norm, on a bilinear base.

Ledig et al. 2017 (SRResNet) as modified by Wang et al. 2018 (ESRGAN); parameter names as in
BasicSR, so that weights pass both ways.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import damp
from models.space import SCALES


class MSRResNet(nn.Module):
    """Residual blocks on the LQ grid, pixel-shuffle to the HQ; 16 blocks: 1,517,571 parameters."""

    lq_multiple = 1
    """The LQ's sides may be any number of pixels."""

    def __init__(self, *, blocks: int = 16, channels: int = 64, scale: int = 4) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = f"msrresnet-{blocks}"
        self.scale = scale
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.ups = [f"upconv{i + 1}" for i in range(SCALES.index(scale))]
        for up in self.ups:
            self.add_module(up, nn.Conv2d(channels, 4 * channels, 3, padding=1))
        self.conv_hr = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_last = nn.Conv2d(channels, 3, 3, padding=1)
        for conv in (
            self.conv_first,
            *map(self.get_submodule, self.ups),
            self.conv_hr,
            self.conv_last,
        ):
            damp(conv, 0.1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, not clamped, of `lq` `(B, 3, h, w)` in [0, 1]."""
        features = self.body(_leaky(self.conv_first(lq)))
        for up in self.ups:
            features = _leaky(F.pixel_shuffle(self.get_submodule(up)(features), 2))
        residual = self.conv_last(_leaky(self.conv_hr(features)))
        return residual + bilinear(lq, self.scale)


class ResidualBlock(nn.Module):
    """`x + conv(relu(conv(x)))`, no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        damp(self.conv1, 0.1)
        damp(self.conv2, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, H, W)` of the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


def bilinear(lq: Tensor, scale: int) -> Tensor:
    """`lq` `(B, 3, h, w)` enlarged to `(B, 3, h*s, w*s)`, pixel centres aligned as in OpenCV."""
    if scale == 1:
        return lq
    return F.interpolate(lq, scale_factor=scale, mode="bilinear", align_corners=False)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)
