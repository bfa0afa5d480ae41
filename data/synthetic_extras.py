"""Glasses and hats of a synthetic face."""

from __future__ import annotations

import numpy as np

from data.synthetic_canvas import GRID, UNITS, Canvas, Region, curve, mirrored, smoothstep
from data.synthetic_pose import CENTRE, EYE_LINE, chin_line, lit
from data.synthetic_scene import weave
from data.synthetic_skin import Sitter
from data.synthetic_traits import stream


def _lens(kind: str) -> np.ndarray:
    """Closed outline (M, 2) of the right lens about its centre, units."""
    turn = np.linspace(0.0, 2 * np.pi, 41)[:-1]
    c, s = np.cos(turn), np.sin(turn)
    power, wide, high = {
        "round": (1.0, 40.0, 36.0),
        "square": (0.55, 45.0, 29.0),
        "wide": (0.72, 46.0, 33.0),
        "sun": (0.7, 50.0, 38.0),
    }[kind]
    shape = np.stack((np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power), 1)
    shape = shape * (wide, high)
    shape[:, 1] -= 0.06 * shape[:, 0]
    return shape


def paint_glasses(sitter: Sitter) -> None:
    """Glasses with frame, bridge, temples and reflections; label glasses (dark lenses too)."""
    look, shape, canvas = sitter.look, sitter.shape, sitter.canvas
    if look.glasses == "none":
        return
    rng = stream(sitter.index, 61)
    thick = float(rng.uniform(2.4, 5.5)) if look.glasses != "sun" else 5.0
    frame = np.clip(look.frame, 0.02, 0.8)
    y0, gap = EYE_LINE + shape.eye_drop + 5.0, shape.eye_gap + 2.0
    lens = _lens(look.glasses)
    rims, temples = [], []
    for side in (-1.0, 1.0):
        rim = sitter.pose.project(lens * (side, 1.0) + (CENTRE + side * gap, y0), 14.0)
        rims.append(rim)
        _glass(sitter, rim, rng)
        edge = gap + float(lens[:, 0].max())
        ends = (
            (edge, y0 - 12.0),
            (min(edge + 12, 132.0), y0 - 13.0),
            (141.0 * shape.width, y0 - 8.0),
        )
        lift = np.array((14.0, 2.0, -20.0))
        temple = np.array([(CENTRE + side * a, b) for a, b in ends])
        temples.append(sitter.pose.project(temple, lift))
    inner = gap - float(lens[:, 0].max())
    arch = [(CENTRE - inner, y0 - 9.0), (CENTRE, y0 - 15.0), (CENTRE + inner, y0 - 9.0)]
    bridge = sitter.pose.project(curve(arch), 22.0)
    canvas.darken(
        canvas.lines([np.add(r, (0.0, 4.0)) for r in rims], thick, blur=3.0, closed=True), 0.75
    )
    label = sitter.labels["glasses"]
    for paths, closed in (([bridge], False), (temples, False), (rims, True)):
        canvas.paint(canvas.lines(paths, thick, closed=closed), frame, label=label)
    glow = canvas.lines([r - (0.6, 0.8) for r in rims], 1.0, blur=0.4, closed=True)
    canvas.paint(glow, np.clip(frame + 0.35, 0.0, 1.0), opacity=0.45)


def _glass(sitter: Sitter, rim: np.ndarray, rng: np.random.Generator) -> None:
    """One lens: dark for sunglasses, else a faint reflection."""
    canvas = sitter.canvas
    area = canvas.cover(rim)
    y = canvas.at[area.rows][:, None]
    x = canvas.at[area.cols][None, :]
    if sitter.look.glasses == "sun":
        ramp = smoothstep(rim[:, 1].min(), rim[:, 1].max(), y)[..., None]
        tint = (
            np.array((0.06, 0.06, 0.07)) + ramp * np.array((0.20, 0.16, 0.13)) + 0.0 * x[..., None]
        )
        canvas.paint(area, tint.astype(np.float32), opacity=0.93, label=sitter.labels["glasses"])
    middle = rim.mean(0)
    slant = (x - middle[0]) * 0.8 + (y - middle[1]) + 14.0
    streak = np.exp(-((slant / 7.0) ** 2)) + 0.6 * np.exp(-(((slant - 18.0) / 3.0) ** 2))
    strength = float(rng.uniform(0.03, 0.22))
    canvas.paint(
        Region(area.rows, area.cols, (area.alpha * streak * strength).astype(np.float32)), (1, 1, 1)
    )


