"""The student: one small U-Net that predicts every prior from the LQ face and ships in the network.

Teachers (``priors/``) label HQ faces offline; the student learns the same maps from the LQ alone.
All priors share the encoder and the decoder down to half size; each asked prior adds one head:

* parse: one more decoder step to full size, added to the log-chance of each class at each place (a
  learned buffer), softmax over the classes;
* heat: a response per point at half size, read by a soft-argmax inside a window around the
  point's mean place, drawn again as a Gaussian. The mean places are a learned buffer;
* dict: a softmax over the codes at half size, turned into the expected code (the codebook is a
  learned buffer) and one confidence.

Plain 3x3 convolutions only: depthwise ones are slow on CPUs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.space import PRIOR_CHANNELS, PRIORS

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOPE = 0.1
PLACE_SIZE = 16
"""Side of the parse head's map of usual classes."""
HEAT_SIGMA = 2.0 / 128
"""Standard deviation of a drawn heat peak, as a share of the side (2 px at 128)."""
WINDOW_SIGMA = 8.0 / 128
"""Standard deviation of the window around a point's mean place, as a share of the side."""


def student_input(face: Tensor, size: int) -> Tensor:
    """What the student sees, (B, 3, size, size), of whole LQ faces (B, 3, h, w) in [0, 1]."""
    if face.shape[-2:] == (size, size):
        return face
    resized = functional.interpolate(
        face, (size, size), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(0, 1)


def pixel_centres(size: int, like: Tensor) -> Tensor:
    """Centres of `size` pixels along one axis as shares of the side, (size,) in (0, 1)."""
    return (torch.arange(size, device=like.device, dtype=torch.float32) + 0.5) / size


def draw_points(points: Tensor, size: int, sigma: float = HEAT_SIGMA) -> Tensor:
    """Heat maps exp(-d^2 / 2 s^2), peak 1, of points given as shares of the side.

    Args:
        points: (..., N, 2) x and y, where 0 and 1 are the outer edges of the image.
        size: side of the maps in pixels.
        sigma: standard deviation as a share of the side.
    Returns:
        (..., N, size, size) in [0, 1].
    """
    centres = pixel_centres(size, points)
    across, down = (
        torch.exp(-(((points[..., axis, None] - centres) / sigma) ** 2) / 2) for axis in (0, 1)
    )
    return down[..., :, None] * across[..., None, :]


class ConvAct(nn.Sequential):
    """A 3x3 convolution and a LeakyReLU, (B, cin, h, w) -> (B, cout, h/stride, w/stride)."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        conv = nn.Conv2d(cin, cout, 3, stride, 1)
        nn.init.kaiming_normal_(conv.weight, a=SLOPE)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        super().__init__(conv, nn.LeakyReLU(SLOPE, inplace=True))


class Up(nn.Module):
    """Decoder step: doubles the coarse features, joins the finer ones, one or two convolutions."""

    def __init__(self, coarse: int, fine: int, convs: int) -> None:
        super().__init__()
        rest = [ConvAct(fine, fine) for _ in range(convs - 1)]
        self.body = nn.Sequential(ConvAct(coarse + fine, fine), *rest)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine, 2h, 2w) -> (B, fine, 2h, 2w)."""
        doubled = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self.body(torch.cat([doubled, fine], 1))


class ParseHead(nn.Module):
    """Class scores at full size from the half-size features and the first encoder features.

    They correct the mean face's classes, a small map that is learned from the teacher's atlas.
    """

    learned_buffers: tuple[str, ...] = ("place",)
    place: Tensor

    def __init__(self, coarse: int, fine: int, classes: int) -> None:
        super().__init__()
        self.up = Up(coarse, fine, 1)
        self.score = nn.Conv2d(fine, classes, 1)
        self.register_buffer("place", torch.zeros(classes, PLACE_SIZE, PLACE_SIZE))

    def forward(self, half: Tensor, full: Tensor) -> Tensor:
        """(B, coarse, S/2, S/2), (B, fine, S, S) -> logits (B, classes, S, S)."""
        usual = functional.interpolate(
            self.place[None], full.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.score(self.up(half, full)) + usual

    def maps(self, logits: Tensor) -> Tensor:
        """Logits -> class probabilities (B, classes, S, S)."""
        return logits.float().softmax(1)


class HeatHead(nn.Module):
    """One response per point at half size; its peak inside the point's window is the point."""

    learned_buffers: tuple[str, ...] = ("mean_points",)
    mean_points: Tensor

    def __init__(self, features: int, points: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(features, points, 1)
        spread = torch.linspace(0.2, 0.8, points)
        self.register_buffer("mean_points", torch.stack([spread, spread.flip(0)], 1))

    def forward(self, half: Tensor, full: Tensor) -> Tensor:
        """(B, features, S/2, S/2) -> responses (B, points, S/2, S/2); `full` is not used."""
        return self.score(half)

    def points(self, logits: Tensor) -> Tensor:
        """Responses -> points (B, points, 2) as shares of the side, x then y."""
        side = logits.shape[-1]
        centres = pixel_centres(side, logits)
        away = [((centres - self.mean_points[:, a, None]) / WINDOW_SIGMA) ** 2 / 2 for a in (0, 1)]
        window = away[1][:, :, None] + away[0][:, None, :]
        chance = (logits.float() - window).flatten(2).softmax(2).view_as(logits)
        return torch.stack([chance.sum(2) @ centres, chance.sum(3) @ centres], 2)

    def maps(self, logits: Tensor) -> Tensor:
        """Responses -> heat maps (B, points, S, S) in [0, 1], one Gaussian peak each."""
        return draw_points(self.points(logits), 2 * logits.shape[-1])


class DictHead(nn.Module):
    """Scores over the codes at half size -> expected code and confidence."""

    learned_buffers: tuple[str, ...] = ("codebook",)
    codebook: Tensor

    def __init__(self, features: int, codes: int, code_dim: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(features, codes, 1)
        self.register_buffer("codebook", torch.randn(codes, code_dim))

    def forward(self, half: Tensor, full: Tensor) -> Tensor:
        """(B, features, S/2, S/2) -> logits (B, codes, S/2, S/2); `full` is not used."""
        return self.score(half)

    def codes(self, logits: Tensor) -> Tensor:
        """Logits -> (B, code_dim + 1, S/2, S/2): expected code, then 1 - entropy / log(codes)."""
        chance = logits.float().log_softmax(1)
        share = chance.exp()
        code = torch.einsum("bkhw,kc->bchw", share, self.codebook)
        entropy = -(share * chance).sum(1, keepdim=True)
        return torch.cat([code, 1 - entropy / math.log(max(2, logits.shape[1]))], 1)

    def maps(self, logits: Tensor) -> Tensor:
        """Logits -> (B, code_dim + 1, S, S), the half-size codes enlarged bilinearly."""
        return functional.interpolate(
            self.codes(logits), scale_factor=2.0, mode="bilinear", align_corners=False
        )


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
        self.enter = ConvAct(5, full)
        self.down1 = nn.Sequential(ConvAct(full, half, 2), ConvAct(half, half))
        self.down2 = nn.Sequential(ConvAct(half, quarter, 2), ConvAct(quarter, quarter))
        self.down3 = nn.Sequential(
            ConvAct(quarter, eighth, 2), ConvAct(eighth, eighth), ConvAct(eighth, eighth)
        )
        self.up2 = Up(eighth, quarter, 2)
        self.up1 = Up(quarter, half, 2)
        makers = {
            "parse": lambda: ParseHead(half, full, channels["parse"]),
            "heat": lambda: HeatHead(half, channels["heat"]),
            "dict": lambda: DictHead(half, codes, code_dim),
        }
        self.heads = nn.ModuleDict({prior: makers[prior]() for prior in self.priors})

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the heads read: decoded features (B, 24, S/2, S/2), first ones (B, 16, S, S).

        Args:
            x: (B, 3, S, S) LQ face in [0, 1].
        Raises:
            ValueError: x is not square or S is not a multiple of 8.
        """
        if x.shape[-1] % self.size_multiple or x.shape[-2] != x.shape[-1]:
            raise ValueError(f"the student needs square faces, side a multiple of 8: {x.shape}")
        line = pixel_centres(x.shape[-1], x).to(x.dtype) * 2 - 1
        place = torch.stack(torch.meshgrid(line.abs(), line, indexing="xy"))
        full = self.enter(torch.cat([x - 0.5, place.expand(len(x), -1, -1, -1)], 1))
        half = self.down1(full)
        quarter = self.down2(half)
        return self.up1(self.up2(self.down3(quarter), quarter), half), full

    def logits(self, x: Tensor) -> dict[str, Tensor]:
        """Raw scores of each head, for distillation.

        Args:
            x: (B, 3, S, S) LQ face in [0, 1], S a multiple of 8.
        Returns:
            parse (B,12,S,S), heat (B,26,S/2,S/2), dict (B,512,S/2,S/2).
        """
        half, full = self.features(x)
        return {prior: head(half, full) for prior, head in self.heads.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) in [0, 1] -> maps of each asked prior, float32 (B, C, S, S)."""
        scores = self.logits(x)
        return {prior: self.heads[prior].maps(scores[prior]) for prior in self.priors}  # type: ignore[operator]
