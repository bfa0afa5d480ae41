"""Parts of the student: its convolutions and one head per prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.atlas import FEATURES, explain, features_of
from models.points import GRID, MAPS, TAPS, find_points, grey_of

SLOPE = 0.1
PLACE_SIZE = 32
"""Side of the parse head's map of usual classes."""
CHANCE_FLOOR = 1e-3
"""Added to a guessed probability before its logarithm: no class is ever ruled out."""
MOVES = 24
"""Moves of the points' shape."""
STEP, LARGEST = 1 / 128, 6.0
"""What a small correction of 1 means, as a share of the side, and the largest in such steps."""
HEAT_SIGMA = 2.0 / 128
"""Standard deviation of a drawn heat peak, as a share of the side (2 px at 128)."""


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


def doubled(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) enlarged bilinearly to (B, C, 2h, 2w)."""
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


class ConvAct(nn.Sequential):
    """A 3x3 convolution and a LeakyReLU, (B, cin, h, w) -> (B, cout, h/stride, w/stride)."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        conv = nn.Conv2d(cin, cout, 3, stride, 1)
        nn.init.kaiming_normal_(conv.weight, a=SLOPE)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        super().__init__(conv, nn.LeakyReLU(SLOPE, inplace=True))


class Up(nn.Module):
    """Decoder step: doubles the coarse features, joins the finer ones, two convolutions."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvAct(coarse + fine, fine), ConvAct(fine, fine))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine, 2h, 2w) -> (B, fine, 2h, 2w)."""
        larger = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self.body(torch.cat([larger, fine], 1))


class ParseHead(nn.Module):
    """Class scores: corrections of what the teacher's atlas says of the LQ.

    The atlas is the teacher's own (models/atlas.py), on a coarser grid; its EM fits it to the face.
    """

    learned_buffers: tuple[str, ...] = ("place", "colour", "variance")
    place: Tensor
    """(classes, PLACE_SIZE, PLACE_SIZE) chance of each class, sums to 1."""
    colour: Tensor
    """(classes, FEATURES) usual features relative to the cheek."""
    variance: Tensor
    """(classes, FEATURES) variance of the features within a face."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.join = ConvAct(features + classes, features)
        self.score = nn.Conv2d(features, classes, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.register_buffer("place", torch.full((classes, PLACE_SIZE, PLACE_SIZE), 1 / classes))
        self.register_buffer("colour", torch.zeros(classes, FEATURES))
        self.register_buffer("variance", torch.full((classes, FEATURES), 0.01))

    def forward(self, face: Tensor, half: Tensor) -> Tensor:
        """(B,3,S,S), (B,features,S/2,S/2) -> logits (B,classes,S/2,S/2)."""
        with torch.no_grad(), torch.autocast(face.device.type, enabled=False):
            usual = functional.interpolate(
                self.place[None], half.shape[-2:], mode="bilinear", align_corners=False
            )[0]
            small = functional.avg_pool2d(face.float(), 2)
            guess = explain(features_of(small), usual, self.colour, self.variance).posterior
        decoded = self.join(torch.cat([half, guess.to(half.dtype)], 1))
        return self.score(decoded) + (guess + CHANCE_FLOOR).log()

    def maps(self, logits: Tensor, _size: int) -> Tensor:
        """Logits -> class probabilities (B, classes, S, S)."""
        return doubled(logits.float()).softmax(1)


class HeatHead(nn.Module):
    """The teacher's search for points (models/points.py) on the LQ, and learned corrections.

    A point's correction is read from the features around it.
    """

    learned_buffers: tuple[str, ...] = ("mean_points", "patches", "basis", "hold")
    mean_points: Tensor
    """(points, 2) pixels at models.points.GRID."""
    patches: Tensor
    """(points, MAPS, TAPS, TAPS) average patches of the edge maps."""
    basis: Tensor
    """(MOVES, points, 2) moves of the shape."""
    hold: Tensor
    """(MOVES,) how strongly each is held back."""

    def __init__(self, features: int, points: int) -> None:
        super().__init__()
        self.offset = nn.Conv1d(features, 2, 1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]
        spread = torch.linspace(0.2, 0.8, points) * GRID
        self.register_buffer("mean_points", torch.stack([spread, spread.flip(0)], 1))
        self.register_buffer("patches", torch.zeros(points, MAPS, TAPS, TAPS))
        self.register_buffer("basis", torch.zeros(MOVES, points, 2))
        self.register_buffer("hold", torch.ones(MOVES))

    def forward(self, face: Tensor, half: Tensor) -> Tensor:
        """(B,3,S,S), (B,features,S/2,S/2) -> points (B,points,2), shares of the side."""
        with torch.no_grad(), torch.autocast(face.device.type, enabled=False):
            model = (self.mean_points, self.patches, self.basis, self.hold)
            found = (find_points(grey_of(face), *model) + 0.5) / GRID
        around = functional.grid_sample(
            half.float(), 2 * found[:, :, None] - 1, align_corners=False, padding_mode="border"
        )
        offset = self.offset(around[..., 0]).transpose(1, 2).float()
        return found + STEP * LARGEST * torch.tanh(offset / LARGEST)

    def maps(self, points: Tensor, size: int) -> Tensor:
        """Points -> heat maps (B, points, size, size) in [0, 1], one Gaussian peak each."""
        return draw_points(points, size)


class DictHead(nn.Module):
    """Scores over the codes at half size -> expected code and confidence."""

    learned_buffers: tuple[str, ...] = ("codebook",)
    codebook: Tensor

    def __init__(self, features: int, codes: int, code_dim: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(features, codes, 1)
        self.register_buffer("codebook", torch.randn(codes, code_dim))

    def forward(self, face: Tensor, half: Tensor) -> Tensor:
        """(B, features, S/2, S/2) -> logits (B, codes, S/2, S/2); the others are not used."""
        return self.score(half)

    def codes(self, logits: Tensor) -> Tensor:
        """Logits -> (B, code_dim + 1, S/2, S/2): expected code, then 1 - entropy / log(codes)."""
        with torch.autocast(logits.device.type, enabled=False):
            chance = logits.float().movedim(1, -1).log_softmax(-1)  # on CPUs faster on this axis
            share = chance.exp()
            entropy = -torch.einsum("...k,...k->...", share, chance).unsqueeze(-1)
            confidence = 1 - entropy / math.log(max(2, logits.shape[1]))
            return torch.cat([share @ self.codebook, confidence], -1).movedim(-1, 1)

    def maps(self, logits: Tensor, _size: int) -> Tensor:
        """Logits -> (B, code_dim + 1, S, S), the half-size codes enlarged bilinearly."""
        return doubled(self.codes(logits))
