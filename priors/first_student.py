"""The student before its first lesson: what can be had of the teachers in closed form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.student import Student
from models.student_heads import HeatHead
from priors.dictionary import PatchCodes
from priors.heat import FIT_SIZE, PointModel
from priors.lessons import Teachers, as_input
from priors.parse import ParseAtlas

POINT_PIXELS = 128.0
RIDGE = 1.0
"""Weight of the ridge of the shape map, in squared pixels at 128."""


def new_student(teachers: Teachers, faces: np.ndarray, *, size: int, seed: int) -> Student:
    """An untrained student that has its learned buffers and the shape map of its points.

    Args:
        faces: (N, S, S, 3) uint8 RGB, some tens of HQ faces; their mirror images are used too.
        size: side of the student's input.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(teachers.priors)
    both = np.concatenate([faces, faces[:, :, ::-1]])
    buffers = dict(student.named_buffers())
    if teachers.parse is not None:
        place_classes(buffers, teachers.parse)
    if teachers.heat is not None:
        head = student.heads["heat"]
        assert isinstance(head, HeatHead)
        place_points(head, teachers.heat)
        fit_shape(head, student, teachers.heat, both, size)
    if teachers.dict is not None:
        place_codes(buffers["heads.dict.codebook"], teachers.dict)
    return student


def place_classes(buffers: Mapping[str, Tensor], teacher: ParseAtlas) -> None:
    """Fill the parse head's atlas from the teacher's."""
    place = buffers["heads.parse.place"]
    chance = torch.from_numpy(teacher.chance)[None]
    place.copy_(functional.interpolate(chance, place.shape[1:], mode="area")[0])
    buffers["heads.parse.colour"].copy_(torch.from_numpy(teacher.mean))
    buffers["heads.parse.variance"].copy_(torch.from_numpy(teacher.variance))


def place_points(head: HeatHead, teacher: PointModel) -> None:
    """Fill the heat head's mean places and patches from the teacher's."""
    head.mean_points.copy_(torch.from_numpy((teacher.mean + 0.5) / FIT_SIZE))
    patches = torch.from_numpy(teacher.patches)[:, None]
    side = head.patches.shape[1:]
    shrunk = functional.interpolate(patches, side, mode="bilinear", antialias=True)
    head.patches.copy_(shrunk[:, 0])


def fit_shape(
    head: HeatHead, student: Student, teacher: PointModel, faces: np.ndarray, size: int
) -> None:
    """Set the shape map by ridge regression of the teacher's points on the head's own peaks."""
    target = torch.from_numpy(teacher.points(faces))
    count = 2 * target.shape[1]
    gram, cross = torch.zeros(count, count), torch.zeros(count, count)
    with torch.no_grad():
        head.shape.weight.copy_(torch.eye(count))
        for i in range(0, len(faces), 16):
            x = torch.cat([as_input(face, size) for face in faces[i : i + 16]])
            peaks = head.points(head(x, student.features(x)))
            moved = POINT_PIXELS * (peaks - head.mean_points).flatten(1)
            wanted = POINT_PIXELS * (target[i : i + 16] - head.mean_points).flatten(1)
            gram, cross = gram + moved.T @ moved, cross + moved.T @ wanted
        ridge = RIDGE * len(faces) * torch.eye(count)
        head.shape.weight.copy_(torch.linalg.solve(gram + ridge, cross).T)


def place_codes(codebook: Tensor, teacher: PatchCodes) -> None:
    """Fill the codebook; one of fewer codes than the student has is repeated."""
    repeated = np.resize(teacher.codebook, tuple(codebook.shape))
    codebook.copy_(torch.from_numpy(repeated))
