"""Distillation: the student learns from LQ faces what the teachers say of their HQ.

Every batch is a pure function of (seed, step): which faces, at which HQ side, mirrored or not and
how degraded. Targets always come from the HQ.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.degradation import PRESETS, degrade
from data.sampling import sample_rng
from data.sources import FaceSource
from models.student import Student, student_input
from priors.dictionary import PatchCodes
from priors.heat import PointModel
from priors.parse import ParseAtlas

LOG = logging.getLogger(__name__)

STREAM = 71
"""Random stream of the lessons, apart from those of training and validation."""
BATCH = 4
RATE, WARMUP = 5e-3, 20
POINT_PIXELS = 128.0
"""Point errors are measured in pixels at this side."""
SMOOTHING = 0.1
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
    """(B, 12, S, S) class probabilities."""
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
        self._parse: dict[int, np.ndarray] = {}
        self._points: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> Lesson:
        """The lesson of a step, the same for every call and machine."""
        lqs, parses, points, codes = [], [], [], []
        for i in range(self.batch):
            rng = sample_rng(self.seed, step, i, self.stream)
            face, side = int(rng.integers(len(self.source))), int(rng.choice(self.geometries))
            flip, kind = bool(rng.integers(2)), str(rng.choice(self.kinds))
            hq = at_side(self.source.image(face), side)
            parses.append(self._parse_of(face, hq, flip))
            points.append(self._points_of(face, hq, flip))
            hq = np.ascontiguousarray(hq[:, ::-1]) if flip else hq
            if self.teachers.dict is not None:
                codes.append(self.teachers.dict.ids(hq[None], self.size)[0])
            lqs.append(as_input(degrade(hq, rng, kind, self.scale), self.size))
        return Lesson(
            lq=torch.cat(lqs),
            parse=torch.from_numpy(np.stack(parses)) if self.teachers.parse else None,
            points=torch.from_numpy(np.stack(points)) if self.teachers.heat else None,
            codes=torch.from_numpy(np.stack(codes)) if self.teachers.dict else None,
        )

    def _parse_of(self, face: int, hq: np.ndarray, flip: bool) -> np.ndarray:
        if self.teachers.parse is None:
            return np.empty(0)
        if face not in self._parse:
            maps = self.teachers.parse.maps(hq[None], self.size)[0]
            self._parse[face] = np.rint(maps * 255).astype(np.uint8)
        maps = self._parse[face].astype(np.float32) / 255
        return (
            np.ascontiguousarray(maps[..., ::-1]) if flip else maps
        )  # atlas classes are symmetric

    def _points_of(self, face: int, hq: np.ndarray, flip: bool) -> np.ndarray:
        if self.teachers.heat is None:
            return np.empty(0)
        if face not in self._points:
            self._points[face] = self.teachers.heat.points(hq[None])[0]
        points = self._points[face]
        if not flip:
            return points
        points = points[self.teachers.heat.swap].copy()
        points[:, 0] = 1 - points[:, 0]
        return points


def at_side(image: np.ndarray, side: int) -> np.ndarray:
    """Image (S, S, 3) uint8 at another side, by area averaging."""
    if image.shape[0] == side:
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def as_input(lq: np.ndarray, size: int) -> Tensor:
    """LQ (h, w, 3) uint8 RGB -> what the student sees, (1, 3, size, size) in [0, 1]."""
    face = torch.from_numpy(lq).permute(2, 0, 1)[None].float() / 255
    return student_input(face, size)


def parse_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft cross entropy + half a soft Dice loss of (B, K, S, S)."""
    chance = logits.log_softmax(1)
    entropy = -(target * chance).sum(1).mean()
    share = chance.exp()
    both = (share * target).sum((2, 3))
    dice = (2 * both + 1) / ((share**2).sum((2, 3)) + (target**2).sum((2, 3)) + 1)
    return entropy + 0.5 * (1 - dice.mean())


def heat_loss(points: Tensor, target: Tensor) -> Tensor:
    """Huber loss of points (B, N, 2) in pixels at 128: square below one pixel, linear above."""
    return functional.smooth_l1_loss(points * POINT_PIXELS, target * POINT_PIXELS)


