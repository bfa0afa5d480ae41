"""Eyes and brows of a synthetic face."""

from __future__ import annotations

import numpy as np

from data.synthetic_canvas import Region, curve, smoothstep, strokes
from data.synthetic_pose import CENTRE, EYE_LINE
from data.synthetic_skin import Sitter
from data.synthetic_traits import Shape, stream


def eye_centre(shape: Shape, side: float) -> tuple[float, float]:
    """Frontal (x, y) of an eye; `side` is -1 at the left of the image, +1 at the right."""
    return CENTRE + side * shape.eye_gap, EYE_LINE + shape.eye_drop


def lid_curves(shape: Shape, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower lid, each (M, 2) in frontal units, from the outer to the inner corner."""
    w, up, low = shape.eye_width, shape.eye_open, 0.52 * shape.eye_open
    tilt, smile = shape.eye_tilt, 0.10 * max(shape.smile, 0.0)
    upper = [
        (w, -tilt),
        (0.72 * w, -0.62 * up - 0.6 * tilt),
        (0.12 * w, -up),
        (-0.5 * w, -0.74 * up),
        (-w, 2.5),
    ]
    lower = [
        (w, -tilt),
        (0.6 * w, 0.66 * low - smile),
        (0.0, low - smile),
        (-0.6 * w, 0.72 * low + 0.5),
        (-w, 2.5),
    ]
    x, y = eye_centre(shape, side)
    place = [(np.array(line) * (side, 1.0)) + (x, y) for line in (upper, lower)]
    return curve(place[0]), curve(place[1])


def paint_eye(sitter: Sitter, side: float) -> None:
    """One eye with its lids and lashes; label left_eye or right_eye."""
    canvas, shape, look = sitter.canvas, sitter.shape, sitter.look
    upper, lower = lid_curves(shape, side)
    up, low = sitter.pose.project(upper, 3.0), sitter.pose.project(lower, 3.0)
    opening = np.concatenate([up, low[::-1]])
    wide, dark = min(1.0, max(0.0, shape.eye_open / 3.0 - 3.0)), look.skin * 0.35
    crease = sitter.pose.project(upper[2:-4] - (0.0, 5.5 + 2.5 * wide), 3.0)
    canvas.darken(canvas.lines([crease], 2.2, blur=1.4), (0.62, 0.52, 0.5))
    canvas.darken(canvas.cover(opening, blur=3.0), (0.78, 0.70, 0.69))
    label = sitter.labels["left_eye" if side < 0 else "right_eye"]
    area = canvas.cover(opening)
    canvas.paint(area, _ball(sitter, side, area, opening), label=label)
    rim = look.skin * np.array((0.98, 0.78, 0.74)) * 0.9
    canvas.paint(canvas.lines([low], 1.6, blur=0.5), rim, opacity=0.55)
    canvas.paint(canvas.lines([np.add(low, (0.0, 1.6))], 1.2, blur=0.6), dark, opacity=0.30)
    heavy = 2.2 + (0.8 if look.feminine else 0.0) + 1.6 * look.makeup
    ink = np.array((0.07, 0.05, 0.05)) + 0.10 * (1.0 - look.makeup) * look.hair
    canvas.paint(canvas.lines([up - (0.0, 0.3)], heavy, blur=0.5), ink, opacity=0.85)
    canvas.paint(canvas.lines([up[:16] - (0.0, 1.2)], heavy, blur=0.9), ink, opacity=0.6)
    _lashes(sitter, side, up, low, ink)


def _ball(sitter: Sitter, side: float, area: Region, opening: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) of sclera, iris, pupil and highlights over the region of the opening."""
    shape, look, at = sitter.shape, sitter.look, sitter.canvas.at
    x0, y0 = eye_centre(shape, side)
    gaze_x, gaze_y = look.gaze
    middle = np.array([[x0 + gaze_x, y0 - 0.24 * shape.eye_open + gaze_y]])
    cx, cy = sitter.pose.project(middle, 5.0)[0]
    x, y = at[area.cols][None, :] - cx, at[area.rows][:, None] - cy
    radius, soft = 11.8, 0.6 + 0.35 / sitter.canvas.scale
    r = np.hypot(x / np.float32(np.cos(shape.yaw)), y) / radius
    angle = np.arctan2(y, x)
    rng = stream(sitter.index, 21)
    top = float(opening[:, 1].min())
    shade = 0.50 + 0.5 * smoothstep(-1.0, 10.0, at[area.rows][:, None] - top)
    corner = 1.0 - 0.28 * np.clip(np.abs(x) / 30.0, 0.0, 1.0) ** 2
    white = np.array((0.90, 0.87, 0.85)) * (0.86 + 0.12 * float(look.skin.mean()))
    out = white * (shade * corner)[..., None]
    inner = smoothstep(16.0, 27.0, -side * x)[..., None] * np.array((0.05, 0.22, 0.22))
    out -= inner
    rays = np.zeros_like(r)
    for turns in (7, 17, 29, 41):
        rays += rng.uniform(0.3, 1.0) * np.sin(turns * angle + rng.uniform(0.0, 6.28))
    bright = (0.75 + 0.55 * r + 0.10 * rays) * (0.55 + 0.45 * shade)
    bright += 0.35 * np.clip(y / radius, 0.0, 1.0) * (1.0 - r)
    limbal = 1.0 - 0.62 * smoothstep(0.78, 1.0, r)
    iris = look.iris * (bright * limbal)[..., None]
    edge = soft / radius
    out += (iris - out) * smoothstep(1.0 + edge, 1.0 - edge, r)[..., None]
    pupil = smoothstep(0.40 + edge, 0.40 - edge, r)[..., None]
    out += (np.array((0.02, 0.02, 0.02)) - out) * pupil
    toward = sitter.light.direction
    for px, py, size, power in (
        (4.6 * toward[0] + 0.6, -3.6 + 2.0 * toward[1], 2.5, 0.95),
        (-3.5 * toward[0] - 1.0, 4.2, 1.5, 0.28),
    ):
        glint = smoothstep(size + soft, size - soft, np.hypot(x - px, y - py))
        out += (1.0 - out) * (power * glint)[..., None]
    return out.astype(np.float32)


def _lashes(sitter: Sitter, side: float, up: np.ndarray, low: np.ndarray, ink: np.ndarray) -> None:
    """Short strokes along both lids."""
    rng, look = stream(sitter.index, 22), sitter.look
    length = (5.5 if look.feminine else 3.2) + 3.0 * look.makeup
    for lid, scale, drop, opacity in ((up, 1.0, -1.0, 0.75), (low, 0.5, 1.0, 0.35)):
        t = np.linspace(0.02, 0.9, 22)
        roots = lid[(t * (len(lid) - 1)).astype(int)]
        reach = length * scale * (1.15 - 0.6 * t) * rng.uniform(0.8, 1.15, 22)
        lean = side * (0.95 - 1.3 * t) * reach
        tips = roots + np.stack((lean, drop * reach * 0.8), 1)
        bends = (roots + tips) / 2 + np.stack((lean * 0.3, -drop * reach * 0.28), 1)
        region = sitter.canvas.lines(strokes(roots, bends, tips), 0.95)
        sitter.canvas.paint(region, ink, opacity=opacity)


def brow_curves(shape: Shape, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower edge of a brow, each (M, 2) in frontal units, outer to inner end."""
    x0, eye_y = eye_centre(shape, side)
    y0, thick, arch = eye_y - shape.brow_lift, shape.brow_thick, shape.brow_arch
    spine = ((39.0, 6.0), (22.0, -0.7 * arch), (0.0, -0.75 * arch), (-22.0, 0.5), (-35.0, 4.0))
    half = (0.5, 0.24 * thick, 0.42 * thick, 0.5 * thick, 0.42 * thick)
    edges = []
    for way in (-1.0, 1.0):
        points = [(x0 + side * a, y0 + b + way * h) for (a, b), h in zip(spine, half, strict=True)]
        edges.append(curve(points))
    return edges[0], edges[1]


def paint_brow(sitter: Sitter, side: float) -> None:
    """One brow of short hairs over a soft ground; label left_brow or right_brow."""
    canvas, look, rng = sitter.canvas, sitter.look, stream(sitter.index, 23)
    upper, lower = brow_curves(sitter.shape, side)
    outline = sitter.pose.project(np.concatenate([upper, lower[::-1]]), 3.0)
    ink = np.minimum(look.hair * 0.62, look.skin * 0.62)
    dense = 0.42 + 0.2 * float(rng.random())
    canvas.paint(canvas.cover(outline, blur=2.6), ink, opacity=dense)
    label = sitter.labels["left_brow" if side < 0 else "right_brow"]
    area = canvas.cover(outline)
    canvas.parse[area.rows, area.cols][area.alpha > 0.5] = label
    t, v = rng.random(120) ** 0.8, 0.5 + 0.34 * rng.standard_normal(120)
    k = (t * (len(upper) - 1)).astype(int)
    roots = upper[k] + (lower[k] - upper[k]) * v[:, None]
    reach = rng.uniform(6.0, 12.0, 120) * (0.65 + 0.5 * t)
    rise = -0.95 * t**1.6 + 0.35 * (1.0 - t) + 0.5 * (0.4 - v)
    tips = roots + reach[:, None] * np.stack((side * np.cos(rise), np.sin(rise)), 1)
    hairs = strokes(roots, (roots + tips) / 2 - (0.0, 1.0), tips)
    flat = sitter.pose.project(hairs.reshape(-1, 2), 3.0).reshape(hairs.shape)
    canvas.paint(canvas.lines(flat, 1.1), ink * 0.75, opacity=0.62)
