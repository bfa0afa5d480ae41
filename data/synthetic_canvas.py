"""A float canvas, smooth curves and cached noise tiles for the embedded synthetic faces.

Everything is drawn in *units*: the image is 512 units wide whatever its side in pixels, and the
centre of pixel i lies at unit (i + 0.5) * 512 / side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

UNITS = 512.0
GRID = 128
"""Side of the low-resolution grid on which soft fields (light, blush, density) are computed."""

_SHIFT = 4


@dataclass(frozen=True)
class Region:
    """A rectangle of the canvas and how much of each of its pixels is covered."""

    rows: slice
    cols: slice
    alpha: np.ndarray
    """float32 (h, w) in [0, 1]."""


def curve(points: Sequence[Sequence[float]] | np.ndarray, *, closed: bool = False) -> np.ndarray:
    """Catmull-Rom spline (M, 2) through the given points (N, 2), eight steps per span."""
    p = np.asarray(points, np.float64)
    if closed:
        padded = np.concatenate([p[-1:], p, p[:2]])
    else:
        padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = (np.arange(8) / 8.0)[None, :, None]
    a, b, c, d = (padded[k : len(padded) - 3 + k, None, :] for k in range(4))
    spans = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    line = spans.reshape(-1, 2)
    return line if closed else np.concatenate([line, p[-1:]])


def mirrored(half: Sequence[Sequence[float]] | np.ndarray, tilt: float = 0.0) -> np.ndarray:
    """Closed outline (M, 2) from a right half given as (dx, y), top to bottom, about x = 256.

    `tilt` shifts the top of the outline sideways (units), fading to zero downwards.
    """
    right = np.asarray(half, np.float64).copy()
    left = right[::-1] * (-1.0, 1.0)
    if abs(left[-1, 0]) < 1e-6:
        left = left[:-1]
    if abs(left[0, 0]) < 1e-6:
        left = left[1:]
    both = curve(np.concatenate([right, left]), closed=True)
    both[:, 0] += 256.0 + tilt * np.clip((200.0 - both[:, 1]) / 90.0, 0.0, 1.0)
    return both


def strokes(roots: np.ndarray, bends: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """Many short bent lines (N, 5, 2) from roots past bends to tips, each (N, 2)."""
    t = np.linspace(0.0, 1.0, 5)[None, :, None]
    a, b, c = roots[:, None], bends[:, None], tips[:, None]
    return a * (1 - t) ** 2 + 2 * b * t * (1 - t) + c * t**2


@lru_cache(maxsize=32)
def noise_tile(kind: str, side: int) -> np.ndarray:
    """Periodic-enough noise float32 (side, side), mean 0, deviation 1, read-only.

    Kinds: `fine` (pores), `mottle` (skin and plaster), `cloud` (large), `streak` (strands along
    the rows' direction v), `curl` (ringlets). One tile covers 512 units at any side.
    """
    seed = ("fine", "mottle", "cloud", "streak", "curl").index(kind)
    rng = np.random.default_rng(np.random.SeedSequence((7001, seed)))
    white = rng.standard_normal((512, 512)).astype(np.float32)

    def blur(image: np.ndarray, x: float, y: float) -> np.ndarray:
        wrapped = np.pad(image, 64, mode="wrap")
        out = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=x, sigmaY=y)[64:-64, 64:-64]
        return out / out.std()

    if kind == "fine":
        tile = blur(white, 0.8, 0.8) + 0.5 * blur(white[::-1], 1.5, 1.5)
        tile -= blur(white, 4.0, 4.0) * 0.4
    elif kind == "mottle":
        tile = blur(white, 4.0, 4.0) + 0.8 * blur(white[::-1], 11.0, 11.0)
    elif kind == "cloud":
        tile = blur(white, 9.0, 9.0) + 1.2 * blur(white[::-1], 20.0, 20.0)
    elif kind == "streak":
        tile = blur(white, 0.8, 28.0) + 0.9 * blur(white[::-1], 2.6, 40.0)
        tile += 0.9 * blur(white.T, 8.0, 48.0)
    else:
        tile = np.abs(blur(white, 5.0, 5.0)) + 0.25 * blur(white[::-1], 1.0, 1.0)
    tile = (tile - tile.mean()) / tile.std()
    if side != 512:
        method = cv2.INTER_AREA if side < 512 else cv2.INTER_CUBIC
        tile = cv2.resize(tile, (side, side), interpolation=method)
    tile = np.ascontiguousarray(tile, np.float32)
    tile.setflags(write=False)
    return tile


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def three(alpha: np.ndarray) -> np.ndarray:
    """A mask (h, w) repeated for the channels, contiguous: quicker to multiply than a view."""
    plane = np.ascontiguousarray(alpha, np.float32)
    return cv2.merge((plane, plane, plane))


class Canvas:
    """An RGB picture float32 (side, side, 3) in about [0, 1] and its label map, painted over."""

    def __init__(self, side: int) -> None:
        """An empty (black, label 0) square canvas of `side` pixels."""
        self.side = side
        self.scale = side / UNITS
        self.image = np.zeros((side, side, 3), np.float32)
        self.parse = np.zeros((side, side), np.uint8)
        self.at = ((np.arange(side) + 0.5) / self.scale).astype(np.float32)
        """Unit coordinate of each pixel centre, float32 (side,)."""

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Pixel coordinates (N, 2) (pixel centres are integers) of unit coordinates (N, 2)."""
        return np.asarray(points) * self.scale - 0.5

    def enlarge(self, low: np.ndarray) -> np.ndarray:
        """A low-resolution field (g, g) or (g, g, 3), brought to the canvas's side."""
        full = (self.side, self.side)
        return cv2.resize(low, full, interpolation=cv2.INTER_LINEAR)

    def tile(self, kind: str, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Noise (side, side) of the given kind, rolled by `shift` units (rows, columns)."""
        rolls = tuple(round(s * self.scale) for s in shift)
        return np.roll(noise_tile(kind, self.side), rolls, (0, 1))

    def cover(self, outline: np.ndarray, *, blur: float = 0.0) -> Region:
        """Coverage of a filled outline (N, 2) in units; `blur` is a Gaussian sigma in units."""
        return self._draw([outline], 0.0, blur)

    def lines(
        self,
        paths: Sequence[np.ndarray] | np.ndarray,
        width: float,
        *,
        blur: float = 0.0,
        closed: bool = False,
    ) -> Region:
        """Coverage of polylines, each (N, 2) in units, `width` units thick (faint below 1 px)."""
        return self._draw(paths, width, blur, closed)

    def _draw(
        self,
        paths: Sequence[np.ndarray] | np.ndarray,
        width: float,
        blur: float,
        closed: bool = False,
    ) -> Region:
        """The shared drawing of `cover` (width 0) and `lines`; wide blurs at a lower resolution."""
        step = 1
        while blur * self.scale / step > 5.0:
            step *= 2
        side = -(-self.side // step)
        scale = self.scale / step
        ends = np.cumsum([len(p) for p in paths])[:-1]
        everything = np.concatenate(list(paths)) * scale - 0.5
        margin = 2.5 * blur * scale + max(width * scale, 1.0) + 2.0
        low = np.floor(everything.min(0) - margin).clip(0, side).astype(int)
        high = np.ceil(everything.max(0) + margin).clip(0, side).astype(int)
        if (high <= low).any():
            return Region(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float32))
        mask: np.ndarray = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = np.split(np.round((everything - low) * 2**_SHIFT).astype(np.int32), ends)
        if width > 0.0:
            thick = max(1, round(width * scale))
            cv2.polylines(mask, fixed, closed, 255, thick, cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SHIFT)
        alpha: np.ndarray = mask.astype(np.float32) * np.float32(
            (min(1.0, width * scale) if width > 0.0 else 1.0) / 255.0
        )
        if blur * scale > 0.3:
            alpha = cv2.GaussianBlur(alpha, (0, 0), blur * scale)
        if step > 1:
            alpha = cv2.resize(alpha, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        top, left = int(low[1]) * step, int(low[0]) * step
        rows = slice(top, min(self.side, top + alpha.shape[0]))
        cols = slice(left, min(self.side, left + alpha.shape[1]))
        return Region(rows, cols, alpha[: rows.stop - top, : cols.stop - left])

    def whole(self, alpha: np.ndarray) -> Region:
        """The smallest region that holds every nonzero pixel of alpha (side, side)."""
        filled = alpha > 0.004
        rows, cols = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
        if rows.size == 0:
            return Region(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float32))
        box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        return Region(*box, alpha[box])

    def paint(
        self,
        region: Region,
        colour: np.ndarray | Sequence[float],
        *,
        opacity: float = 1.0,
        label: int | None = None,
    ) -> None:
        """Blend a colour over the region; its pixels more than half covered take the label.

        `colour` is (3,), of the region's shape (h, w, 3), or of the canvas's (side, side, 3).
        """
        if region.alpha.size == 0:
            return
        box = region.rows, region.cols
        tone = np.asarray(colour, np.float32)
        if tone.ndim == 3 and tone.shape[:2] != region.alpha.shape:
            tone = tone[box]
        under = self.image[box]
        under += (tone - under) * three(region.alpha * np.float32(opacity))
        if label is not None:
            self.parse[box][region.alpha > 0.5] = label

    def darken(self, region: Region, factor: np.ndarray | Sequence[float] | float) -> None:
        """Multiply the covered pixels by a factor: (3,) or a scalar, below 1 a shadow."""
        if region.alpha.size:
            change = np.asarray(factor, np.float32) - np.float32(1.0)
            self.image[region.rows, region.cols] *= three(region.alpha) * change + np.float32(1.0)
