"""A sheet of faces for the eye: LQ, bicubic, restored and HQ side by side, one face a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from evaluation.metrics import Image

COLUMNS = ("LQ", "bicubic", "restored", "HQ")
BAR = 28
"""Height of the bar of text above each row, px."""
SMALLEST = 256
"""Smaller faces are enlarged by a whole factor up to about this side, pixels kept visible."""


@dataclass(frozen=True)
class Row:
    """One face; all images uint8 RGB, all of the HQ's size but the LQ. None: not known."""

    label: str
    lq: Image | None
    bicubic: Image | None
    restored: Image
    hq: Image | None


def sheet(rows: Sequence[Row], across: int = 1) -> Image:
    """One picture uint8 RGB of all rows; LQ with bicubic, and HQ, stay out where a row has none.

    across: how many faces stand side by side. Raises `ValueError` without rows.
    """
    if not rows:
        raise ValueError("a sheet needs at least one face")
    side = max(max(row.restored.shape[:2]) for row in rows)
    factor = max(1, round(SMALLEST / side))
    with_lq = all(row.lq is not None and row.bicubic is not None for row in rows)
    with_hq = all(row.hq is not None for row in rows)
    drawn = [_row(row, side, factor, with_lq, with_hq) for row in rows]
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % across)
    lines = [np.concatenate(drawn[i : i + across], axis=1) for i in range(0, len(drawn), across)]
    return np.concatenate(lines, axis=0)


def _row(row: Row, side: int, factor: int, with_lq: bool, with_hq: bool) -> Image:
    """Bar of text, then the images; height `BAR + side * factor`."""
    images = (row.lq, row.bicubic, row.restored, row.hq)
    wanted = (with_lq, with_lq, True, with_hq)
    shown = [
        (column, image)
        for column, image, want in zip(COLUMNS, images, wanted, strict=True)
        if want and image is not None
    ]
    columns = [column for column, _ in shown]
    cells = [_cell(image, side, factor) for _, image in shown]
    strip = np.concatenate(cells, axis=1)
    bar = np.full((BAR, strip.shape[1], 3), 255, np.uint8)
    for number, column in enumerate(columns):
        text = column if number else f"{row.label}   {column}"
        at = (number * side * factor + 6, BAR - 8)
        cv2.putText(bar, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, strip], axis=0)


def _cell(image: Image, side: int, factor: int) -> Image:
    """The image with hard pixels on a white square of `side * factor` px."""
    enlarge = max(1, side // max(image.shape[:2])) * factor
    grown = np.repeat(np.repeat(image, enlarge, axis=0), enlarge, axis=1)
    cell = np.full((side * factor, side * factor, 3), 255, np.uint8)
    cell[: grown.shape[0], : grown.shape[1]] = grown[: side * factor, : side * factor]
    return cell
