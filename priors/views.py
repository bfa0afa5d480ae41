"""Moved and recoloured views of faces, made on the device, with where each of their places is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

DEGREES, SCALE, SHIFT = 15.0, 0.12, 0.06
"""Largest turn, relative change of size, and shift as a share of the side."""
BENDS, BEND = 5, 0.025
"""Control points along a side of the smooth bend, and its standard deviation as a share."""
GAIN, OFFSET = 0.25, 0.12
"""Largest change of each colour's contrast and brightness."""


@dataclass(frozen=True)
class Move:
    """Where each place of a view lies in the face, both as shares of the side."""

    field: Tensor
    """(B, 2, S, S): x and y in the face of each pixel centre of the view."""

    def view(self, faces: Tensor) -> Tensor:
        """The moved faces (B, 3, S, S); borders repeat."""
        grid = 2 * self.field.permute(0, 2, 3, 1) - 1
        return functional.grid_sample(
            faces, grid, mode="bilinear", padding_mode="border", align_corners=False
        )

    def places(self, points: Tensor) -> Tensor:
        """Where points (B, N, 2) of the view lie in the face, (B, N, 2)."""
        at = 2 * points[:, :, None] - 1
        told = functional.grid_sample(
            self.field, at.float(), mode="bilinear", padding_mode="border", align_corners=False
        )
        return told[..., 0].transpose(1, 2)


def random_move(count: int, side: int, random: torch.Generator, *, bend: float = BEND) -> Move:
    """A turn, scaling, shift and smooth bend for each of `count` faces, on `random`'s device."""
    device = random.device

    def draw(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=random, device=device) - 1

    angle = torch.deg2rad(DEGREES * draw(count))
    factor = 1 + SCALE * draw(count)
    turn = (
        torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(count, 2, 2)
        * factor[:, None, None]
    )
    line = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side - 0.5
    place = torch.stack(torch.meshgrid(line, line, indexing="xy")).flatten(1)
    field = (turn @ place).view(count, 2, side, side) + 0.5 + SHIFT * draw(count, 2, 1, 1)
    knots = bend * torch.randn(count, 2, BENDS, BENDS, generator=random, device=device)
    smooth = functional.interpolate(knots, (side, side), mode="bicubic", align_corners=True)
    return Move(field + smooth)


def recoloured(faces: Tensor, random: torch.Generator) -> Tensor:
    """Faces (B, 3, S, S) in [0, 1] with another contrast and brightness of each colour."""
    shape = (len(faces), 3, 1, 1)
    gain, offset = (
        2 * torch.rand(shape, generator=random, device=faces.device) - 1 for _ in range(2)
    )
    return ((faces - 0.5) * (1 + GAIN * gain) + 0.5 + OFFSET * offset).clamp(0, 1)
