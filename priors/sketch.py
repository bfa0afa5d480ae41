"""First guess of the parse atlas: a sketch of an aligned face, drawn from the alignment alone.

FFHQ's alignment puts the eyes at (194, 238) and (318, 238) of 512 and the mouth some 125 px below
their middle. With a face about two eye distances wide and three high that fixes roughly where
everything is: ellipses and boxes that no image and no label has entered. EM does the rest.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.atlas import GRID, GROUPS, blur, in_common

NAMES = (
    "upper background",
    "lower background",
    "hair on top",
    "hair beside",
    "forehead",
    "cheeks",
    "nose",
    "eyes and brows",
    "mouth",
    "jaw",
    "neck",
    "clothes",
)
REACH = {"nose": 2.0, "eyes and brows": 2.0, "mouth": 2.5, "jaw": 3.0, "neck": 3.0, "clothes": 6.0}
"""How far a class may move from its sketch: sigma of a blur, in pixels at GRID. Others: anywhere.

Without it the eyes' class takes every dark edge of the face and the clothes' the hair's shadow.
"""
NEAR = 0.08
"""What the blurred sketch is worth at the end of its reach."""
UNREACHED = 1e-4
BACKGROUND, HAIR, FOREHEAD = 330, 215, 195
"""Where upper background, hair on top and forehead end, in pixels at 512."""
SOFT, SHARP = 3.0, 0.7
"""Blur of the sketch as a first atlas, and of its borders inside a group, in pixels at GRID."""


def sketch(side: int) -> np.ndarray:
    """Class of each position (side, side), an index of NAMES; mirror-symmetric."""
    line = (np.arange(side) + 0.5) * 512 / side
    down, across = np.meshgrid(line, line, indexing="ij")
    across = np.abs(across - 256)

    def oval(x: float, y: float, wide: float, high: float) -> np.ndarray:
        return np.asarray(((across - x) / wide) ** 2 + ((down - y) / high) ** 2 < 1)

    face = oval(0, 285, 118, 168)
    nostrils = 13 + 22 * np.clip((down - 270) / 45, 0, 1)
    areas = {
        "lower background": down > BACKGROUND,
        "hair on top": oval(0, 215, 170, 205),
        "hair beside": (across < 165) & (down > HAIR) & (down < 430),
        "clothes": (down > 470) & (down > 440 + across / 4),
        "neck": (across < 70) & (down > 400) & (down < 492),
        "cheeks": face,
        "forehead": face & (down < FOREHEAD),
        "jaw": face & (down > 385),
        "eyes and brows": oval(64, 225, 48, 34),
        "mouth": oval(0, 365, 56, 26),
        "nose": (down > 222) & (down < 326) & (across < nostrils),
    }
    labels = np.zeros((side, side), np.int64)
    for name, area in areas.items():  # later ones lie on top
        labels[area] = NAMES.index(name)
    return labels


def one_hot(side: int) -> Tensor:
    """The sketch as maps (K, side, side) of 0 and 1."""
    return torch.from_numpy(np.arange(len(NAMES))[:, None, None] == sketch(side)).float()


def within_reach(side: int) -> Tensor:
    """(K, side, side), 1 where a class may be and UNREACHED where not."""
    scale, maps = side / GRID, one_hot(side)
    reach = torch.ones_like(maps)
    for name, sigma in REACH.items():
        k = NAMES.index(name)
        inside = (blur(maps[k], sigma * scale) > NEAR).float()
        reach[k] = blur(inside, scale).clamp_min(UNREACHED)
    return reach


def first_chance(side: int) -> Tensor:
    """Atlas (K, side, side) before any face was seen, sums to 1."""
    soft = (blur(one_hot(side), SOFT * side / GRID) + 1e-2) * within_reach(side)
    return soft / soft.sum(0)


def shares(side: int) -> Tensor:
    """Share (K, side, side) of each class in its group, fixed: they have no colour to tell by.

    Straight borders but for the nose, over the whole image: hair may hang anywhere.
    """
    down = (torch.arange(side).float() + 0.5)[:, None].expand(side, side) * 512 / side
    nose = one_hot(side)[NAMES.index("nose")]
    lower, beside, forehead = (
        part.float() for part in (down > BACKGROUND, down > HAIR, down < FOREHEAD)
    )
    cut = {
        "upper background": 1 - lower,
        "lower background": lower,
        "hair on top": 1 - beside,
        "hair beside": beside,
        "forehead": forehead,
        "cheeks": (1 - forehead) * (1 - nose),
        "nose": nose,
    }
    whole = torch.ones_like(down)
    sharp = blur(torch.stack([cut.get(name, whole) for name in NAMES]), SHARP * side / GRID)
    return sharp / in_common(sharp[None], GROUPS)[0]
