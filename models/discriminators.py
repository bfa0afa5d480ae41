"""Networks that tell restored faces from true ones; part of training only, never of a result.

`unet`: Wang et al., Real-ESRGAN (ICCVW 2021), a U-Net with spectral norm that judges every pixel.
`patch`: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (CVPR 2017),
appendix 6.1.2, judging patches of 70 px; here with spectral norm in place of batch norm.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2


class UNetDiscriminator(nn.Module):
    """(B,3,h,w) in [0,1], sides multiples of 8 -> logits (B,1,h,w), high for true pictures."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        c = channels
        self.intake = nn.Conv2d(3, c, 3, padding=1)
        self.down = nn.ModuleList(
            _normed(nn.Conv2d(n * c, 2 * n * c, 4, stride=2, padding=1, bias=False))
            for n in (1, 2, 4)
        )
        self.up = nn.ModuleList(
            _normed(nn.Conv2d(2 * n * c, n * c, 3, padding=1, bias=False)) for n in (4, 2, 1)
        )
        self.judge = nn.Sequential(
            _normed(nn.Conv2d(c, c, 3, padding=1, bias=False)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(c, 1, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        levels = [F.leaky_relu(self.intake(image), SLOPE)]
        for conv in self.down:
            levels.append(F.leaky_relu(conv(levels[-1]), SLOPE))
        features = levels.pop()
        for conv in self.up:
            grown = F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = F.leaky_relu(conv(grown), SLOPE) + levels.pop()
        logits: Tensor = self.judge(features)
        return logits


class PatchDiscriminator(nn.Module):
    """(B,3,h,w) in [0,1], sides at least 32 -> logits (B,1,h',w'), one per patch."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        c = channels
        convs: list[nn.Module] = [nn.Conv2d(3, c, 4, stride=2, padding=1)]
        convs += [
            _normed(nn.Conv2d(a * c, b * c, 4, stride=stride, padding=1))
            for a, b, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1))
        ]
        self.convs = nn.ModuleList(convs)
        self.judge = nn.Conv2d(8 * c, 1, 4, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for conv in self.convs:
            features = F.leaky_relu(conv(features), SLOPE)
        logits: Tensor = self.judge(features)
        return logits


def _normed(conv: nn.Conv2d) -> nn.Module:
    normed: nn.Module = spectral_norm(conv)
    return normed


DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    "unet": UNetDiscriminator,
    "patch": PatchDiscriminator,
}
