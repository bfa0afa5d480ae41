"""The student: one small U-Net that predicts every prior from the LQ face and ships in the network.

Teachers (``priors/``) label HQ faces offline; the student learns the same maps from the LQ alone.
All priors share the encoder and the decoder down to half size; each asked prior adds one head
(models/student_heads.py). Plain 3x3 convolutions only: depthwise ones are slow on CPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.atlas import cheek_colour
from models.space import PRIOR_CHANNELS, PRIORS
from models.student_heads import ConvAct, DictHead, HeatHead, ParseHead, Up, pixel_centres

if TYPE_CHECKING:
    from collections.abc import Mapping


def student_input(face: Tensor, size: int) -> Tensor:
    """What the student sees, (B, 3, size, size), of whole LQ faces (B, 3, h, w) in [0, 1]."""
    if face.shape[-2:] == (size, size):
        return face
    resized = functional.interpolate(
        face, (size, size), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(0, 1)


class Student(nn.Module):
    """Prior maps from an LQ face: parse (B,12,S,S), heat (B,26,S,S), dict (B,9,S,S).

    Args:
        priors: the priors asked for; only their heads exist. At least one.
        channels: number of maps of each prior; dict's must be ``code_dim + 1``.
        widths: channels at sizes S, S/2, S/4, S/8.
        codes, code_dim: size of the codebook.
    Raises:
        ValueError: unknown or no priors, dict channels that do not fit, S not a multiple of 8.
    """

    learned_buffers: tuple[str, ...] = ()
    size_multiple = 8

    def __init__(
        self,
        priors: tuple[str, ...] = PRIORS,
        channels: Mapping[str, int] = PRIOR_CHANNELS,
        widths: tuple[int, int, int, int] = (16, 24, 40, 56),
        codes: int = 512,
        code_dim: int = 8,
    ) -> None:
        super().__init__()
        unknown = sorted(set(priors) - set(PRIORS))
        if unknown or not priors:
            raise ValueError(f"priors must be some of {PRIORS}, got {tuple(priors)}")
        if "dict" in priors and channels["dict"] != code_dim + 1:
            raise ValueError(f"dict needs {code_dim + 1} channels, got {channels['dict']}")
        self.priors = tuple(p for p in PRIORS if p in priors)
        full, half, quarter, eighth = widths
        self.enter = ConvAct(8, full)
        self.down1 = nn.Sequential(ConvAct(full, half, 2), ConvAct(half, half))
        self.down2 = nn.Sequential(ConvAct(half, quarter, 2), ConvAct(quarter, quarter))
        self.down3 = nn.Sequential(
            ConvAct(quarter, eighth, 2), ConvAct(eighth, eighth), ConvAct(eighth, eighth)
        )
        self.up2 = Up(eighth, quarter)
        self.up1 = Up(quarter, half)
        makers = {
            "parse": lambda: ParseHead(half, channels["parse"]),
            "heat": lambda: HeatHead(half, channels["heat"]),
            "dict": lambda: DictHead(half, codes, code_dim),
        }
        self.heads = nn.ModuleDict({prior: makers[prior]() for prior in self.priors})

    def features(self, x: Tensor) -> Tensor:
        """What the heads read: decoded features (B, 24, S/2, S/2).

        Args:
            x: (B, 3, S, S) LQ face in [0, 1].
        Raises:
            ValueError: x is not square or S is not a multiple of 8.
        """
        if x.shape[-1] % self.size_multiple or x.shape[-2] != x.shape[-1]:
            raise ValueError(f"the student needs square faces, side a multiple of 8: {x.shape}")
        line = pixel_centres(x.shape[-1], x).to(x.dtype) * 2 - 1
        place = torch.stack(torch.meshgrid(line.abs(), line, indexing="xy"))
        entry = [x - 0.5, 2 * (x - cheek_colour(x)), place.expand(len(x), -1, -1, -1)]
        half = self.down1(self.enter(torch.cat(entry, 1)))
        quarter = self.down2(half)
        return self.up1(self.up2(self.down3(quarter), quarter), half)

    def logits(self, x: Tensor) -> dict[str, Tensor]:
        """Raw scores of each head, for distillation.

        Args:
            x: (B, 3, S, S) LQ face in [0, 1], S a multiple of 8.
        Returns:
            parse (B,12,S/2,S/2), heat the points themselves (B,26,2), dict (B,512,S/2,S/2).
        """
        half = self.features(x)
        return {prior: head(x, half) for prior, head in self.heads.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) in [0, 1] -> maps of each asked prior, float32 (B, C, S, S)."""
        scores = self.logits(x)
        size = x.shape[-1]
        return {prior: self.heads[prior].maps(scores[prior], size) for prior in self.priors}  # type: ignore[operator]
