"""The synthetic head as a relief surface: its projection, FFHQ alignment, and shading.

A face is described frontally in units (512 = the image's width, y down) as a surface z(x, y). Its
points are turned by yaw, pitch and roll and brought into the picture by the similarity that FFHQ's
own recipe (Karras et al. 2019, dataset tool) finds from the eyes and the mouth, so that synthetic
faces are aligned the way real ones are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthetic_canvas import GRID, UNITS
from data.synthetic_traits import Light, Shape

CENTRE = 256.0
EYE_LINE = 238.0
MOUTH_LINE = 368.0
_AXIS = np.array((256.0, 258.0))


def nose_base(shape: Shape) -> float:
    """y of the point where the nose meets the upper lip, frontal units."""
    return 322.0 + shape.nose_length


def mouth_line(shape: Shape) -> float:
    """y of the line between the lips, frontal units."""
    return MOUTH_LINE + shape.mouth_drop


def chin_line(shape: Shape) -> float:
    """y of the tip of the chin, frontal units; an open mouth lowers it."""
    return 452.0 + shape.chin + 0.45 * shape.opening


def _bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float, float, float]) -> np.ndarray:
    """A Gaussian bump of height 1 at (x, y) with radii (rx, ry)."""
    return np.exp(-(((x - at[0]) / at[2]) ** 2) - ((y - at[1]) / at[3]) ** 2)


def skull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height z (units) of the bare head, an ellipsoid, at frontal points."""
    inside = 1.0 - ((x - CENTRE) / 158.0) ** 2 - ((y - 246.0) / 236.0) ** 2
    return 150.0 * np.sqrt(np.maximum(inside, 0.004))


def nose_height(x: np.ndarray, y: np.ndarray, shape: Shape) -> np.ndarray:
    """Height (units) of the nose over the head at frontal points."""
    base = nose_base(shape)
    top, tip = EYE_LINE - 14.0, base - 16.0
    t = np.clip((y - top) / (tip - top), 0.0, 1.0)
    fall = np.clip((base + 3.0 - y) / 15.0, 0.0, 1.0)
    ridge = (5.0 + 27.0 * t**1.3) * np.where(y < top, np.exp(-(((y - top) / 14.0) ** 2)), fall)
    dx = np.abs(x - CENTRE)
    spread = 13.0 + 0.26 * shape.nose_width * t
    height = ridge * np.exp(-((dx / spread) ** 2))
    side = 0.72 * shape.nose_width
    height += 13.0 * _bump(dx, y, (side, base - 11.0, 9.0, 9.5))
    return height + 10.0 * _bump(dx, y, (0.0, tip + 1.0, 13.0, 11.0))


def relief(x: np.ndarray, y: np.ndarray, shape: Shape) -> np.ndarray:
    """Full height z (units) of the face at frontal points: what the light sees."""
    dx, smile, mouth = np.abs(x - CENTRE), shape.smile, mouth_line(shape)
    gap, eyes = shape.eye_gap, EYE_LINE + shape.eye_drop
    z = skull(x, y) + nose_height(x, y, shape)
    z -= 15.0 * _bump(dx, y, (gap - 6.0, eyes - 7.0, 34.0, 19.0))
    z += 8.0 * _bump(dx, y, (gap, eyes, 22.0, 15.0))
    z += 6.0 * _bump(dx, y, (gap - 4.0, eyes - 36.0, 36.0, 13.0))
    z += (6.0 + 0.45 * max(smile, 0.0)) * _bump(dx, y, (74.0, 302.0, 34.0, 26.0))
    z -= 3.0 * _bump(dx, y, (92.0, 360.0, 26.0, 34.0))
    lip = shape.lip_upper + shape.lip_lower + shape.opening
    z += 7.0 * _bump(dx, y, (0.0, mouth, 1.15 * shape.mouth_width, 26.0 + 0.5 * lip))
    z -= 2.5 * _bump(dx, y, (0.0, nose_base(shape) + 14.0, 5.0, 12.0))
    z -= 6.0 * _bump(dx, y, (0.0, mouth + lip * 0.55 + 16.0, 34.0, 9.0))
    z += 9.0 * _bump(dx, y, (0.0, chin_line(shape) - 24.0, 32.0, 18.0))
    fold = dx - (30.0 + 0.5 * (y - 312.0))
    depth = (1.2 + 0.16 * max(smile, 0.0)) * np.exp(-((fold / 7.0) ** 2))
    return z - depth * _bump(dx * 0.0, y, (0.0, 343.0, 1.0, 26.0))


