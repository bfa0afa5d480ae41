"""Nose and mouth of a synthetic face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthetic_canvas import Region, curve, smoothstep
from data.synthetic_pose import CENTRE, EYE_LINE, mouth_line, nose_base
from data.synthetic_skin import Sitter
from data.synthetic_traits import Shape, stream


@dataclass(frozen=True)
class Lips:
    """The four curves of a mouth, each (M, 2) in frontal units, left to right corner."""

    top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    bottom: np.ndarray


def lip_curves(shape: Shape) -> Lips:
    """Outlines of both lips; the inner curves meet when the mouth is closed."""
    w, up, low, gap = shape.mouth_width, shape.lip_upper, shape.lip_lower, shape.opening
    y0 = mouth_line(shape)

    def place(points: list[tuple[float, float]]) -> np.ndarray:
        at = [(CENTRE + a * w, y0 + b - shape.smile * abs(a) ** 1.8) for a, b in points]
        return curve(at)

    thin = 1.0 - 0.012 * gap
    up, low = up * thin, low * thin
    t, b = 0.30 * gap, 0.70 * gap
    corners = (-1.0, 0.0), (1.0, 0.0)

    def arc(heights: tuple[float, float, float]) -> np.ndarray:
        side, near, middle = heights
        inside = [(-0.62, side), (-0.22, near), (0.0, middle), (0.22, near), (0.62, side)]
        return place([corners[0], *inside, corners[1]])

    return Lips(
        top=arc((-0.62 * up - 0.7 * t, -up - t, -0.8 * up - t)),
        inner_top=arc((-0.75 * t + 0.6, -t - 0.4, -t + 1.2)),
        inner_bottom=arc((0.72 * b + 0.6, 0.97 * b - 0.4, b + 1.2)),
        bottom=arc((0.62 * low + 0.75 * b, 0.97 * low + b, low + b)),
    )


def paint_mouth(sitter: Sitter) -> None:
    """Lips, and teeth in an open mouth; labels upper_lip, mouth and lower_lip."""
    canvas, look, shape = sitter.canvas, sitter.look, sitter.shape
    lips = lip_curves(shape)
    project = sitter.pose.project
    top, inner_top = project(lips.top, 6.0), project(lips.inner_top, 4.0)
    inner_bottom, bottom = project(lips.inner_bottom, 4.0), project(lips.bottom, 6.0)
    upper = np.concatenate([top, inner_top[::-1]])
    lower = np.concatenate([inner_bottom, bottom[::-1]])
    light = canvas.image[_at(canvas.side, bottom)].mean() / max(float(look.skin.mean()), 0.1)
    light = float(np.clip(light, 0.55, 1.15))
    soft = 1.4 - 0.8 * look.makeup
    for outline, tone, name in ((upper, 0.87, "upper_lip"), (lower, 1.0, "lower_lip")):
        area = canvas.cover(outline, blur=soft)
        canvas.paint(area, _lip(sitter, area, tone * light, outline), opacity=0.92)
        _label(sitter, outline, name)
    if shape.opening > 0.0:
        _inside(sitter, inner_top, inner_bottom)
    else:
        seam = look.lips * 0.30
        canvas.paint(canvas.lines([inner_top], 2.4, blur=0.8), seam, opacity=0.85)
    ends = np.stack((top[0], top[-1]))
    for end in ends:
        dot = end + np.array(((-3.0, -1.5), (3.0, -1.5), (3.0, 1.5), (-3.0, 1.5)))
        canvas.darken(canvas.cover(dot, blur=2.5), (0.45, 0.35, 0.35))
    canvas.darken(
        canvas.lines([np.add(bottom[18:-18], (0.0, 5.0))], 5.0, blur=3.0), (0.84, 0.79, 0.78)
    )


def _at(side: int, points: np.ndarray) -> tuple[slice, slice]:
    """Canvas slices just below the middle of a curve: where to read the light."""
    x, y = points[len(points) // 2] * side / 512.0
    row, col = int(np.clip(y + 0.02 * side, 0, side - 4)), int(np.clip(x, 4, side - 4))
    return slice(row, row + 3), slice(col - 3, col + 3)


def _label(sitter: Sitter, outline: np.ndarray, name: str) -> None:
    """Mark the pixels inside an outline as class `name`."""
    area = sitter.canvas.cover(outline)
    sitter.canvas.parse[area.rows, area.cols][area.alpha > 0.5] = sitter.labels[name]


def _lip(sitter: Sitter, area: Region, tone: float, outline: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) of one lip: a swelling, fine vertical lines, a highlight."""
    at, look, rng = sitter.canvas.at, sitter.look, stream(sitter.index, 31)
    x, y = at[area.cols][None, :], at[area.rows][:, None]
    low, high = outline[:, 1].min(), outline[:, 1].max()
    v = np.clip((y - low) / max(high - low, 1.0), 0.0, 1.0)
    lines = np.zeros_like(x)
    for period in (2.7, 4.1, 7.3):
        lines = lines + np.sin(2 * np.pi * x / period + rng.uniform(0.0, 6.28))
    bulge = 0.88 + 0.24 * np.sin(np.pi * v) + 0.035 * lines * np.sin(np.pi * v)
    out = look.lips * (tone * bulge)[..., None]
    middle = CENTRE + 18.0 * sitter.light.direction[0] + (outline[:, 0].mean() - CENTRE)
    spot = np.exp(-(((x - middle) / 17.0) ** 2) - ((v - 0.42) / 0.2) ** 2)
    shine = (0.10 + 0.25 * look.makeup) * spot * (1.0 + 0.35 * lines) * (tone > 0.5)
    return (out + shine[..., None]).astype(np.float32)


