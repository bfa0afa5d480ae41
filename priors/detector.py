"""Networks of the heat teacher by conditional image generation: a detector of points and a painter.

The painter must draw a face from a differently moved picture of the same face and from where the
points are, so that points have to say where things are (IMM: Jakab, Gupta, Bilen, Vedaldi 2018).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.student_heads import ConvAct, Up, doubled, draw_points, pixel_centres

MAP_SIGMA = 0.04
"""Of the painter's maps, as a share of the side."""
SHARPNESS = 4.0
"""Of the detector's scores before their softmax, so that small scores already point somewhere."""


class Trunk(nn.Module):
    """(B, 3, S, S) -> features (B, width, S/2, S/2), (B, 2 width, S/4, S/4) and at S/8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_half = nn.Sequential(ConvAct(3, width, 2), ConvAct(width, width))
        self.to_quarter = nn.Sequential(ConvAct(width, 2 * width, 2), ConvAct(2 * width, 2 * width))
        self.to_eighth = nn.Sequential(
            ConvAct(2 * width, 2 * width, 2), ConvAct(2 * width, 2 * width)
        )

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half = self.to_half(face - 0.5)
        quarter = self.to_quarter(half)
        return half, quarter, self.to_eighth(quarter)


class Detector(nn.Module):
    """Points of faces by the mean place of a map each (soft-argmax)."""

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.join = nn.Sequential(ConvAct(2 * width, 2 * width), ConvAct(2 * width, 2 * width))
        self.up2, self.up1 = Up(2 * width, 2 * width), Up(2 * width, width)
        self.score = nn.Conv2d(width, points, 1)

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,S,S) in [0,1] -> points (B,N,2), shares of the side, and variances (B,N) of maps."""
        half, quarter, eighth = self.trunk(face)
        maps = self.score(self.up1(self.up2(self.join(eighth), quarter), half)).float()
        share = (SHARPNESS * maps).flatten(2).softmax(2).view_as(maps)
        centres = pixel_centres(maps.shape[-1], maps)
        by_x, by_y = share.sum(2), share.sum(3)
        x, y = by_x @ centres, by_y @ centres
        spread = by_x @ centres.square() - x * x + by_y @ centres.square() - y * y
        return torch.stack([x, y], -1), spread

    def flat(self) -> np.ndarray:
        """All weights as one vector."""
        return np.concatenate([p.detach().cpu().float().numpy().ravel() for p in self.parameters()])

    def fill(self, flat: np.ndarray) -> Detector:
        """Take the weights of `flat`. Raises ValueError where there are not as many."""
        sizes = [p.numel() for p in self.parameters()]
        if sum(sizes) != len(flat):
            raise ValueError(f"{len(flat)} weights for a detector of {sum(sizes)}")
        pieces = torch.from_numpy(np.asarray(flat, np.float32)).split(sizes)
        with torch.no_grad():
            for parameter, piece in zip(self.parameters(), pieces, strict=True):
                parameter.copy_(piece.view_as(parameter))
        return self


class Painter(nn.Module):
    """A face drawn from another picture of it and from points."""

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.body = nn.Sequential(
            ConvAct(2 * width + points, 4 * width),
            ConvAct(4 * width, 4 * width),
            ConvAct(4 * width, 2 * width),
        )
        self.quarter = ConvAct(2 * width + points, 2 * width)
        self.to_half = ConvAct(2 * width, width)
        self.colour = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, other: Tensor, points: Tensor) -> Tensor:
        """(B,3,S,S) of another view and points (B,N,2) -> the face (B,3,S,S).

        The other view only enters at S/8: what is where must come from the points.
        """
        look = self.trunk(other)[2]
        size = look.shape[-1]
        maps = [draw_points(points, k * size, MAP_SIGMA).to(look.dtype) for k in (1, 2)]
        body = self.body(torch.cat([look, maps[0]], 1))
        quarter = self.quarter(torch.cat([doubled(body), maps[1]], 1))
        return self.colour(doubled(self.to_half(doubled(quarter)))) + 0.5


def detect(detector: Detector, faces: Tensor, swap: np.ndarray) -> Tensor:
    """Points (B, N, 2) of faces (B, 3, S, S) in [0, 1]: the mean of those of both mirror images.

    So a mirrored face has exactly the mirrored points, permuted by `swap`.
    """
    points, _ = detector(faces)
    other, _ = detector(faces.flip(3))
    other = other[:, torch.as_tensor(swap, device=faces.device)]
    back = torch.stack([1 - other[..., 0], other[..., 1]], -1)
    return (points + back) / 2


def image_loss(drawn: Tensor, face: Tensor) -> Tensor:
    """L2 + L1 of gradients + half of 1 - MS-SSIM of (B, 3, S, S) in [0, 1]."""
    square = functional.mse_loss(drawn, face)
    across, down = ((drawn - face).diff(dim=axis).abs().mean() for axis in (3, 2))
    similar = drawn.new_ones(())
    for level in range(3):
        similar = similar * structure(drawn, face).clamp_min(1e-3) ** (1 / 3)
        if level < 2:
            drawn, face = functional.avg_pool2d(drawn, 2), functional.avg_pool2d(face, 2)
    return square + across + down + 0.5 * (1 - similar)


def structure(one: Tensor, other: Tensor) -> Tensor:
    """Mean SSIM of images in [0, 1] over boxes of 7 x 7 (Wang et al. 2004)."""
    means = [functional.avg_pool2d(x, 7, 1) for x in (one, other, one * one, other * other)]
    both = functional.avg_pool2d(one * other, 7, 1) - means[0] * means[1]
    spread = means[2] - means[0] ** 2 + means[3] - means[1] ** 2
    bright = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    return (bright * (2 * both + 9e-4) / (spread + 9e-4)).mean()
