"""Hair and beard of a synthetic face: volumes with frayed edges, filled with strands."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from data.synthetic_canvas import (
    GRID,
    UNITS,
    Region,
    mirrored,
    noise_tile,
    smoothstep,
    strokes,
    three,
)
from data.synthetic_pose import CENTRE, chin_line, lit, mouth_line, nose_base
from data.synthetic_skin import Sitter, face_half
from data.synthetic_styles import STYLES, Half, Style
from data.synthetic_traits import stream


def _low_mask(outline: np.ndarray, blur: float) -> np.ndarray:
    """Soft coverage float32 (GRID, GRID) of an outline in units; sigma in units."""
    mask = np.zeros((GRID, GRID), np.uint8)
    fixed = np.round((outline * GRID / UNITS - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255.0, (0, 0), blur * GRID / UNITS)


def _jitter(half: Half, rng: np.random.Generator, amount: float) -> np.ndarray:
    """The outline's half, grown or shrunk a little, its points displaced a little."""
    points = np.array(half, np.float64)
    points[:, 0] *= 1.0 + rng.normal(0.0, 0.012)
    points += rng.normal(0.0, amount, points.shape) * (points[:, :1] > 0.0)
    points[:, 1] += rng.normal(0.0, 2.0 * amount) * (points[:, 1] < 200.0)
    return points


