"""Distillation: the student learns from LQ faces what the teachers say of their HQ."""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional

from models.student import Student
from priors.first_student import POINT_PIXELS, new_student
from priors.lessons import Lesson, Lessons

LOG = logging.getLogger(__name__)

RATE, WARMUP = 5e-3, 20
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


def lesson_loss(student: Student, lesson: Lesson, step: int) -> Tensor:
    """Sum of the losses of the asked heads; codes are scored on every second row and column."""
    half = student.features(lesson.lq)
    total = half.new_zeros(())
    if lesson.parse is not None:
        total = total + parse_loss(student.heads["parse"](lesson.lq, half), lesson.parse)
    if lesson.points is not None:
        head = student.heads["heat"]
        total = total + heat_loss(head(lesson.lq, half), lesson.points)
    if lesson.codes is not None:
        head = student.heads["dict"]
        top, left = step % 2, step // 2 % 2
        logits = head(lesson.lq, half[:, :, top::2, left::2])
        codebook = head.codebook
        assert isinstance(codebook, Tensor)
        total = total + code_loss(logits, codebook, lesson.codes[:, top::2, left::2])
    return total


def distill(lessons: Lessons, steps: int, device: torch.device | str = "cpu") -> Student:
    """A student trained for `steps` lessons with Adam; deterministic by the lessons' seed."""
    student = new_student(lessons.teachers, seed=lessons.seed)
    student = student.to(device).train()
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
