"""rdb-plain: a plain stack of residual dense blocks, the rival that a searched network must beat.

The blocks are ESRGAN's (Wang et al. 2018), the reduced grid is Real-ESRGAN's pixel-unshuffle
intake.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import damp, dense_stack
from models.space import SCALES
from models.zoo.msrresnet import bilinear

TAIL = (48, 32, 16)


class RDBPlain(nn.Module):
    """Dense blocks on the base grid (HQ / 8), then three doublings; 2,147,507 parameters at x4.

    With 68 channels (`rdb-plain-full`) 2,271,387: one channel more is over the cap.
    """

    def __init__(
        self,
        *,
        blocks: int = 8,
        channels: int = 64,
        growth: int = 32,
        scale: int = 4,
        name: str = "rdb-plain",
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES}")
        self.name = name
        self.scale = scale
        self.lq_multiple = 8 // scale
        self.conv_first = nn.Conv2d(3 * self.lq_multiple**2, channels, 3, padding=1)
        self.body = dense_stack(channels, growth, blocks)
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.upconvs = nn.ModuleList(
            nn.Conv2d(wide, 4 * narrow, 3, padding=1)
            for wide, narrow in zip((channels, *TAIL), TAIL, strict=False)
        )
        self.conv_last = nn.Conv2d(TAIL[-1], 3, 3, padding=1)
        # The output starts near the bilinear base.
        damp(self.conv_last, 0.1)

    def forward(self, lq: Tensor) -> Tensor:
        """Restored RGB `(B, 3, h*s, w*s)`, about [0, 1], not clamped.

        `lq` `(B, 3, h, w)` in [0, 1], its sides multiples of `lq_multiple` (2 at x4).
        """
        shallow = self.conv_first(F.pixel_unshuffle(lq, self.lq_multiple))
        features = shallow + self.conv_body(self.body(shallow))
        for upconv in self.upconvs:
            features = F.leaky_relu(F.pixel_shuffle(upconv(features), 2), 0.1)
        return self.conv_last(features) + bilinear(lq, self.scale)
