"""What surrounds a synthetic face: background and clothes."""

from __future__ import annotations

import cv2
import numpy as np

from data.synthetic_canvas import GRID, UNITS, Canvas, Region, curve, three
from data.synthetic_pose import CENTRE, chin_line, lit
from data.synthetic_skin import Sitter
from data.synthetic_traits import stream


def paint_background(sitter: Sitter) -> None:
    """A blurred studio, bokeh, foliage, wall or room; label background (0)."""
    rng, canvas = stream(sitter.index, 41), sitter.canvas
    makers = {
        "studio": _studio,
        "bokeh": _bokeh,
        "leaves": _leaves,
        "wall": _studio,
        "room": _room,
    }
    kind = sitter.look.backdrop
    low = makers[kind](rng).astype(np.float32)
    full = (canvas.side, canvas.side)
    picture = cv2.resize(low, full, interpolation=cv2.INTER_CUBIC)
    if kind == "wall":
        shift = int(rng.integers(512)), int(rng.integers(512))
        rough = 0.5 * canvas.tile("mottle", shift) + 0.35 * canvas.tile("fine", shift)
        picture *= three(np.float32(1.0) + np.float32(0.05) * rough)
        if rng.random() < 0.5:
            high, wide = float(rng.uniform(34.0, 60.0)), float(rng.uniform(80.0, 130.0))
            row = np.floor(canvas.at / high)
            joint = np.abs((canvas.at / high) % 1.0 - 0.5) * high > 0.5 * high - 1.6
            brick = (canvas.at[None, :] / wide + 0.5 * (row[:, None] % 2)) % 1.0
            ends = np.abs(brick - 0.5) * wide > 0.5 * wide - 1.6
            lines = (joint[:, None] | ends).astype(np.float32)
            picture *= three(np.float32(1.0) - np.float32(0.22) * lines)
    canvas.image[:] = np.clip(picture, 0.0, 1.0)
    canvas.parse[:] = sitter.labels["background"]


