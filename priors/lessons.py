"""What the student is shown: LQ faces and what the teachers say of their HQ.

Every lesson is a pure function of (seed, step): which faces, at which HQ side, mirrored or not and
how degraded. Targets always come from the HQ. The faces of a lesson (an `Exercise`) are made by any
number of processes; what the teachers say is asked once per face (`priors.answers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from data.degradation import PRESETS, degrade
from data.sampling import sample_rng
from data.sources import FaceSource
from models.student import student_input
from priors.answers import AnswerBook, Teachers, ask_all

STREAM = 71
"""Random stream of the lessons, apart from those of training and validation."""
BATCH = 4
OFTEN = 8
"""Draws per face from which on all faces are asked about."""
EVERY_KIND = "mixed"
"""Degradation that draws one of the presets for each sample."""


@dataclass(frozen=True)
class Draw:
    """The choices about one face of a lesson, and the generator for its degradation."""

    face: int
    side: int
    """HQ side at which it is seen."""
    flip: bool
    kind: str
    """Degradation preset."""
    rng: np.random.Generator = field(compare=False)


@dataclass(frozen=True)
class Exercise:
    """The faces of one lesson, without answers."""

    lqs: list[np.ndarray]
    """LQ (h, h, 3) uint8 RGB, each of its own size."""
    faces: list[int]
    flips: list[bool]


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
    swap: Tensor | None
    """(26,) mirror partner of each point."""


class Lessons:
    """Batches for the student, by step."""

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

    def __call__(self, step: int) -> Lesson:
        """The lesson of a step, its teachers asked for it alone."""
        exercise = self.maker()(step)
        return lesson_of(exercise, self.answers(step, step + 1), self.size)

    def maker(self) -> ExerciseMaker:
        """What makes the exercise of any step, in this or another process."""
        return ExerciseMaker(
            self.source,
            self.seed,
            self.kinds,
            self.scale,
            self.geometries,
            self.batch,
            self.stream,
        )

    def answers(self, start: int, stop: int, workers: int = 0) -> AnswerBook:
        """What the teachers say of every face of the lessons `start` to `stop - 1`.

        Of all faces, where so many are drawn that hardly one is left out.
        """
        maker, count = self.maker(), len(self.source)
        faces = set(range(count))
        if (stop - start) * self.batch < OFTEN * count:
            faces = {draw.face for step in range(start, stop) for draw in maker.draws(step)}
        return ask_all(self.teachers, self.source, sorted(faces), self.size, workers)


@dataclass(frozen=True)
class ExerciseMaker:
    """Makes the exercise of a step, the same for every call, process and machine."""

    source: FaceSource
    seed: int
    kinds: tuple[str, ...]
    scale: int
    geometries: tuple[int, ...]
    batch: int
    stream: int

    def draws(self, step: int) -> list[Draw]:
        """The choices about each face of a step."""
        made = []
        for i in range(self.batch):
            rng = sample_rng(self.seed, step, i, self.stream)
            face, side = int(rng.integers(len(self.source))), int(rng.choice(self.geometries))
            flip, kind = bool(rng.integers(2)), str(rng.choice(self.kinds))
            made.append(Draw(face, side, flip, kind, rng))
        return made

    def __call__(self, step: int) -> Exercise:
        """The degraded faces of a step."""
        lqs, drawn = [], self.draws(step)
        for draw in drawn:
            hq = self.source.image(draw.face)
            hq = at_side(hq[:, ::-1] if draw.flip else hq, draw.side)
            lqs.append(degrade(hq, draw.rng, draw.kind, self.scale))
        return Exercise(lqs, [draw.face for draw in drawn], [draw.flip for draw in drawn])


def lesson_of(exercise: Exercise, book: AnswerBook, size: int) -> Lesson:
    """The exercise with its answers, on the book's device."""
    said = book.of(exercise.faces, exercise.flips)
    return Lesson(
        lq=as_inputs(exercise.lqs, size, book.device),
        parse=None if said.parse is None else said.parse.float() / 255,
        points=said.points,
        codes=None if said.codes is None else said.codes.long(),
        swap=book.swap,
    )


def at_side(image: np.ndarray, side: int) -> np.ndarray:
    """Image (S, S, 3) uint8 at another side, by area averaging."""
    if image.shape[0] == side:
        return np.ascontiguousarray(image)
    shrunk = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)
    return shrunk


def as_input(lq: np.ndarray, size: int) -> Tensor:
    """LQ (h, w, 3) uint8 RGB -> what the student sees, (1, 3, size, size) in [0, 1]."""
    return as_inputs([lq], size)


def as_inputs(lqs: Sequence[np.ndarray], size: int, device: torch.device | str = "cpu") -> Tensor:
    """LQ (h, w, 3) uint8 RGB of any sizes -> what the student sees, (B, 3, size, size)."""
    out = torch.empty(len(lqs), 3, size, size, device=device)
    for shape in sorted({lq.shape for lq in lqs}):
        places = [i for i, lq in enumerate(lqs) if lq.shape == shape]
        alike = torch.from_numpy(np.stack([lqs[i] for i in places])).to(device)
        faces = alike.permute(0, 3, 1, 2).float() / 255
        out[torch.tensor(places, device=out.device)] = student_input(faces, size)
    return out
