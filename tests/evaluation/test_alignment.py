"""The check for aligned faces, on faces whose alignment is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.folders import list_images, read_rgb
from data.synthetic import render_face
from evaluation.alignment import ALIGNED, alignment
from evaluation.metrics import Image


def turned(picture: Image, degrees: float, dx: float = 0.0, dy: float = 0.0) -> Image:
    """Turned about the centre and moved by shares of the side."""
    side = picture.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    matrix[:, 2] += (dx * side, dy * side)
    moved = cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.uint8)


def share_aligned(pictures: list[Image]) -> float:
    return float(np.mean([alignment(picture) >= ALIGNED for picture in pictures]))


def test_synthetic_faces_pass_upright_and_fail_turned() -> None:
    faces = [render_face(i, 64).image for i in range(40)]
    assert share_aligned(faces) >= 0.8
    for degrees in (45, 180):
        assert share_aligned([turned(face, degrees) for face in faces]) <= 0.05
    assert alignment(np.full((64, 64, 3), 90, np.uint8)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.real
def test_real_lq_are_seldom_doubted(faces_root: Path) -> None:
    faces = [read_rgb(path) for path in list_images(faces_root / "test" / "LQ")]
    assert share_aligned(faces) >= 0.95
    assert share_aligned([turned(face, 45) for face in faces]) <= 0.02
    assert share_aligned([turned(face, 90) for face in faces]) <= 0.1
    assert share_aligned([turned(face, 0, dy=0.16) for face in faces]) <= 0.1
