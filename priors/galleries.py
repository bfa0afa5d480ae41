"""Pictures for the eye: regions and points over faces, what a code looks like, a sweep of LQ."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from data.degradation import degrade
from data.sampling import sample_rng
from priors.dictionary import WIDTH, high_patches
from priors.lessons import as_input
from priors.pictures import CELL, draw_parse, draw_points_on, fit_cell, title_bar
from priors.record import FittedPriors

OPACITY = 0.55
"""Of the regions over a face."""
SHOWN_CODES, NEIGHBOURS = 10, 9
PATCH_CELL = 48
SWEEP = ("bicubic", "first-order", "first-order", "second-order", "second-order")


def faces_sheet(fitted: FittedPriors, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Regions and points laid over faces: the teachers' on the HQ, the student's on the LQ."""
    kinds = [kind for kind in ("parse", "heat") if getattr(fitted.teachers, kind) is not None]
    columns = ["HQ", *(f"{k} from HQ" for k in kinds), "LQ", *(f"{k} from LQ" for k in kinds)]
    rows = [title_bar(columns)]
    for lq, hq in pairs:
        cells = []
        for face, maps in ((hq, fitted.targets(hq)), (lq, said(fitted, lq))):
            cells.append(fit_cell(face))
            cells += [over(kind, maps[kind], face) for kind in kinds]
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def said(fitted: FittedPriors, lq: np.ndarray) -> dict[str, np.ndarray]:
    """The student's maps (C,S,S) of one LQ face (h,w,3) uint8 RGB."""
    with torch.no_grad():
        told = fitted.student(as_input(lq, fitted.info.size))
    return {prior: maps[0].numpy() for prior, maps in told.items()}


def over(kind: str, maps: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Maps (C,S,S) laid over a face, (CELL,CELL,3)."""
    if kind == "heat":
        return fit_cell(draw_points_on(maps, face))
    colours = fit_cell(draw_parse(maps)).astype(np.float32)
    mixed = OPACITY * colours + (1 - OPACITY) * fit_cell(face)
    return np.rint(mixed).astype(np.uint8)


def sweep_sheet(fitted: FittedPriors, hq: np.ndarray, scale: int, seed: int) -> np.ndarray:
    """One HQ face under stronger and stronger degradation, and the student's maps of each LQ."""
    kinds = [kind for kind in ("parse", "heat") if getattr(fitted.teachers, kind) is not None]
    rows = [title_bar(["degradation", *kinds])]
    for number, kind in enumerate(SWEEP):
        lq = degrade(hq, sample_rng(seed, number, 0), kind, scale)
        maps = said(fitted, lq)
        cells = [fit_cell(lq), *(over(k, maps[k], lq) for k in kinds)]
        cv2.putText(cells[0], kind, (4, CELL - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1)
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def codes_sheet(fitted: FittedPriors, hqs: Sequence[np.ndarray]) -> np.ndarray:
    """A row per code, the most used ones: the mean of its patches, then those nearest to it."""
    codes = fitted.teachers.dict
    assert codes is not None
    grid = fitted.info.size // 2
    patches = np.concatenate([high_patches(hq, grid).reshape(grid * grid, -1) for hq in hqs])
    vectors = codes.vectors(np.stack(hqs), fitted.info.size).reshape(len(patches), -1)
    ids = codes.ids(np.stack(hqs), fitted.info.size).ravel()
    used = np.bincount(ids, minlength=len(codes.codebook)).argsort()[::-1][:SHOWN_CODES]
    rows = []
    for code in used:
        distance = ((vectors - codes.codebook[code]) ** 2).sum(1)
        nearest = distance.argsort()[:NEIGHBOURS]
        own = patches[ids == code].mean(0)
        rows.append(np.concatenate([_patch(own), *(_patch(patches[i]) for i in nearest)], axis=1))
    return np.concatenate(rows, axis=0)


def _patch(values: np.ndarray) -> np.ndarray:
    """A high-frequency patch (WIDTH * WIDTH,) around grey, contrast stretched, with a border."""
    square = values.reshape(WIDTH, WIDTH) / max(float(np.abs(values).max()), 1e-6)
    grey = (127.5 * (1 + square)).astype(np.uint8)
    large = cv2.resize(grey, (PATCH_CELL - 2,) * 2, interpolation=cv2.INTER_NEAREST)
    return np.repeat(np.pad(large, 1, constant_values=255)[..., None], 3, axis=2)