def _hues(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Related colours (count, 3)."""
    base = rng.uniform(0.35, 1.0, 3)
    base = base / base.max()
    tones = rng.uniform(low, high, (count, 1)) * (
        0.6 * base + 0.4 * rng.uniform(0.3, 1, (count, 3))
    )
    return np.clip(tones, 0.02, 1.0)


def _studio(rng: np.random.Generator) -> np.ndarray:
    """A smooth gradient (GRID, GRID, 3)."""
    a, b = _hues(rng, 2, 0.15, 0.95)
    x, y = np.meshgrid(np.linspace(-1, 1, GRID), np.linspace(-1, 1, GRID))
    angle = rng.uniform(0.0, 2 * np.pi)
    ramp = 0.5 + 0.4 * (x * np.cos(angle) + y * np.sin(angle))
    glow = np.exp(-((x - rng.uniform(-0.6, 0.6)) ** 2) - (y - rng.uniform(-0.6, 0.6)) ** 2)
    return a + (b - a) * ramp[..., None] * 0.6 + 0.12 * glow[..., None]


def _bokeh(rng: np.random.Generator) -> np.ndarray:
    """Discs of light out of focus over a dark scene (GRID, GRID, 3)."""
    picture = _studio(rng) * 0.55
    for colour in _hues(rng, 26, 0.3, 1.1):
        centre = int(rng.integers(0, GRID)), int(rng.integers(0, GRID))
        layer = np.zeros((GRID, GRID), np.uint8)
        cv2.circle(layer, centre, int(rng.integers(3, 14)), 255, -1, cv2.LINE_AA)
        alpha = layer[..., None] / 255.0 * rng.uniform(0.2, 0.75)
        picture += (colour - picture) * alpha
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.8, 2.5)))


def _leaves(rng: np.random.Generator) -> np.ndarray:
    """Foliage out of focus (GRID, GRID, 3)."""
    dark, bright = np.array((0.07, 0.13, 0.05)), np.array((0.50, 0.62, 0.24))
    bright = bright * rng.uniform(0.7, 1.3, 3)
    sigma = float(rng.uniform(1.2, 4.0))
    mix = cv2.GaussianBlur(rng.standard_normal((GRID, GRID)), (0, 0), sigma)
    mix = mix / mix.std() + cv2.GaussianBlur(rng.standard_normal((GRID, GRID)), (0, 0), 14.0) * 26
    return dark + (bright - dark) * np.clip(0.45 + 0.28 * mix, 0.0, 1.3)[..., None]


def _room(rng: np.random.Generator) -> np.ndarray:
    """Blurred rectangles: windows, shelves, doors (GRID, GRID, 3)."""
    picture = _studio(rng)
    for colour in _hues(rng, 12, 0.1, 1.0):
        x, y = rng.integers(-20, GRID, 2)
        w, h = rng.integers(8, 70, 2)
        a, b = (int(x), int(y)), (int(x + w), int(y + h))
        cv2.rectangle(picture, a, b, [float(c) for c in colour], -1)
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.8, 3.5)))


def weave(canvas: Canvas, kind: str, area: Region, rng: np.random.Generator) -> np.ndarray:
    """A factor (h, w) on a garment's colour: its threads or its pattern."""
    x, y = canvas.at[area.cols][None, :], canvas.at[area.rows][:, None]
    fine = canvas.tile("fine")[area.rows, area.cols]
    if kind == "knit":
        pitch = float(rng.uniform(7.0, 10.0))
        rib = np.sin(2 * np.pi * x / pitch)
        stitch = np.sin(2 * np.pi * (y / 6.0 + 0.3 * np.abs(rib)))
        return 1.0 + 0.13 * rib + 0.09 * stitch + 0.03 * fine
    if kind == "stripes":
        pitch = float(rng.uniform(14.0, 34.0))
        band = np.clip(4.0 * np.sin(2 * np.pi * (y + 0.08 * x) / pitch), -1.0, 1.0)
        return 1.0 + 0.32 * band + 0.03 * fine
    if kind == "plaid":
        pitch = float(rng.uniform(26.0, 48.0))
        a = np.clip(3.0 * np.sin(2 * np.pi * x / pitch), -1.0, 1.0)
        b = np.clip(3.0 * np.sin(2 * np.pi * y / pitch), -1.0, 1.0)
        thin = (np.abs(np.sin(np.pi * x / pitch)) < 0.06) | (
            np.abs(np.sin(np.pi * y / pitch)) < 0.06
        )
        return 1.0 + 0.17 * a + 0.17 * b - 0.25 * thin + 0.03 * fine
    if kind == "denim":
        twill = np.sin(2 * np.pi * (x + y) / 4.2)
        return 1.0 + 0.09 * twill + 0.09 * fine
    return 1.0 + 0.025 * fine + 0.0 * x


def paint_clothes(sitter: Sitter) -> None:
    """Shoulders and collar in a fabric; label cloth."""
    canvas, shape, look = sitter.canvas, sitter.shape, sitter.look
    rng = stream(sitter.index, 42)
    sway, drop = 40.0 * float(np.sin(shape.yaw)), chin_line(shape) - 452.0
    neck = (74.0 if look.feminine else 92.0) * shape.width
    top = 452.0 + 0.4 * drop + (12.0 if look.feminine else 0.0)
    out = float(rng.uniform(225.0, 290.0))
    dip = {"crew": 30.0, "vee": 95.0, "shirt": 60.0, "high": 4.0}[look.collar]
    lift = -26.0 if look.collar == "high" else 0.0
    shoulder = [(out, 560.0), (0.86 * out, top + 62.0), (0.6 * out, top + 36.0), (neck, top + lift)]
    if look.collar == "high":
        shoulder = [*shoulder[:2], (0.62 * out, top + 44.0), (neck + 12.0, top + 26.0)]
        shoulder += [(neck + 1.0, top + 8.0), (neck, top - 24.0)]
    bottom = [(0.5 * neck, top + lift + 0.75 * dip), (0.0, top + lift + dip)]
    if look.collar == "vee":
        bottom = [(0.5 * neck, top + 0.5 * dip), (0.0, top + dip)]
    right = np.array([(CENTRE + sway + a, b) for a, b in shoulder + bottom])
    left = np.array([(CENTRE + sway - a, b) for a, b in (shoulder + bottom)[-2::-1]])
    outline = np.concatenate([curve(right), curve(left)])
    area = canvas.cover(outline)
    if area.alpha.size == 0:
        return
    grid = (np.arange(GRID) + 0.5) * UNITS / GRID
    body = -0.0016 * (grid[None, :] - CENTRE) ** 2 * 1.2 + 0.0 * grid[:, None]
    folds = cv2.GaussianBlur(rng.standard_normal((GRID, GRID)), (0, 0), 5.0, sigmaY=9.0)
    factor, _ = lit(body + 110.0 * folds, sitter.light, UNITS / GRID)
    base = canvas.enlarge((look.cloth * factor).astype(np.float32))[area.rows, area.cols]
    cloth = base * weave(canvas, look.fabric, area, rng).astype(np.float32)[:, :, None]
    canvas.darken(canvas.cover(outline - (0.0, 6.0), blur=5.0), 0.72)
    canvas.paint(area, cloth, label=sitter.labels["cloth"])
    seam = curve(np.concatenate([right[3:], left[: len(left) - 3]]))
    canvas.darken(canvas.lines([np.add(seam, (0.0, 7.0))], 2.0, blur=0.6), 0.72)
    if look.collar == "shirt":
        _collar(sitter, sway, neck, top, cloth.mean((0, 1)))


def _collar(sitter: Sitter, sway: float, neck: float, top: float, tone: np.ndarray) -> None:
    """Two flaps of a shirt's collar."""
    canvas = sitter.canvas
    for side in (-1.0, 1.0):
        flap = (
            (neck + 3, top - 16),
            (0.1 * neck, top + 56),
            (0.52 * neck, top + 78),
            (neck + 22, top + 22),
        )
        points = np.array([(CENTRE + sway + side * a, b) for a, b in flap])
        shadow = canvas.cover(np.add(points, (0.0, 6.0)), blur=4.0)
        canvas.darken(shadow, 0.7)
        area = canvas.cover(points)
        canvas.paint(area, np.clip(tone * 1.12, 0.0, 1.0), label=sitter.labels["cloth"])
        canvas.darken(canvas.lines([points[:3]], 1.5, blur=0.5), 0.7)
