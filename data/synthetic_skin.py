"""The skin of a synthetic head: outline, light, colour, pores, freckles, wrinkles, ears, neck."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from data.synthetic_canvas import GRID, UNITS, Canvas, curve, mirrored, smoothstep, three
from data.synthetic_pose import (
    CENTRE,
    EYE_LINE,
    Pose,
    chin_line,
    lit,
    mouth_line,
    nose_base,
    relief,
)
from data.synthetic_traits import Light, Look, Shape, stream


@dataclass(frozen=True)
class Sitter:
    """One person in front of the camera: everything a painting function needs."""

    index: int
    shape: Shape
    look: Look
    light: Light
    pose: Pose
    canvas: Canvas
    labels: dict[str, int]
    """Parse class name -> number."""

    @cached_property
    def frontal(self) -> tuple[np.ndarray, np.ndarray]:
        """Frontal x and y, each float32 (GRID, GRID), seen through each cell of the grid."""
        x, y = self.pose.frontal()
        return x.astype(np.float32), y.astype(np.float32)


def face_half(shape: Shape) -> np.ndarray:
    """Right half of the face's outline (N, 2) as (dx, y), crown to chin, frontal units."""
    w, j, chin = shape.width, shape.jaw, chin_line(shape)
    low = chin - 452.0
    return np.array(
        (
            (0.0, 38.0),
            (72.0 * w, 52.0),
            (116.0 * w, 96.0),
            (134.0 * w, 162.0),
            (135.0 * w, 230.0),
            (130.0 * w, 296.0),
            (114.0 * w * j, 354.0 + 0.4 * low),
            (86.0 * w * j, 406.0 + 0.7 * low),
            (46.0 * w * j, 442.0 + low),
            (0.0, chin),
        )
    )


def paint_face(sitter: Sitter) -> None:
    """Skin of the face, lit, with its fine detail; label skin."""
    canvas, look, shape = sitter.canvas, sitter.look, sitter.shape
    x, y = sitter.frontal
    height = relief(x, y, shape)
    a, b, c = (float(v) for v in sitter.pose.turn[2])
    factor, shine = lit(a * x + b * y + c * height, sitter.light, UNITS / GRID)
    shine *= np.float32(1.5 - 0.6 * float(look.skin.mean()))
    tone = _tone(sitter, x, y)
    outline = sitter.pose.project(mirrored(face_half(shape)))
    area = canvas.cover(outline)
    box = area.rows, area.cols
    pores = _pores(sitter)[box]
    skin = canvas.enlarge(tone * factor)[box] * three(_detail(sitter, pores, box))
    skin += three(canvas.enlarge(shine)[box] * (1.0 + np.float32(0.12) * pores))
    canvas.paint(area, skin, label=sitter.labels["skin"])
    _spots(sitter)
    _wrinkles(sitter)


