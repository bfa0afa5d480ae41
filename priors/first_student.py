"""The student before its first lesson: what can be had of the teachers in closed form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.student import Student
from priors.answers import Teachers
from priors.dictionary import Codes
from priors.heat import PointModel
from priors.parse import ParseAtlas

POINT_PIXELS = 128.0
"""Pixels of the points' loss across a face."""


def new_student(teachers: Teachers, *, seed: int) -> Student:
    """An untrained student that has its teachers' atlas, patches, shape and codes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(teachers.priors)
    buffers = dict(student.named_buffers())
    if teachers.parse is not None:
        place_classes(buffers, teachers.parse)
    if teachers.heat is not None:
        place_points(buffers, teachers.heat)
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


def place_points(buffers: Mapping[str, Tensor], teacher: PointModel) -> None:
    """Fill the heat head's places, patches and shape from the teacher's."""
    filled = {"mean_points": teacher.mean, "patches": teacher.patches}
    filled |= {"basis": teacher.basis, "hold": teacher.hold}
    for name, values in filled.items():
        buffers[f"heads.heat.{name}"].copy_(torch.from_numpy(np.asarray(values, np.float32)))


def place_codes(codebook: Tensor, teacher: Codes) -> None:
    """Fill the codebook; one of fewer codes than the student has is repeated."""
    repeated = np.resize(teacher.codebook, tuple(codebook.shape))
    codebook.copy_(torch.from_numpy(repeated))
