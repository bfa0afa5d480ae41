"""Embedded synthetic faces: a procedural portrait for every index, with its true labels.

Faces are aligned as FFHQ aligns (eye centres near (194, 238) and (318, 238) at 512) and come with a
parse map and landmarks that are exact by construction. "Left" and "right" are sides of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.synthetic_canvas import Canvas, three
from data.synthetic_extras import paint_glasses, paint_hat
from data.synthetic_eyes import brow_curves, eye_centre, lid_curves, paint_brow, paint_eye
from data.synthetic_hair import paint_back_hair, paint_beard, paint_hair
from data.synthetic_mouth import lip_curves, paint_mouth, paint_nose
from data.synthetic_pose import CENTRE, EYE_LINE, Pose, align, nose_base
from data.synthetic_scene import paint_background, paint_clothes
from data.synthetic_skin import Sitter, face_half, paint_ears, paint_face, paint_neck
from data.synthetic_traits import Shape, draw_light, draw_look, draw_shape, stream

PARSE_CLASSES: tuple[str, ...] = (
    "background",
    "skin",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "nose",
    "upper_lip",
    "mouth",
    "lower_lip",
    "left_ear",
    "right_ear",
    "hair",
    "hat",
    "glasses",
    "neck",
    "cloth",
)
"""Names of the values of a parse map, by value."""

_SIDED = (
    "brow_outer",
    "brow_peak",
    "brow_inner",
    "eye_outer",
    "eye_top",
    "eye_inner",
    "eye_bottom",
    "eye_centre",
    "nose_wing",
    "mouth_corner",
    "upper_lip_side",
    "lower_lip_side",
    "cheek",
    "jaw",
)
_MIDDLE = (
    "nose_bridge",
    "nose_tip",
    "nose_base",
    "upper_lip_top",
    "upper_lip_bottom",
    "lower_lip_top",
    "lower_lip_bottom",
    "chin",
)
LANDMARK_NAMES: tuple[str, ...] = (
    *(f"{side}_{name}" for name in _SIDED for side in ("left", "right")),
    *_MIDDLE,
)
"""Names of the landmarks, in the order of the rows of `SyntheticFace.landmarks`."""


def _swap(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each name the index of its mirror image's name."""
    other = {"left": "right", "right": "left"}
    out = []
    for name in names:
        side, _, rest = name.partition("_")
        out.append(names.index(f"{other[side]}_{rest}" if side in other else name))
    return tuple(out)


PARSE_SWAP: tuple[int, ...] = _swap(PARSE_CLASSES)
"""Class of the mirrored face at each class: mirrored = PARSE_SWAP[flipped map]."""
LANDMARK_SWAP: tuple[int, ...] = _swap(LANDMARK_NAMES)
"""Row of the mirrored face's landmarks: mirrored = flipped[LANDMARK_SWAP]."""


@dataclass(frozen=True)
class SyntheticFace:
    """One synthetic portrait of side S and its truth."""

    image: np.ndarray
    """uint8 (S, S, 3) RGB."""
    parse: np.ndarray
    """uint8 (S, S), values index PARSE_CLASSES."""
    landmarks: np.ndarray
    """float32 (N, 2), x and y in pixels, pixel centres at integers; rows as LANDMARK_NAMES."""