def code_loss(logits: Tensor, codebook: Tensor, ids: Tensor) -> Tensor:
    """Half the cross entropy over codes + squared error of the expected code.

    Args:
        logits: (B, K, h, w). codebook: (K, D), of unit mean square. ids: (B, h, w).
    """
    flat = logits.flatten(2).transpose(1, 2).flatten(0, 1)
    target = ids.flatten()
    # of smoothed targets by hand: one log-softmax serves both terms
    chance = flat.log_softmax(1)
    hit = chance.gather(1, target[:, None]).mean()
    entropy = -(1 - SMOOTHING) * hit - SMOOTHING * chance.mean()
    expected = chance.exp() @ codebook
    return 0.5 * entropy + functional.mse_loss(expected, codebook[target])


def lesson_loss(student: Student, lesson: Lesson, step: int) -> Tensor:
    """Sum of the losses of the asked heads; codes are scored on every second row and column."""
    half, full = student.features(lesson.lq)
    total = half.new_zeros(())
    if lesson.parse is not None:
        total = total + parse_loss(student.heads["parse"](lesson.lq, half, full), lesson.parse)
    if lesson.points is not None:
        head = student.heads["heat"]
        total = total + heat_loss(head.points(head(lesson.lq, half, full)), lesson.points)  # type: ignore[operator]
    if lesson.codes is not None:
        head = student.heads["dict"]
        top, left = step % 2, step // 2 % 2
        logits = head(lesson.lq, half[:, :, top::2, left::2], full)
        codebook = head.codebook
        assert isinstance(codebook, Tensor)
        total = total + code_loss(logits, codebook, lesson.codes[:, top::2, left::2])
    return total


def new_student(teachers: Teachers, seed: int) -> Student:
    """An untrained student that has the teachers' mean points and codebook.

    A codebook of fewer codes than the student has is repeated.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(teachers.priors)
    if teachers.parse is not None:
        place = student.heads["parse"].place
        assert isinstance(place, Tensor)
        chance = torch.from_numpy(teachers.parse.chance)[None]
        place.copy_(functional.interpolate(chance, place.shape[1:], mode="area")[0].log())
    if teachers.heat is not None:
        places = (teachers.heat.mean + 0.5) / POINT_PIXELS
        student.heads["heat"].mean_points.copy_(torch.from_numpy(places))  # type: ignore[operator]
    if teachers.dict is not None:
        buffer = student.heads["dict"].codebook
        assert isinstance(buffer, Tensor)
        repeated = np.resize(teachers.dict.codebook, tuple(buffer.shape))
        buffer.copy_(torch.from_numpy(repeated))
    return student


def distill(lessons: Lessons, steps: int, device: torch.device | str = "cpu") -> Student:
    """A student trained for `steps` lessons with Adam; deterministic by the lessons' seed."""
    student = new_student(lessons.teachers, lessons.seed).to(device).train()
    optimiser = torch.optim.Adam(student.parameters(), lr=RATE, betas=(0.9, 0.99))
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(lessons, 0)
        for step in range(steps):
            lesson = moved(coming.result(), device)
            coming = ahead.submit(lessons, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, steps)
            loss = lesson_loss(student, lesson, step)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"student's loss is {loss.item()} at step {step}")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimiser.step()
            if step % 50 == 49 or step == steps - 1:
                spent = time.perf_counter() - began
                told = (step + 1, steps, loss.item(), spent)
                LOG.info("student step %d of %d, loss %.3f, %.0f s", *told)
    return student.eval()


def rate_at(step: int, steps: int) -> float:
    """Learning rate: linear warm-up, then a cosine to zero."""
    warmup = min(WARMUP, max(1, steps // 5))
    if step < warmup:
        return RATE * (step + 1) / warmup
    return RATE * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def moved(lesson: Lesson, device: torch.device | str) -> Lesson:
    """The lesson on another device."""
    fields = {
        name: value.to(device) if isinstance(value, Tensor) else None
        for name, value in vars(lesson).items()
    }
    return Lesson(**fields)  # type: ignore[arg-type]
