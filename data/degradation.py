"""HQ faces to LQ faces: the two published presets, and plain reduction, as pure functions."""

from __future__ import annotations

import cv2
import numpy as np

from data.clean import CLEAN, Clean
from data.first_order import FirstOrder
from data.second_order import SecondOrder

Preset = FirstOrder | SecondOrder | Clean

PRESETS: dict[str, Preset] = {"first-order": FirstOrder(), "second-order": SecondOrder()}

DEGRADATIONS: dict[str, Preset] = {"second-order": PRESETS["second-order"], **PRESETS, **CLEAN}
"""Everything that a name can ask for; the default first."""

REFERENCE_SIDE = 512


def degrade(
    hq: np.ndarray, rng: np.random.Generator, preset: str | Preset, scale: int = 4
) -> np.ndarray:
    """Random LQ of a whole HQ face: uint8 RGB (H/scale, W/scale, 3) from uint8 RGB (H,W,3).

    Every choice comes from `rng` and from nowhere else, so equal arguments give equal images.
    `preset` is a name in `DEGRADATIONS` or a degradation of its own numbers; `scale` is 1, 2, 4
    or 8 and must divide both sides.

    The presets are written for faces of 512 pixels. With f = shorter side / 512, blur sigmas and
    kernel sizes are multiplied by f and sinc cutoffs divided by f, so that a face of 128 loses the
    same features of a face as one of 512 does. A cutoff of pi or more then filters nothing.
    Resize factors are relative anyway; noise and JPEG work on pixels and stay as they are.

    Raises ValueError on an unknown preset, or an image of another type or of sides that `scale`
    does not divide.
    """
    if isinstance(preset, str):
        if preset not in DEGRADATIONS:
            raise ValueError(f"degradation {preset!r} is not one of {', '.join(DEGRADATIONS)}")
        preset = DEGRADATIONS[preset]
    if hq.dtype != np.uint8 or hq.ndim != 3 or hq.shape[2] != 3:
        raise ValueError(f"HQ must be uint8 (H,W,3), got {hq.dtype} {hq.shape}")
    if scale < 1 or hq.shape[0] % scale or hq.shape[1] % scale or not hq.size:
        raise ValueError(f"HQ of {hq.shape[1]}x{hq.shape[0]} cannot be divided by {scale}")
    spatial = min(hq.shape[:2]) / REFERENCE_SIDE
    bgr = cv2.cvtColor(hq, cv2.COLOR_RGB2BGR)
    lq = preset(bgr, rng, scale=scale, spatial=spatial)
    return cv2.cvtColor(lq, cv2.COLOR_BGR2RGB)
