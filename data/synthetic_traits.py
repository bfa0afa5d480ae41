"""What one synthetic person looks like: every random choice, drawn from the index alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

HAIR_STYLES = ("bald", "buzz", "short", "swept", "fringe", "long", "wavy", "curly", "tied")
HATS = ("none", "beanie", "cap", "brim", "scarf")

_SKINS = (
    ((0.97, 0.83, 0.75), 3.0),
    ((0.93, 0.76, 0.65), 4.0),
    ((0.88, 0.69, 0.55), 3.0),
    ((0.79, 0.59, 0.44), 2.5),
    ((0.64, 0.45, 0.33), 2.0),
    ((0.47, 0.32, 0.24), 2.0),
    ((0.34, 0.23, 0.18), 1.0),
)
_HAIRS = (
    ((0.07, 0.06, 0.06), 4.0),
    ((0.17, 0.11, 0.08), 4.0),
    ((0.31, 0.20, 0.12), 3.0),
    ((0.50, 0.34, 0.20), 2.0),
    ((0.74, 0.57, 0.35), 2.0),
    ((0.55, 0.24, 0.11), 1.0),
    ((0.62, 0.60, 0.58), 1.5),
    ((0.70, 0.20, 0.38), 0.2),
)
_IRISES = (
    ((0.24, 0.14, 0.08), 5.0),
    ((0.38, 0.24, 0.12), 3.0),
    ((0.36, 0.46, 0.30), 1.5),
    ((0.33, 0.47, 0.62), 2.0),
    ((0.45, 0.50, 0.54), 1.0),
)


@dataclass(frozen=True)
class Shape:
    """Proportions in units (512 = the image's width) unless said otherwise."""

    yaw: float
    """Radians, positive turns the face to the right of the image; within +-15 degrees."""
    pitch: float
    roll: float
    shift: tuple[float, float]
    """What an imperfect alignment leaves: a displacement of the whole face."""
    zoom: float
    width: float
    """Factor on the face's width."""
    jaw: float
    chin: float
    eye_gap: float
    eye_drop: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    brow_lift: float
    brow_thick: float
    brow_arch: float
    nose_width: float
    nose_length: float
    mouth_width: float
    mouth_drop: float
    lip_upper: float
    lip_lower: float
    smile: float
    opening: float
    ear: float


@dataclass(frozen=True)
class Look:
    """Colours RGB in [0, 1] and what the person wears."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    cloth: np.ndarray
    hat_colour: np.ndarray
    frame: np.ndarray
    feminine: bool
    age: float
    """0 young to 1 old: wrinkles, grey hair, thinner lips."""
    makeup: float
    freckles: float
    beard: str
    """none, stubble, goatee or full."""
    style: str
    hat: str
    glasses: str
    """none, round, square, wide or sun."""
    collar: str
    fabric: str
    backdrop: str
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Light:
    """One key light and the sky; directions in camera axes (x right, y down, z to the viewer)."""

    direction: np.ndarray
    key: np.ndarray
    ambient: np.ndarray
    gloss: float


def stream(index: int, part: int) -> np.random.Generator:
    """The generator of one part of one face: parts can change without moving each other."""
    return np.random.default_rng(np.random.SeedSequence((20240, part, index)))


def _pick(rng: np.random.Generator, table: tuple[tuple[object, float], ...]) -> object:
    weights = np.array([weight for _, weight in table])
    return table[int(rng.choice(len(table), p=weights / weights.sum()))][0]


def _colour(rng: np.random.Generator, low: float = 0.06, high: float = 0.9) -> np.ndarray:
    """A colour of random hue and value with a moderate saturation, float32 (3,)."""
    value, saturation = rng.uniform(low, high), rng.uniform(0.0, 0.75) ** 1.3
    hue = rng.uniform(0.0, 6.0) + np.array([0.0, 4.0, 2.0])
    ramp = np.clip(np.abs(hue % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return (value * (1.0 - saturation + saturation * ramp)).astype(np.float32)


def draw_shape(index: int) -> Shape:
    """The proportions and the pose of face `index`."""
    rng = stream(index, 1)

    def near(mean: float, deviation: float, limit: float = 2.2) -> float:
        return mean + deviation * float(np.clip(rng.standard_normal(), -limit, limit))

    smile = float(rng.uniform(-3.0, 13.0))
    wide = rng.random() < 0.42
    return Shape(
        yaw=math.radians(min(15.0, max(-15.0, near(0.0, 7.5)))),
        pitch=math.radians(near(0.0, 3.5)),
        roll=math.radians(near(0.0, 1.0)),
        shift=(near(0.0, 1.5), near(0.0, 1.5)),
        zoom=near(1.0, 0.008),
        width=near(1.0, 0.035),
        jaw=near(1.0, 0.065),
        chin=near(0.0, 7.0),
        eye_gap=near(62.0, 1.8),
        eye_drop=near(0.0, 2.0),
        eye_width=near(28.0, 1.6),
        eye_open=max(9.0, near(12.0, 1.7) - 0.12 * smile),
        eye_tilt=near(1.5, 1.6),
        brow_lift=near(33.0, 3.5),
        brow_thick=near(9.0, 1.8),
        brow_arch=near(6.0, 2.5),
        nose_width=near(28.0, 3.4),
        nose_length=near(0.0, 5.0),
        mouth_width=near(47.0, 3.6) + 0.7 * max(0.0, smile),
        mouth_drop=near(0.0, 4.0),
        lip_upper=near(10.0, 2.2),
        lip_lower=near(15.0, 2.8),
        smile=smile,
        opening=float(rng.uniform(6.0, 24.0)) if wide else 0.0,
        ear=near(1.0, 0.1),
    )


def _head(rng: np.random.Generator, feminine: bool, age: float) -> tuple[str, str, str]:
    """Hair style, hat and beard that go together."""
    shares = (0.0, 0.01, 0.07, 0.07, 0.2, 0.28, 0.2, 0.08, 0.09)
    if not feminine:
        shares = (0.09, 0.14, 0.34, 0.26, 0.04, 0.02, 0.02, 0.09, 0.0)
    style = str(rng.choice(HAIR_STYLES, p=shares))
    hat = str(rng.choice(HATS, p=(0.86, 0.05, 0.03, 0.03, 0.03)))
    if hat == "scarf" and not feminine:
        hat = "beanie"
    if hat != "none" and style in ("curly", "tied", "fringe"):
        style = "short" if not feminine else "long"
    beard = "none"
    if not feminine and age > 0.12:
        beard = str(rng.choice(("none", "stubble", "goatee", "full"), p=(0.5, 0.2, 0.12, 0.18)))
    return style, hat, beard


def draw_look(index: int) -> Look:
    """The colours and the attributes of face `index`."""
    rng = stream(index, 2)
    feminine = bool(rng.random() < 0.52)
    age = float(rng.beta(1.6, 2.2))
    skin = np.array(_pick(rng, _SKINS), np.float32) * rng.uniform(0.94, 1.04)
    skin *= 1.0 + rng.normal(0.0, 0.012, 3)
    dark = float(skin.mean()) < 0.5
    hair = np.array(_pick(rng, _HAIRS[:3] if dark else _HAIRS), np.float32)
    grey = max(0.0, age - 0.55) * 2.0 * float(rng.random())
    hair = hair * (1.0 - grey) + np.float32(0.66) * grey
    makeup = float(rng.uniform(0.0, 1.0)) if feminine and age > 0.15 else 0.0
    natural = skin * np.array((0.86, 0.60, 0.60))
    painted = np.array((0.72, 0.16, 0.22)) * rng.uniform(0.6, 1.15)
    lips = natural + (painted - natural) * (makeup * 0.75)
    style, hat, beard = _head(rng, feminine, age)
    glasses = "none"
    if rng.random() < 0.2:
        glasses = str(rng.choice(("round", "square", "wide", "sun"), p=(0.3, 0.4, 0.22, 0.08)))
    return Look(
        skin=skin.astype(np.float32),
        hair=hair.astype(np.float32),
        iris=np.array(_pick(rng, _IRISES[:2] if dark else _IRISES), np.float32),
        lips=lips.astype(np.float32),
        cloth=_colour(rng),
        hat_colour=_colour(rng, 0.08, 0.75),
        frame=_colour(rng, 0.03, 0.3) * rng.choice((0.4, 1.0, 2.0)),
        feminine=feminine,
        age=age,
        makeup=makeup,
        freckles=float(rng.random() ** 4) if not dark else 0.0,
        beard=beard,
        style=style,
        hat=hat,
        glasses=glasses,
        collar=str(rng.choice(("crew", "vee", "shirt", "high"))),
        fabric=str(rng.choice(("plain", "knit", "stripes", "plaid", "denim"))),
        backdrop=str(rng.choice(("studio", "bokeh", "leaves", "wall", "room"))),
        gaze=(float(rng.normal(0.0, 1.6)), float(rng.normal(0.0, 0.8))),
    )


def draw_light(index: int) -> Light:
    """The illumination of face `index`."""
    rng = stream(index, 3)
    azimuth, height = np.radians(rng.uniform(-62.0, 62.0)), np.radians(rng.uniform(5.0, 48.0))
    direction = np.array(
        (np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height))
    )
    warmth = float(rng.normal(0.0, 0.06))
    strength = float(rng.uniform(0.55, 1.0))
    tint = np.array((1.0 + warmth, 1.0, 1.0 - warmth))
    level = float(rng.uniform(0.92, 1.12))
    return Light(
        direction=direction,
        key=strength * tint * level,
        ambient=(1.04 - 0.6 * strength) * (2.0 - tint) * level,
        gloss=float(rng.uniform(0.05, 0.17)),
    )