def render_face(index: int, size: int = 512) -> SyntheticFace:
    """The portrait of person `index` (>= 0) at any side `size` >= 16, a pure function of both.

    Sides below 512 are drawn up to twice as large and reduced by area, so a face looks the same at
    every side. Raises ValueError for a negative index or a smaller side.
    """
    if index < 0 or size < 16:
        raise ValueError(f"render_face needs index >= 0 and size >= 16, got {index} and {size}")
    side = size if size >= 512 else max(256, min(512, 2 * size))
    shape = draw_shape(index)
    pose = align(shape)
    labels = {name: k for k, name in enumerate(PARSE_CLASSES)}
    sitter = Sitter(index, shape, draw_look(index), draw_light(index), pose, Canvas(side), labels)
    _paint(sitter)
    picture: np.ndarray = _develop(sitter)
    parse: np.ndarray = sitter.canvas.parse
    if side != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        parse = cv2.resize(parse, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    marks = _landmarks(shape, pose) * (size / 512.0) - 0.5
    return SyntheticFace(picture, parse, marks.astype(np.float32))


def _paint(sitter: Sitter) -> None:
    """Everything, back to front."""
    paint_background(sitter)
    paint_back_hair(sitter)
    paint_neck(sitter)
    paint_clothes(sitter)
    paint_ears(sitter)
    paint_face(sitter)
    paint_beard(sitter)
    paint_nose(sitter)
    paint_mouth(sitter)
    for side in (-1.0, 1.0):
        paint_eye(sitter, side)
        paint_brow(sitter, side)
    paint_glasses(sitter)
    paint_hair(sitter)
    paint_hat(sitter)


def _develop(sitter: Sitter) -> np.ndarray:
    """The canvas as a photograph uint8 (side, side, 3): contrast, a little vignette and grain."""
    rng, canvas = stream(sitter.index, 71), sitter.canvas
    image = canvas.image
    edge = ((canvas.at - 256.0) / 256.0) ** 2
    fall = np.float32(rng.uniform(0.0, 0.10))
    image *= three(1.0 - fall * (edge[:, None] + edge[None, :]))
    shift = int(rng.integers(512)), int(rng.integers(512))
    image += three(np.float32(rng.uniform(0.0, 0.006)) * canvas.tile("fine", shift))
    return cv2.convertScaleAbs(np.maximum(image, 0.0, out=image), alpha=255.0)


def _landmarks(shape: Shape, pose: Pose) -> np.ndarray:
    """All landmarks (N, 2) in picture units."""
    found: dict[str, np.ndarray] = {}

    def put(name: str, point: np.ndarray | tuple[float, float], lift: float = 0.0) -> None:
        found[name] = pose.project(np.array([point]), lift)[0]

    half, lips, base = face_half(shape), lip_curves(shape), nose_base(shape)
    count = len(lips.top)
    for side, name in ((-1.0, "left"), (1.0, "right")):
        upper, lower = brow_curves(shape, side)
        spine = (upper + lower) / 2
        for part, k in (("outer", 2), ("peak", len(spine) * 3 // 8), ("inner", -3)):
            put(f"{name}_brow_{part}", spine[k], 3.0)
        up, low = lid_curves(shape, side)
        put(f"{name}_eye_outer", up[0], 3.0)
        put(f"{name}_eye_inner", up[-1], 3.0)
        put(f"{name}_eye_top", up[len(up) // 2], 3.0)
        put(f"{name}_eye_bottom", low[len(low) // 2], 3.0)
        put(f"{name}_eye_centre", eye_centre(shape, side), 3.0)
        put(f"{name}_nose_wing", (CENTRE + side * 0.92 * shape.nose_width, base - 11.0), 8.0)
        put(f"{name}_mouth_corner", lips.top[0 if side < 0 else -1], 6.0)
        quarter = count // 4 if side < 0 else count - 1 - count // 4
        put(f"{name}_upper_lip_side", lips.top[quarter], 6.0)
        put(f"{name}_lower_lip_side", lips.bottom[quarter], 6.0)
        put(f"{name}_cheek", (CENTRE + side * half[5, 0], half[5, 1]))
        put(f"{name}_jaw", (CENTRE + side * half[7, 0], half[7, 1]))
    put("nose_bridge", (CENTRE, EYE_LINE + 4.0), 6.0)
    tip = pose.on_nose(np.array([(CENTRE, base - 16.0)]))
    found["nose_tip"] = tip[0]
    put("nose_base", (CENTRE, base), 4.0)
    put("upper_lip_top", lips.top[count // 2], 6.0)
    put("upper_lip_bottom", lips.inner_top[count // 2], 4.0)
    put("lower_lip_top", lips.inner_bottom[count // 2], 4.0)
    put("lower_lip_bottom", lips.bottom[count // 2], 6.0)
    put("chin", (CENTRE, half[-1, 1]))
    return np.stack([found[name] for name in LANDMARK_NAMES])