@dataclass(frozen=True)
class Pose:
    """How frontal points land in the picture, and back."""

    shape: Shape
    turn: np.ndarray
    """Rotation (3, 3)."""
    similarity: np.ndarray
    """(2, 3), from turned coordinates to picture units."""

    def project(self, points: np.ndarray, lift: float | np.ndarray = 0.0) -> np.ndarray:
        """Picture coordinates (N, 2) in units of frontal points (N, 2) on the skin.

        `lift` (scalar or (N,)) is the height over the skull in units, e.g. a nose's or negative.
        """
        p = np.asarray(points, np.float64)
        z = skull(p[:, 0], p[:, 1]) + lift
        solid = np.concatenate([p - _AXIS, z[:, None]], 1) @ self.turn.T
        return solid[:, :2] @ self.similarity[:, :2].T + self.similarity[:, 2]

    def on_nose(self, points: np.ndarray) -> np.ndarray:
        """As `project`, for points on the nose."""
        p = np.asarray(points, np.float64)
        return self.project(p, nose_height(p[:, 0], p[:, 1], self.shape))

    def frontal(self, side: int = GRID) -> tuple[np.ndarray, np.ndarray]:
        """Frontal x and y, each float64 (side, side), of the pixels of a low-resolution grid."""
        at = (np.arange(side) + 0.5) * UNITS / side
        flat = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2) - self.similarity[:, 2]
        turned = flat @ np.linalg.inv(self.similarity[:, :2]).T
        back = np.linalg.inv(self.turn[:2, :2])
        points = turned @ back.T + _AXIS
        for _ in range(3):
            z = skull(points[:, 0], points[:, 1])
            z = z + nose_height(points[:, 0], points[:, 1], self.shape)
            points = (turned - z[:, None] * self.turn[:2, 2]) @ back.T + _AXIS
        return points[:, 0].reshape(side, side), points[:, 1].reshape(side, side)


def _rotation(shape: Shape) -> np.ndarray:
    """Rotation (3, 3): pitch, then yaw, then roll."""
    (cy, sy), (cp, sp), (cr, sr) = (
        (np.cos(a), np.sin(a)) for a in (shape.yaw, shape.pitch, shape.roll)
    )
    yaw = np.array(((cy, 0.0, sy), (0.0, 1.0, 0.0), (-sy, 0.0, cy)))
    pitch = np.array(((1.0, 0.0, 0.0), (0.0, cp, sp), (0.0, -sp, cp)))
    roll = np.array(((cr, -sr, 0.0), (sr, cr, 0.0), (0.0, 0.0, 1.0)))
    return roll @ yaw @ pitch


def align(shape: Shape) -> Pose:
    """The pose whose picture is cropped as FFHQ crops, with a small error of the landmarks."""
    turn = _rotation(shape)
    free = Pose(shape, turn, np.array(((1.0, 0.0, 256.0), (0.0, 1.0, 258.0))))
    eyes_y, mouth = EYE_LINE + shape.eye_drop, mouth_line(shape) - 0.6 * shape.smile
    gap, wide = shape.eye_gap, shape.mouth_width
    marks = np.array(
        (
            (CENTRE - gap, eyes_y),
            (CENTRE + gap, eyes_y),
            (CENTRE - wide, mouth),
            (CENTRE + wide, mouth),
        )
    )
    left, right, mouth_left, mouth_right = free.project(marks)
    eyes = (left + right) / 2
    across, down = right - left, (mouth_left + mouth_right) / 2 - eyes
    axis = across + np.array((down[1], -down[0]))
    half = max(np.hypot(*across) * 2.045, np.hypot(*down) * 1.87)
    scale = 256.0 / half * shape.zoom
    direction = axis / np.hypot(*axis)
    spin = np.array(((direction[0], direction[1]), (-direction[1], direction[0]))) * scale
    centre = eyes + 0.138 * down
    offset = np.array((256.0, 256.0)) + shape.shift - spin @ centre
    matrix = np.concatenate([spin, offset[:, None]], 1)
    matrix[:, 2] += spin @ np.array((256.0, 258.0))
    return Pose(shape, turn, matrix)


def lit(height: np.ndarray, light: Light, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Light that a height field (g, g) sends to the viewer, in display (gamma 2.2) terms.

    `unit` is the width of a grid cell in the height's own units. Returns the factor on the surface
    colour, float32 (g, g, 3), and the highlight to add, float32 (g, g).
    """
    down, across = np.gradient(height, unit)
    length = np.sqrt(down**2 + across**2 + 1.0)
    normal = np.stack((-across / length, -down / length, 1.0 / length), -1).astype(np.float32)
    cosine = normal @ light.direction.astype(np.float32)
    wrap = np.array((0.42, 0.34, 0.30), np.float32)
    diffuse = np.clip((cosine[..., None] + wrap) / (1.0 + wrap), 0.0, 1.0)
    sky = 0.72 - 0.28 * normal[..., 1:2] + 0.18 * (normal[..., 2:] - 0.8)
    energy = light.key.astype(np.float32) * diffuse + light.ambient.astype(np.float32) * sky
    half = light.direction + np.array((0.0, 0.0, 1.0))
    half = (half / np.linalg.norm(half)).astype(np.float32)
    mirror = np.clip(normal @ half, 0.0, 1.0)
    shine = light.gloss * (0.7 * mirror**12 + 0.6 * mirror**34)
    factor = np.power(np.maximum(energy, 0.01), 1.0 / 2.2)
    return factor.astype(np.float32), shine.astype(np.float32)