def _strands(
    sitter: Sitter, style: Style, rng: np.random.Generator, box: tuple[slice, slice]
) -> np.ndarray:
    """Strand brightness (h, w) over a box, mean 0, deviation 1, following the flow of the hair."""
    flow, part = style.flow, style.part
    x, y = sitter.frontal
    dx = x - CENTRE - part
    wave = rng.uniform(0.0, 2 * np.pi)
    if flow in ("rise", "sweep"):
        lean = 0.0 if flow == "rise" else 1.0
        px, py = CENTRE - lean * 1.6 * part, 262.0 + 10.0 * lean
        angle = np.arctan2(x - px, py - y)
        u, v = angle * 190.0, np.hypot(x - px, y - py)
        u = u + lean * 0.55 * np.sign(part) * (v - 120.0)
        u += 2.0 * np.sin(v / 23.0 + wave + 3.0 * angle)
    else:
        t = np.clip((y + 14.0) / 230.0, 0.03, 1.0)
        u = dx / np.sqrt(1.0 - (1.0 - t) ** 2)
        v = np.hypot(dx * 0.6, y - 34.0)
        swing = {"wave": 15.0, "curl": 0.0, "fall": 2.5}[flow]
        u = u + swing * np.sin(y / (17.0 if flow == "wave" else 44.0) + wave + 0.02 * dx)
    canvas, shift = sitter.canvas, rng.uniform(0.0, 512.0, 2)
    kind = "streak"
    if flow == "curl":
        warp = noise_tile("cloud", 128)
        u, v, kind = x + 9.0 * warp, y + 9.0 * warp.T, "curl"
    map_x = canvas.enlarge(((u + shift[0]) * canvas.scale).astype(np.float32))[box]
    map_y = canvas.enlarge(((v + shift[1]) * canvas.scale).astype(np.float32))[box]
    tile = noise_tile(kind, canvas.side)
    return cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _extent(soft: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of a canvas of `side` pixels that hold a soft mask (GRID, GRID)."""
    out = []
    for axis in (1, 0):
        filled = np.flatnonzero((soft > 0.004).any(axis))
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 0)
        out.append(slice(max(first - 1, 0) * side // GRID, min(last + 1, GRID) * side // GRID))
    return out[0], out[1]


def _fill(
    sitter: Sitter, soft: np.ndarray, style: Style, rng: np.random.Generator, dim: float = 1.0
) -> Region:
    """Paint a hair volume of soft coverage (GRID, GRID); returns what it covers; label hair."""
    canvas, look = sitter.canvas, sitter.look
    box = _extent(soft, canvas.side)
    s = _strands(sitter, style, rng, box)
    wide = cv2.GaussianBlur(soft, (0, 0), 5.0)
    volume = 75.0 * np.sqrt(np.maximum(soft * 0.35 + wide * 0.65, 0.0))
    factor, shine = lit(volume, sitter.light, UNITS / GRID)
    x, y = sitter.frontal
    band = np.exp(-(((np.hypot(0.55 * (x - CENTRE), y - 250.0) - 172.0) / 26.0) ** 2))
    gloss = (0.25 + 0.75 * band) * float(rng.uniform(0.06, 0.2)) + 2.0 * shine * band
    rough = (style.fray * np.clip(0.35 + y / 320.0, 0.4, 1.0)).astype(np.float32)
    near = np.minimum(1.0, 7.0 * soft)
    edge = canvas.enlarge(rough * near)[box] * np.clip(s, -1.8, 1.8)
    area = Region(*box, smoothstep(0.37, 0.63, edge + canvas.enlarge(soft)[box]))
    base = canvas.enlarge((look.hair * factor * np.float32(dim)).astype(np.float32))[box]
    glint = canvas.enlarge((gloss * factor.mean(2)).astype(np.float32))[box]
    colour = three(glint * np.clip(0.5 + 0.6 * s, 0.0, 2.0)) * (0.45 * look.hair + 0.42)
    colour += base * three(np.clip(0.92 + 0.26 * s, 0.25, 1.8))
    opacity = 0.62 if sitter.look.style == "buzz" else 1.0
    canvas.paint(area, colour, opacity=opacity)
    canvas.parse[box][area.alpha > 0.5] = sitter.labels["hair"]
    return area


def paint_back_hair(sitter: Sitter) -> None:
    """Hair behind the neck and the ears; label hair."""
    style = STYLES.get(sitter.look.style)
    if style is None or style.back is None or sitter.look.hat == "scarf":
        return
    rng = stream(sitter.index, 51)
    outline = sitter.pose.project(mirrored(_jitter(style.back, rng, 3.0)), -40.0)
    _fill(sitter, _low_mask(outline, 7.0), style, rng, dim=0.55)


def paint_hair(sitter: Sitter) -> None:
    """Hair on the scalp and beside the face, with its shadow on the skin; label hair."""
    style = STYLES.get(sitter.look.style)
    if style is None or sitter.look.hat == "scarf":
        return
    rng = stream(sitter.index, 52)
    way = float(rng.choice((-1.0, 1.0)))
    style = replace(style, part=way * style.part)
    lean = way * float(rng.uniform(0.0, 12.0)) + 0.25 * style.part
    top = mirrored(_jitter(style.outer, rng, 3.0))
    opening = mirrored(_jitter(style.opening, rng, 2.5), lean)
    if sitter.look.style == "swept":
        opening[:, 1] -= 0.22 * way * (opening[:, 0] - CENTRE) * (opening[:, 1] < 150.0)
    outer_soft = _low_mask(sitter.pose.project(top), 5.0)
    open_soft = _low_mask(sitter.pose.project(opening), 4.0)
    face = _low_mask(sitter.pose.project(mirrored(face_half(sitter.shape))), 4.0)
    if sitter.look.style == "buzz":
        outer_soft = np.minimum(outer_soft, face)
    below = smoothstep(225.0, 260.0, sitter.frontal[1])
    soft = outer_soft * (1.0 - open_soft * np.maximum(face, below))
    shade = cv2.GaussianBlur(soft, (0, 0), 3.0)
    shade = np.roll(shade, (3, -round(3 * sitter.light.direction[0])), (0, 1))
    canvas = sitter.canvas
    skin = np.isin(
        canvas.parse, [sitter.labels[n] for n in ("skin", "neck", "left_ear", "right_ear")]
    )
    dark = canvas.whole(canvas.enlarge(shade) * skin.astype(np.float32))
    canvas.darken(dark, np.array((0.52, 0.43, 0.42)))
    _fill(sitter, soft, style, rng)
    if sitter.look.style not in ("buzz",):
        _strays(sitter, top, rng)


def _strays(sitter: Sitter, outline: np.ndarray, rng: np.random.Generator) -> None:
    """Single hairs that leave the outline."""
    upper = outline[outline[:, 1] < 170.0]
    curly = 7.0 if sitter.look.style in ("curly", "wavy") else 2.5
    roots = upper[rng.integers(len(upper), size=26)]
    away = roots - (CENTRE, 200.0)
    away = away / np.hypot(away[:, 0], away[:, 1])[:, None]
    turned = np.stack((-away[:, 1], away[:, 0]), 1) * rng.choice((-1.0, 1.0), (26, 1))
    along = turned * rng.uniform(10.0, 30.0, (26, 1))
    start = roots - away * rng.uniform(6.0, 16.0, (26, 1))
    middle = start + along * 0.5 + away * rng.uniform(10.0, 20.0, (26, 1))
    end = start + along + away * rng.normal(10.0, curly, (26, 1))
    hairs = strokes(start, middle, end)
    paths = sitter.pose.project(hairs.reshape(-1, 2)).reshape(hairs.shape)
    light = 0.85 * sitter.look.hair * float(np.clip(sitter.light.key.mean() + 0.3, 0.5, 1.2))
    sitter.canvas.paint(sitter.canvas.lines(paths, 0.9), light, opacity=0.55)


def _beard_density(sitter: Sitter) -> np.ndarray:
    """How densely a beard grows, float32 (GRID, GRID) in [0, 1]."""
    look, shape = sitter.look, sitter.shape
    x, y = sitter.frontal
    dx, mouth, base, chin = (
        np.abs(x - CENTRE),
        mouth_line(shape),
        nose_base(shape),
        chin_line(shape),
    )
    line = 318.0 + 40.0 * np.exp(-(((dx - 78.0) / 34.0) ** 2)) + 0.0 * y
    line = np.where(dx > 105.0, 250.0, line)
    jaw = smoothstep(-12.0, 22.0, y - np.maximum(line, base + 4.0 - 0.9 * np.maximum(dx - 60, 0)))
    edge = dx + 0.35 * np.abs(y - mouth)
    lip = smoothstep(base + 3.0, base + 15.0, y + 0.1 * dx) * smoothstep(64.0, 46.0, edge)
    lip = lip * smoothstep(mouth + 22.0, mouth + 4.0, y)
    ring = smoothstep(62.0, 48.0, np.hypot(0.95 * dx, 0.72 * (y - (mouth + 32.0))))
    density = np.maximum(lip, ring) if look.beard == "goatee" else np.maximum(jaw, lip)
    bare = smoothstep(1.0, 0.6, np.hypot(dx / 26.0, (y - mouth - shape.lip_lower - 4.0) / 12.0))
    density = density * (1.0 - 0.5 * bare) * smoothstep(chin + 30.0, chin + 4.0, y)
    return density.astype(np.float32)


def paint_beard(sitter: Sitter) -> None:
    """Stubble, goatee or full beard on the lower face; the label stays skin."""
    look, canvas = sitter.look, sitter.canvas
    if look.beard == "none":
        return
    x, y = sitter.frontal
    rng = stream(sitter.index, 53)
    face = canvas.cover(
        sitter.pose.project(np.add(mirrored(face_half(sitter.shape)), (0.0, 2.0))), blur=1.5
    )
    box = face.rows, face.cols
    full = canvas.enlarge(_beard_density(sitter))[box]
    shift = float(rng.uniform(0.0, 500.0))
    bend = (x - CENTRE) * (1.0 - 0.0011 * (y - 300.0)) + 2.0 * np.sin(y / 9.0 + x / 13.0)
    map_x = canvas.enlarge(((bend * 1.25 + shift) * canvas.scale).astype(np.float32))[box]
    map_y = canvas.enlarge(((y * 6.0) * canvas.scale).astype(np.float32))[box]
    tile = noise_tile("streak", canvas.side)
    strand = cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    strand = 0.75 * strand + 0.6 * canvas.tile("fine", (int(shift), 0))[box]
    light = np.clip(canvas.image[box].mean(2) / max(float(look.skin.mean()), 0.1), 0.5, 1.2)
    ink = look.hair * np.float32(0.8) + np.float32(0.02)
    if look.beard == "stubble":
        ink = np.minimum(ink, look.skin * np.float32(0.45))
        alpha = full * smoothstep(-0.6, 1.8, strand) * 0.55 + full * 0.12
    else:
        alpha = smoothstep(0.25, 0.75, full * 1.15 + 0.13 * strand) * 0.94
    colour = ink * np.clip(0.9 + 0.3 * strand, 0.3, 1.8)[..., None] * light[..., None]
    canvas.paint(Region(*box, (face.alpha * alpha).astype(np.float32)), colour.astype(np.float32))
