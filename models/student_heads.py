"""Parts of the student: its convolutions and one head per prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.colour_classes import colour_classes

SLOPE = 0.1
PLACE_SIZE = 16
"""Side of the parse head's map of usual classes."""
CHANCE_FLOOR = 1e-3
"""Added to a guessed probability before its logarithm: no class is ever ruled out."""
HEAT_SIGMA = 2.0 / 128
"""Standard deviation of a drawn heat peak, as a share of the side (2 px at 128)."""
WINDOW_SIGMA = 8.0 / 128
"""Standard deviation of the window around a point's mean place, as a share of the side."""


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
    """Decoder step: doubles the coarse features, joins the finer ones (and `extra` more)."""

    def __init__(self, coarse: int, fine: int, extra: int = 0, convs: int = 1) -> None:
        super().__init__()
        rest = [ConvAct(fine, fine) for _ in range(convs - 1)]
        self.body = nn.Sequential(ConvAct(coarse + fine + extra, fine), *rest)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine + extra, 2h, 2w) -> (B, fine, 2h, 2w)."""
        doubled = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self.body(torch.cat([doubled, fine], 1))


class ParseHead(nn.Module):
    """Class scores at full size: corrections of what place and colour alone say.

    The usual classes of each place are a small map, learned from the teacher's atlas; a few
    closed-form rounds of EM at half size fit them to the face (models/colour_classes.py).
    """

    learned_buffers: tuple[str, ...] = ("place",)
    place: Tensor

    def __init__(self, coarse: int, fine: int, classes: int) -> None:
        super().__init__()
        self.up = Up(coarse, fine, classes)
        self.score = nn.Conv2d(fine, classes, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.register_buffer("place", torch.zeros(classes, PLACE_SIZE, PLACE_SIZE))

    def forward(self, face: Tensor, half: Tensor, full: Tensor) -> Tensor:
        """(B,3,S,S), (B,coarse,S/2,S/2), (B,fine,S,S) -> logits (B,classes,S,S)."""
        usual = functional.interpolate(
            self.place[None], half.shape[-2:], mode="bilinear", align_corners=False
        )[0]
        with torch.no_grad():
            guess = colour_classes(functional.avg_pool2d(face, 2), usual)
            guess = functional.interpolate(guess.exp(), scale_factor=2.0, mode="bilinear")
        decoded = self.up(half, torch.cat([full, guess.to(full.dtype)], 1))
        return self.score(decoded) + (guess + CHANCE_FLOOR).log()

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

    def forward(self, face: Tensor, half: Tensor, full: Tensor) -> Tensor:
        """(B, features, S/2, S/2) -> responses (B, points, S/2, S/2); the others are not used."""
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

    def forward(self, face: Tensor, half: Tensor, full: Tensor) -> Tensor:
        """(B, features, S/2, S/2) -> logits (B, codes, S/2, S/2); the others are not used."""
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
