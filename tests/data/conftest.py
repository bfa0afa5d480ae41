"""Small folders of made-up faces for the tests of data/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

MakeFolder = Callable[..., Path]


def smooth_face(seed: int, side: int = 64) -> np.ndarray:
    """Return a smooth, asymmetric RGB uint8 image `(side,side,3)`, another for every seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(5, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that writes `count` faces of `side` px as PNG and returns their folder."""

    def make(name: str, count: int, side: int = 64, first: int = 0) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(root / f"{i:03d}.png"), smooth_face(first + i, side)[..., ::-1])
        return root

    return make
