"""A picture of priors: one face a row, each prior from the HQ beside the same from the LQ."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from priors.lessons import as_input
from priors.record import FittedPriors

CELL = 160
BAR = 22


def prior_sheet(fitted: FittedPriors, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Picture uint8 RGB of (LQ, HQ) pairs: teachers on the HQ beside the student on the LQ."""
    columns = ["HQ", "LQ"]
    columns += [f"{p} from {q}" for q in ("HQ", "LQ") for p in fitted.info.priors]
    rows = [title_bar(columns)]
    for lq, hq in pairs:
        with torch.no_grad():
            said = fitted.student(as_input(lq, fitted.info.size))
        student = {p: maps[0].numpy() for p, maps in said.items()}
        cells = [hq, cv2.resize(lq, (CELL, CELL), interpolation=cv2.INTER_NEAREST)]
        for maps, face in ((fitted.targets(hq), hq), (student, lq)):
            cells += [draw(prior, maps[prior], face) for prior in fitted.info.priors]
        rows.append(np.concatenate([fit_cell(cell) for cell in cells], axis=1))
    return np.concatenate(rows, axis=0)


def title_bar(columns: Sequence[str]) -> np.ndarray:
    """White strip (BAR, CELL x columns, 3) with the columns' names."""
    bar = np.full((BAR, CELL * len(columns), 3), 255, np.uint8)
    for i, text in enumerate(columns):
        at = (i * CELL + 4, BAR - 7)
        cv2.putText(bar, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def fit_cell(image: np.ndarray) -> np.ndarray:
    """Image (h, w, 3) uint8 at CELL x CELL."""
    shrinks = image.shape[0] > CELL
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (CELL, CELL), interpolation=method)


def draw(prior: str, maps: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Maps (C, S, S) of a prior as an RGB picture, heat on top of the grey face."""
    if prior == "parse":
        return draw_parse(maps)
    if prior == "heat":
        return draw_points_on(maps, face)
    return draw_codes(maps)


def palette(count: int) -> np.ndarray:
    """Colours (count, 3) in [0, 1] that differ between neighbours."""
    rows = [
        colorsys.hsv_to_rgb(k * 5 % count / count, 0.55 + 0.35 * (k % 2), 0.65 + 0.3 * (k % 3) / 2)
        for k in range(count)
    ]
    return np.array(rows, np.float32)


def draw_parse(maps: np.ndarray) -> np.ndarray:
    """Class probabilities (K, S, S) as a mix of the classes' colours."""
    mixed = np.einsum("kij,kc->ijc", maps, palette(len(maps)))
    return (255 * mixed.clip(0, 1)).astype(np.uint8)


def draw_points_on(maps: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Heat maps (N, S, S) in green over the darkened grey face (S', S', 3)."""
    size = maps.shape[-1]
    grey = cv2.cvtColor(cv2.resize(face, (size, size)), cv2.COLOR_RGB2GRAY) / 2
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[..., 1] = np.maximum(picture[..., 1], 255 * maps.max(0))
    return picture.astype(np.uint8)


def draw_codes(maps: np.ndarray) -> np.ndarray:
    """Codes (D + 1, S, S): the first three components as RGB around grey."""
    return (255 * (0.5 + maps[:3].transpose(1, 2, 0) / 6).clip(0, 1)).astype(np.uint8)