_HATS: dict[str, tuple[tuple[tuple[float, float], ...], float]] = {
    "beanie": (((0, -34), (78, -18), (136, 42), (157, 110), (156, 152), (90, 134), (0, 128)), 6.0),
    "cap": (((0, -6), (80, 4), (134, 52), (152, 112), (150, 140), (90, 122), (0, 116)), 6.0),
    "brim": (((0, -60), (70, -52), (112, -10), (134, 60), (142, 108), (80, 116), (0, 118)), 6.0),
}


def paint_hat(sitter: Sitter) -> None:
    """Beanie, cap, brimmed hat or headscarf; label hat."""
    kind = sitter.look.hat
    if kind == "none":
        return
    rng = stream(sitter.index, 62)
    if kind == "scarf":
        _scarf(sitter, rng)
        return
    outline = sitter.pose.project(mirrored(_HATS[kind][0]), 6.0)
    sitter.canvas.darken(
        sitter.canvas.cover(np.add(outline, (0.0, 14.0)), blur=8.0), (0.5, 0.44, 0.44)
    )
    _garment(sitter, outline, {"beanie": "knit"}.get(kind, "denim"), rng)
    if kind == "beanie":
        band = ((0, 84), (92, 92), (158, 108), (158, 154), (90, 138), (0, 131))
        fold = sitter.pose.project(mirrored(band), 10.0)
        sitter.canvas.darken(sitter.canvas.cover(fold - (0.0, 4.0), blur=3.0), 0.75)
        _garment(sitter, fold, "knit", rng)
    else:
        brim = ((0, 92), (90, 96), (150, 118), (146, 140), (90, 146), (0, 150))
        if kind == "brim":
            brim = ((0, 84), (110, 90), (222, 116), (214, 136), (110, 140), (0, 142))
        visor = sitter.pose.project(mirrored(brim), 26.0)
        shadow = sitter.canvas.cover(np.add(visor, (0.0, 22.0)), blur=9.0)
        sitter.canvas.darken(shadow, (0.58, 0.52, 0.52))
        _garment(sitter, visor, "plain", rng, dim=0.85)


def _scarf(sitter: Sitter, rng: np.random.Generator) -> None:
    """A headscarf around the face."""
    chin = chin_line(sitter.shape)
    w = sitter.shape.width
    outer = (
        (0, 4),
        (86, 12),
        (150, 70),
        (176, 170),
        (184, 300),
        (196, 420),
        (250, 520),
        (260, 640),
    )
    hole = (
        (0.0, 98.0),
        (58.0, 104.0),
        (104.0, 138.0),
        (126 * w, 200.0),
        (129 * w, 270.0),
        (120 * w, 340.0),
        (92 * w, 396.0),
        (52 * w, 434.0),
        (0.0, chin - 8.0),
    )
    canvas = sitter.canvas
    inner = canvas.cover(sitter.pose.project(mirrored(hole), 4.0))
    window = np.zeros(canvas.parse.shape, np.float32)
    window[inner.rows, inner.cols] = inner.alpha
    edge = canvas.lines([sitter.pose.project(mirrored(hole), 4.0)], 12.0, blur=7.0, closed=True)
    canvas.darken(edge, (0.6, 0.53, 0.52))
    _garment(sitter, sitter.pose.project(mirrored(outer)), "plain", rng, window=window)


def _garment(
    sitter: Sitter,
    outline: np.ndarray,
    fabric: str,
    rng: np.random.Generator,
    *,
    dim: float = 1.0,
    window: np.ndarray | None = None,
) -> None:
    """Fill an outline with lit fabric, less the window (side, side); label hat."""
    canvas: Canvas = sitter.canvas
    area = canvas.cover(outline)
    if area.alpha.size == 0:
        return
    box = area.rows, area.cols
    if window is not None:
        area = Region(*box, area.alpha * (1.0 - window[box]))
    grid = (np.arange(GRID) + 0.5) * UNITS / GRID
    low, high = outline.min(0), outline.max(0)
    across = np.clip((grid - (low[0] + high[0]) / 2) / ((high[0] - low[0]) * 0.54), -0.97, 0.97)
    dome = 110.0 * np.sqrt(1.0 - across**2)[None, :] + 0.22 * grid[:, None]
    ripple = np.sin(grid[None, :] / 23.0 + grid[:, None] / 41.0) + np.sin(grid[:, None] / 17.0)
    factor, _ = lit(dome + 2.2 * ripple * (fabric == "plain"), sitter.light, UNITS / GRID)
    tone = (sitter.look.hat_colour * dim * factor).astype(np.float32)
    cloth = (
        canvas.enlarge(tone)[box] * weave(canvas, fabric, area, rng).astype(np.float32)[..., None]
    )
    canvas.paint(area, cloth, label=sitter.labels["hat"])
