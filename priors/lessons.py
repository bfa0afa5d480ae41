"""What the student is shown: LQ faces and what the teachers say of their HQ.

Every lesson is a pure function of (seed, step): which faces, at which HQ side, mirrored or not and
how degraded. Targets always come from the HQ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from data.degradation import PRESETS, degrade
from data.sampling import sample_rng
from data.sources import FaceSource
from models.student import student_input
from priors.dictionary import PatchCodes
from priors.heat import PointModel
from priors.parse import ParseAtlas

STREAM = 71
"""Random stream of the lessons, apart from those of training and validation."""
BATCH = 4
EVERY_KIND = "mixed"
"""Degradation that draws one of the presets for each sample."""


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """The fitted teachers, None where a prior was not asked for."""

    parse: ParseAtlas | None = None
    heat: PointModel | None = None
    dict: PatchCodes | None = None

    @property
    def priors(self) -> tuple[str, ...]:
        """Names of the teachers that are there."""
        return tuple(p for p in ("parse", "heat", "dict") if getattr(self, p) is not None)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One batch: LQ (B,3,S,S) and the targets of the asked priors."""

    lq: Tensor
    parse: Tensor | None
    """(B, 12, S/2, S/2) class probabilities."""
    points: Tensor | None
    """(B, 26, 2) shares of the side."""
    codes: Tensor | None
    """(B, S/2, S/2) code ids."""


class Lessons:
    """Batches for the student, by step; parse and points of each face are computed once."""

    def __init__(
        self,
        source: FaceSource,
        teachers: Teachers,
        *,
        size: int,
        seed: int,
        degradation: str = EVERY_KIND,
        scale: int = 4,
        geometries: Sequence[int],
        batch: int = BATCH,
        stream: int = STREAM,
    ) -> None:
        self.source, self.teachers, self.size, self.seed = source, teachers, size, seed
        self.kinds = tuple(PRESETS) if degradation == EVERY_KIND else (degradation,)
        self.scale, self.geometries, self.batch = scale, tuple(geometries), batch
        self.stream = stream
        self._asked: dict[int, Answer] = {}

    def __call__(self, step: int) -> Lesson:
        """The lesson of a step, the same for every call and machine."""
        lqs, answers = [], []
        for i in range(self.batch):
            rng = sample_rng(self.seed, step, i, self.stream)
            face, side = int(rng.integers(len(self.source))), int(rng.choice(self.geometries))
            flip, kind = bool(rng.integers(2)), str(rng.choice(self.kinds))
            hq = self.source.image(face)
            if face not in self._asked:
                self._asked[face] = ask(self.teachers, hq, self.size)
            answers.append(self._asked[face].mirrored() if flip else self._asked[face])
            hq = at_side(hq[:, ::-1] if flip else hq, side)
            lqs.append(as_input(degrade(hq, rng, kind, self.scale), self.size))
        parse, points, codes = (
            torch.from_numpy(np.stack([getattr(a, name) for a in answers]))
            for name in ("parse", "points", "codes")
        )
        return Lesson(
            lq=torch.cat(lqs),
            parse=parse.float() / 255 if self.teachers.parse else None,
            points=points if self.teachers.heat else None,
            codes=codes[:, 0] if self.teachers.dict else None,
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the teachers say of one HQ face; empty arrays where there is no teacher."""

    parse: np.ndarray
    """(K, S/2, S/2) uint8: class probabilities x 255."""
    points: np.ndarray
    """(N, 2) shares of the side."""
    swap: np.ndarray
    """(N,) mirror partner of each point."""
    codes: np.ndarray
    """(2, S/2, S/2) code ids of the face and of its mirror image."""

    def mirrored(self) -> Answer:
        """What they say of the mirror image; the atlas' classes are symmetric."""
        points = self.points[self.swap].copy()
        points[:, :1] = 1 - points[:, :1]
        return Answer(
            parse=self.parse[..., ::-1].copy(),
            points=points,
            swap=self.swap,
            codes=self.codes[::-1].copy(),
        )


def ask(teachers: Teachers, hq: np.ndarray, size: int) -> Answer:
    """The teachers' answer to one HQ face (S, S, 3) uint8 RGB, for a student at `size`."""
    both = np.stack([hq, hq[:, ::-1]])
    parse, points, codes = np.empty((0, 1, 1), np.uint8), np.empty((0, 2), np.float32), None
    if teachers.parse is not None:
        parse = np.rint(255 * teachers.parse.maps(both[:1], size // 2)[0]).astype(np.uint8)
    if teachers.heat is not None:
        points = teachers.heat.points(both[:1])[0]
    if teachers.dict is not None:
        codes = teachers.dict.ids(both, size)
    return Answer(
        parse=parse,
        points=points,
        swap=teachers.heat.swap if teachers.heat else np.empty(0, int),
        codes=np.zeros((2, 1, 1), int) if codes is None else codes,
    )


def at_side(image: np.ndarray, side: int) -> np.ndarray:
    """Image (S, S, 3) uint8 at another side, by area averaging."""
    if image.shape[0] == side:
        return np.ascontiguousarray(image)
    shrunk = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)
    return shrunk


def as_input(lq: np.ndarray, size: int) -> Tensor:
    """LQ (h, w, 3) uint8 RGB -> what the student sees, (1, 3, size, size) in [0, 1]."""
    face = torch.from_numpy(lq).permute(2, 0, 1)[None].float() / 255
    return student_input(face, size)
