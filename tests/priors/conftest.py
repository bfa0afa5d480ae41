"""A few embedded faces and one small fit, shared by the tests of the priors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from data.synthetic import render_face
from priors.fitted import FittedPriors, fit

FACES, SIDE = 32, 128


@dataclass(frozen=True)
class Faces:
    """A face source in memory."""

    images: np.ndarray
    fingerprint: str = "0123456789abcdef"

    @property
    def names(self) -> list[str]:
        return [f"face-{i}" for i in range(len(self.images))]

    @property
    def side(self) -> int:
        return int(self.images.shape[1])

    def __len__(self) -> int:
        return len(self.images)

    def image(self, i: int) -> np.ndarray:
        return self.images[i].copy()

    def renamed(self, fingerprint: str) -> Faces:
        return replace(self, fingerprint=fingerprint)


@pytest.fixture(scope="session")
def faces() -> Faces:
    """32 embedded faces of 128 px."""
    return Faces(np.stack([render_face(i, SIDE).image for i in range(FACES)]))


@pytest.fixture(scope="session")
def fitted(faces: Faces) -> FittedPriors:
    """All priors of these faces for a student at 64 px, hardly trained."""
    return fit(faces, size=64, student_steps=2)