def _tone(sitter: Sitter, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colour of the skin without light, float32 (GRID, GRID, 3)."""
    shape, look = sitter.shape, sitter.look
    dx, base = np.abs(x - CENTRE), nose_base(shape)

    def spot(px: float, py: float, rx: float, ry: float) -> np.ndarray:
        return np.exp(-(((dx - px) / rx) ** 2) - ((y - py) / ry) ** 2)

    eyes = EYE_LINE + shape.eye_drop
    red = 0.55 * spot(76.0, 308.0, 32.0, 26.0) + 0.5 * spot(0.0, base - 18.0, 22.0, 16.0)
    red = red + 0.25 * spot(0.0, chin_line(shape) - 22.0, 26.0, 16.0)
    red += 0.45 * look.makeup * spot(88.0, 300.0, 30.0, 22.0)
    under = spot(shape.eye_gap - 2.0, eyes + 19.0, 24.0, 7.0) * (0.5 + 0.8 * look.age)
    socket = spot(shape.eye_gap - 12.0, eyes - 12.0, 28.0, 10.0)
    hollow = 0.55 * spot(0.0, base + 2.0, 0.8 * shape.nose_width, 6.0)
    hollow += 0.35 * spot(0.0, mouth_line(shape) + 0.9 * shape.lip_lower + 17.0, 30.0, 8.0)
    hollow += 0.25 * spot(0.8 * shape.nose_width + 7.0, base - 12.0, 6.0, 12.0)
    toward = [float(v) for v in sitter.light.direction]
    cast_x, cast_y = CENTRE - 26.0 * toward[0], base - 8.0 - 20.0 * toward[1]
    cast = np.exp(-(((x - cast_x) / 16.0) ** 2) - ((y - cast_y) / 13.0) ** 2)
    hollow += 0.5 * abs(toward[0]) * cast * (dx > 0.55 * shape.nose_width)
    tone = np.ones((GRID, GRID, 3), np.float32) * look.skin
    strength = 0.10 if look.skin.mean() > 0.5 else 0.05
    tone *= 1.0 + three(red) * np.array((0.25, -1.0, -0.8), np.float32) * np.float32(strength)
    tone *= 1.0 - three(under) * np.array((0.05, 0.09, 0.07), np.float32)
    tone *= 1.0 - three(socket) * np.array((0.07, 0.11, 0.11), np.float32)
    if look.makeup > 0.5:
        lid = spot(shape.eye_gap + 3.0, eyes - 11.0, 26.0, 8.0) * (look.makeup - 0.4)
        tone *= 1.0 - three(lid) * np.array((0.35, 0.5, 0.42), np.float32)
    return tone * (1.0 - three(hollow) * np.array((0.30, 0.40, 0.42), np.float32))


def _pores(sitter: Sitter) -> np.ndarray:
    """Fine skin noise (side, side), its origin following the person."""
    rng = stream(sitter.index, 11)
    return sitter.canvas.tile("fine", (int(rng.integers(512)), int(rng.integers(512))))


def _detail(sitter: Sitter, pores: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """Factor near 1 (h, w) on the skin of a box: pores and slight unevenness of colour."""
    rng = stream(sitter.index, 12)
    shift = int(rng.integers(512)), int(rng.integers(512))
    fine = np.float32(0.006 + 0.012 * sitter.look.age + 0.006 * rng.random())
    return 1.0 + fine * pores + np.float32(0.014) * sitter.canvas.tile("mottle", shift)[box]


def _spots(sitter: Sitter) -> None:
    """Freckles over the cheeks and the nose, and a few moles."""
    rng, look = stream(sitter.index, 13), sitter.look
    count = int(220 * look.freckles)
    at = np.stack((rng.normal(0.0, 62.0, count), rng.normal(296.0, 34.0, count)), 1)
    moles = np.stack((rng.uniform(-110.0, 110.0, 4), rng.uniform(140.0, 430.0, 4)), 1)
    moles = moles[: int(rng.integers(0, 4))]
    for points, low, high, colour, opacity in (
        (at, 0.7, 1.7, (0.72, 0.55, 0.45), 0.38),
        (moles, 1.4, 2.6, (0.45, 0.32, 0.28), 0.7),
    ):
        if len(points) == 0:
            continue
        centres = sitter.pose.project(np.add(points, (CENTRE, 0.0)))
        turn = np.linspace(0.0, 2 * np.pi, 9)[:-1]
        ring = np.stack((np.cos(turn), np.sin(turn)), 1)
        sizes = rng.uniform(low, high, len(points))
        mask = np.zeros(sitter.canvas.parse.shape, np.uint8)
        for centre, size in zip(centres, sizes, strict=True):
            dot = sitter.canvas.pixels(centre + ring * size) * 16
            cv2.fillPoly(mask, [np.round(dot).astype(np.int32)], 255, cv2.LINE_AA, 4)
        mask[sitter.canvas.parse != sitter.labels["skin"]] = 0
        region = sitter.canvas.whole(mask.astype(np.float32) / np.float32(255.0) * opacity)
        sitter.canvas.darken(region, colour)


def _wrinkles(sitter: Sitter) -> None:
    """Nasolabial folds, lines under the eyes and, with age, on the forehead and at the eyes."""
    shape, look, rng = sitter.shape, sitter.look, stream(sitter.index, 14)
    base, smile = nose_base(shape), max(shape.smile, 0.0)
    folds, fine = [], []
    for side in (-1.0, 1.0):
        start = 0.95 * shape.nose_width + 4.0
        fold = ((start, base - 14.0), (start + 13.0, base + 8.0), (start + 24.0, base + 38.0))
        folds.append(curve([(CENTRE + side * a, b) for a, b in fold]))
        eyes = EYE_LINE + shape.eye_drop
        bag = ((-22.0, 13.0), (0.0, 21.0), (20.0, 17.0))
        fine.append(curve([(CENTRE + side * (shape.eye_gap + a), eyes + b) for a, b in bag]))
        for k in range(int(4 * look.age)):
            out, lift = shape.eye_gap + 33.0, 5.0 * (k - 1)
            end = (out + rng.uniform(10.0, 20.0), eyes + 2.2 * lift)
            crow = ((out, eyes + lift), ((out + end[0]) / 2, eyes + 1.5 * lift - 1.0), end)
            fine.append(curve([(CENTRE + side * a, b) for a, b in crow]))
    for k in range(int(4.5 * look.age)):
        y = 132.0 + 17.0 * k
        line = [(CENTRE + a, y + rng.normal(0.0, 2.0)) for a in np.linspace(-66.0, 66.0, 6)]
        fine.append(curve(line))
    canvas, project = sitter.canvas, sitter.pose.project
    shade = np.array((0.78, 0.70, 0.68))
    deep = canvas.lines([project(f) for f in folds], 4.0, blur=3.4)
    canvas.darken(deep, 1.0 - (1.0 - shade) * (0.35 + 0.05 * smile + 0.6 * look.age))
    thin = canvas.lines([project(f) for f in fine], 1.6, blur=1.2)
    canvas.darken(thin, 1.0 - (1.0 - shade) * (0.15 + 0.55 * look.age))


def paint_ears(sitter: Sitter) -> None:
    """Both ears, behind the face's outline; labels left_ear and right_ear."""
    canvas, shape, look = sitter.canvas, sitter.shape, sitter.look
    height = 37.0 * shape.ear
    for side, label in ((-1.0, "left_ear"), (1.0, "right_ear")):
        edge = CENTRE + side * 131.0 * shape.width

        def at(points: list[tuple[float, float]], e: float = edge, s: float = side) -> np.ndarray:
            return np.array([(e + s * a, 262.0 + height * b) for a, b in points])

        rim = at([(-8, -0.9), (8, -1.05), (20, -0.7), (21, -0.1), (13, 0.5), (8, 0.95), (-6, 0.9)])
        outer = sitter.pose.project(curve(rim, closed=True), -34.0)
        facing = 0.5 + 0.5 * float(np.clip(side * sitter.light.direction[0] + 0.4, -1.0, 1.0))
        tone = look.skin * np.array((1.0, 0.9, 0.88)) * (0.62 + 0.36 * facing)
        canvas.paint(canvas.cover(outer), tone, label=sitter.labels[label])
        inner = at([(2, -0.75), (12, -0.72), (14, -0.2), (7, 0.25), (6, 0.6)])
        hollow = sitter.pose.project(curve(inner), -34.0)
        canvas.darken(canvas.lines([hollow], 5.0, blur=2.0), (0.62, 0.52, 0.5))


def paint_neck(sitter: Sitter) -> None:
    """Neck with the shadow of the chin; label neck."""
    canvas, look, shape = sitter.canvas, sitter.look, sitter.shape
    thick = (70.0 if look.feminine else 86.0) * shape.width
    sway = 40.0 * float(np.sin(shape.yaw))
    half = ((thick, 300.0), (thick - 2.0, 400.0), (thick + 8.0, 470.0), (thick + 60.0, 530.0))
    right = [(CENTRE + sway + a, b) for a, b in half]
    left = [(CENTRE + sway - a, b) for a, b in half[::-1]]
    outline = np.concatenate([curve(right), curve(left)])
    grid = (np.arange(GRID) + 0.5) * UNITS / GRID
    across = np.clip((grid - CENTRE - sway) / (thick * 1.2), -0.98, 0.98)
    column = np.broadcast_to(70.0 * np.sqrt(1.0 - across**2), (GRID, GRID))
    factor, _ = lit(column, sitter.light, UNITS / GRID)
    chin = chin_line(shape)
    shadow = 1.0 - 0.45 * smoothstep(chin + 75.0, chin + 5.0, grid)[:, None, None]
    tone = (look.skin * np.array((0.97, 0.93, 0.92)) * factor * shadow).astype(np.float32)
    area = canvas.cover(outline)
    box = area.rows, area.cols
    skin = canvas.enlarge(tone)[box] * three(_detail(sitter, _pores(sitter)[box], box))
    canvas.paint(area, skin, label=sitter.labels["neck"])
