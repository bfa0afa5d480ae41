"""Distillation: the student learns from LQ faces what the teachers say of their HQ."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from torch.nn import functional

from data.atomic import atomic_file
from data.batches import batch_stream
from models.student import Student
from priors.consistency import View, consistency_loss, new_view
from priors.first_student import POINT_PIXELS, new_student
from priors.lessons import Lesson, Lessons, lesson_of
from priors.schooling import (
    SCHOOLING,
    Optimiser,
    OptimiserMaker,
    Schooling,
    plain_optimiser,
    rate_at,
)

LOG = logging.getLogger(__name__)

KEEP_SECONDS = 30.0
"""Time between two checkpoints of a student in training."""
SMOOTHING = 0.1


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


def lesson_loss(
    student: Student, lesson: Lesson, step: int, view: View | None = None, weight: float = 0.0
) -> Tensor:
    """Sum of the losses of the asked heads; codes are scored on every second row and column.

    view, weight: a second view to be consistent with, and how much that counts.
    """
    half = student.features(lesson.lq)
    total = torch.zeros((), device=half.device)
    parse = points = None
    if lesson.parse is not None:
        parse = student.heads["parse"](lesson.lq, half).float()
        total = total + parse_loss(parse, lesson.parse)
    if lesson.points is not None:
        points = student.heads["heat"](lesson.lq, half)
        total = total + heat_loss(points, lesson.points)
    if lesson.codes is not None:
        head = student.heads["dict"]
        top, left = step % 2, step // 2 % 2
        logits = head(lesson.lq, half[:, :, top::2, left::2])
        codebook = head.codebook
        assert isinstance(codebook, Tensor)
        total = total + code_loss(logits.float(), codebook, lesson.codes[:, top::2, left::2])
    if view is not None:
        again = consistency_loss(student, lesson.lq, view, parse, points, lesson.swap)
        total = total + weight * again
    return total


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a student is trained; the result depends on neither `workers` nor `keep`."""

    steps: int
    seed: int = 0
    """Of the second views; lessons have their own."""
    schooling: Schooling = SCHOOLING["quick"]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0
    """Processes that make lessons; 0: none but this one."""
    optimiser: OptimiserMaker = plain_optimiser
    keep: Path | None = None
    """Checkpoint to go on from, if there is one, and to write now and then."""


def distill(lessons: Lessons, training: Training) -> Student:
    """A student trained for `training.steps` lessons; deterministic by the lessons' seed.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    device = training.device
    student = new_student(lessons.teachers, seed=lessons.seed).to(device).train()
    name = training.schooling.optimiser
    pupil = Pupil(student, training.optimiser(name, list(student.parameters()), device))
    first = pupil.read(training.keep, training.steps)
    book = lessons.answers(first, training.steps, training.workers).to(device)
    exercises = batch_stream(lessons.maker(), first, training.steps, training.workers)
    began = kept = time.perf_counter()
    for step, exercise in enumerate(exercises, first):
        pupil.take(lesson_of(exercise, book, lessons.size), step, training)
        now = time.perf_counter()
        if step % 50 == 49 or step == training.steps - 1:
            told = (step + 1, training.steps, pupil.checked_loss(step), now - began)
            LOG.info("student step %d of %d, loss %.3f, %.0f s", *told)
        if training.keep is not None and now - kept >= KEEP_SECONDS:
            pupil.checked_loss(step)
            pupil.write(training.keep, step + 1, training.steps)
            kept = now
    return student.eval()


class Pupil:
    """A student in training and its optimiser."""

    def __init__(self, student: Student, optimiser: Optimiser) -> None:
        self.student, self.optimiser = student, optimiser
        self.loss = torch.zeros(())

    def take(self, lesson: Lesson, step: int, training: Training) -> None:
        """Learn one lesson."""
        schooling = training.schooling
        rate = schooling.rate * rate_at(step, training.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        view = None
        if schooling.consistency and (lesson.parse is not None or lesson.points is not None):
            view = new_view(len(lesson.lq), training.seed, step, training.device)
        half = schooling.bf16 and training.device.type == "cuda"
        with torch.autocast(training.device.type, torch.bfloat16, enabled=half):
            loss = lesson_loss(self.student, lesson, step, view, schooling.consistency)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        self.loss = loss.detach()

    def checked_loss(self, step: int) -> float:
        """The last loss; looked at now and then, since looking makes a GPU wait."""
        loss = float(self.loss)
        if not math.isfinite(loss):
            raise FloatingPointError(f"student's loss is {loss} at step {step}")
        return loss

    def write(self, path: Path, step: int, steps: int) -> None:
        """Keep what the steps from `step` on depend on, in a file that is whole or not there."""
        state = {
            "step": step,
            "steps": steps,
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with atomic_file(path) as file:
            torch.save(state, file)

    def read(self, path: Path | None, steps: int) -> int:
        """Take over what `write` kept; return the step to go on from, 0 where nothing fits."""
        if path is None or not path.is_file():
            return 0
        device = next(self.student.parameters()).device
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            if state["steps"] != steps:
                raise ValueError("of another training")
            self.student.load_state_dict(state["student"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
            LOG.warning("%s is not used: %s", path, error)
            return 0
        LOG.info("student goes on after step %d of %d", state["step"], steps)
        return int(state["step"])