def _inside(sitter: Sitter, above: np.ndarray, below: np.ndarray) -> None:
    """The open mouth: cavity, upper teeth, tongue or lower teeth."""
    canvas, shape, rng = sitter.canvas, sitter.shape, stream(sitter.index, 32)
    hole = np.concatenate([above, below[::-1]])
    area = canvas.cover(hole)
    if area.alpha.size == 0:
        return
    x, y = canvas.at[area.cols][None, :], canvas.at[area.rows][:, None]
    centre, wide = float(hole[:, 0].mean()), float(np.ptp(hole[:, 0]))
    lip = np.interp(canvas.at[area.cols], above[:, 0], above[:, 1])[None, :]
    floor = np.interp(canvas.at[area.cols], below[:, 0], below[:, 1])[None, :]
    out = np.ones((*area.alpha.shape, 3)) * np.array((0.16, 0.05, 0.05))
    tongue = smoothstep(9.0, 1.0, floor - y)[..., None]
    out += (np.array((0.52, 0.24, 0.24)) - out) * tongue * 0.8
    u = (x - centre) / wide
    length = min(13.0, 0.95 * shape.opening + 2.0)
    bottom = lip + length * (1.0 - 1.6 * u**2) + 0.5 * np.cos(2 * np.pi * (x - centre) / 9.5)
    teeth = smoothstep(0.7, -0.7, y - bottom) * smoothstep(0.47, 0.40, np.abs(u))
    width = 9.5 * np.cos(np.clip(2.2 * u, -1.3, 1.3)) + 0.5
    gap = np.abs(((x - centre) / width + 0.5) % 1.0 - 0.5) * width
    parted = 1.0 - 0.30 * np.exp(-(((gap - 0.5 * width) / 0.8) ** 2)) * np.ones_like(y)
    ivory = np.array((0.95, 0.92, 0.86)) * rng.uniform(0.82, 1.0)
    shade = (0.62 + 0.38 * smoothstep(-1.0, 5.0, y - lip)) * (1.0 - 1.3 * u**2) * parted
    out += (ivory * shade[..., None] - out) * teeth[..., None]
    canvas.paint(area, out.astype(np.float32), label=sitter.labels["mouth"])
    canvas.darken(canvas.lines([above], 2.0, blur=0.9), (0.45, 0.32, 0.32))


def nose_outline(shape: Shape) -> np.ndarray:
    """Closed outline (M, 2) of the nose, frontal units."""
    base, w = nose_base(shape), shape.nose_width
    half = [(7.0, EYE_LINE - 6.0), (10.0, 268.0), (0.72 * w, base - 26.0), (w + 1.0, base - 12.0)]
    half += [(0.8 * w, base - 2.0), (0.35 * w, base), (0.0, base + 3.0)]
    right = [(CENTRE + a, b) for a, b in half]
    left = [(CENTRE - a, b) for a, b in half[-2::-1]]
    return curve(right + left, closed=True)


def paint_nose(sitter: Sitter) -> None:
    """Nostrils, wings and highlight over the lit relief; label nose."""
    canvas, shape, look = sitter.canvas, sitter.shape, sitter.look
    base, w = nose_base(shape), shape.nose_width
    _label(sitter, sitter.pose.on_nose(nose_outline(shape)), "nose")
    for side in (-1.0, 1.0):
        ring = [(0.20, -6.5), (0.42, -9.0), (0.66, -5.5), (0.55, -2.5), (0.3, -2.6)]
        hole = curve([(CENTRE + side * a * w, base + b) for a, b in ring], closed=True)
        area = canvas.cover(sitter.pose.project(hole, 12.0), blur=1.3)
        canvas.paint(area, look.skin * np.array((0.26, 0.17, 0.16)), opacity=0.85)
        wing = [(0.72, -25.0), (1.0, -17.0), (1.04, -9.0), (0.82, -2.0)]
        line = curve([(CENTRE + side * a * w, base + b) for a, b in wing])
        canvas.darken(
            canvas.lines([sitter.pose.project(line, 7.0)], 2.2, blur=1.5), (0.6, 0.5, 0.48)
        )
    under = [(CENTRE + a * w, base + b) for a, b in ((-0.6, -1.0), (0.0, 2.5), (0.6, -1.0))]
    shade = sitter.pose.project(curve(under), 6.0)
    canvas.darken(canvas.lines([shade], 3.0, blur=2.0), (0.66, 0.56, 0.55))
    glow = np.array([[CENTRE + 3.0 * sitter.light.direction[0], base - 19.0]])
    turn = np.linspace(0.0, 2 * np.pi, 17)[:-1]
    spot = sitter.pose.on_nose(glow) + np.stack((4.0 * np.cos(turn), 3.2 * np.sin(turn)), 1)
    canvas.paint(canvas.cover(spot, blur=3.0), (1.0, 0.98, 0.95), opacity=1.6 * sitter.light.gloss)
