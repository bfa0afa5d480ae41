"""Which method fits which teacher, by tier: the one table to extend with a stronger teacher."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data.sources import FaceSource
from priors.dictionary import Codes, PatchCodes, fit_codes
from priors.heat import PointModel, fit_points
from priors.heat_generation import fit_drawn_points
from priors.heat_telling import fit_telling_points
from priors.lessons import at_side
from priors.parse import FINE_ROUNDS, QUICK_ROUNDS, ParseAtlas, fit_atlas
from priors.part_training import TOY_BATCH, TOY_STEPS, fit_parts
from priors.vq_fit import TOY, fit_vq

LOG = logging.getLogger(__name__)

METHOD_VERSION = 7
"""Raised whenever a fit of the same faces would come out differently."""
MOST_FACES, CODE_FACES = 300, 120
"""Faces that the quick teachers learn from, and those for the codes."""
CPU_PATCHES = 200_000
"""Patches that the codes of the cpu tier are learned from."""
TEACHER_SIDE = 128
"""Side at which the quick teachers see faces."""


@dataclass(frozen=True, kw_only=True)
class TeacherTask:
    """What a teacher's fit is given."""

    source: FaceSource
    """Faces to learn from."""
    size: int
    seed: int
    device: torch.device

    def faces(self, side: int, most: int) -> np.ndarray:
        """The first `most` faces at a side, (N, side, side, 3) uint8."""
        count = min(most, len(self.source))
        return np.stack([at_side(self.source.image(i), side) for i in range(count)])

    def rng(self, stream: int) -> np.random.Generator:
        """A generator of this seed and stream."""
        return np.random.default_rng((self.seed, stream))


def quick_parse(task: TeacherTask) -> ParseAtlas:
    """The atlas of at most MOST_FACES faces."""
    return fit_atlas(task.faces(min(TEACHER_SIDE, task.source.side), MOST_FACES))


def cpu_parse(task: TeacherTask) -> ParseAtlas:
    """The atlas of all faces, its borders at twice the side."""
    side = min(TEACHER_SIDE, task.source.side)
    return fit_atlas(task.faces(side, len(task.source)), FINE_ROUNDS)


def gpu_parse(task: TeacherTask) -> ParseAtlas:
    """The atlas of all faces and a network anchored to it; a toy where there is no GPU."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), len(task.source))
    if task.device.type == "cpu":
        LOG.warning("the part network is only a toy on the CPU: use --device cuda")
        return fit_parts(
            faces,
            seed=task.seed,
            device=task.device,
            steps=TOY_STEPS,
            batch=TOY_BATCH,
            plan=QUICK_ROUNDS,
        )
    return fit_parts(faces, seed=task.seed, device=task.device)


def quick_heat(task: TeacherTask) -> PointModel:
    """The points of at most MOST_FACES faces."""
    return fit_points(task.faces(min(TEACHER_SIDE, task.source.side), MOST_FACES), task.rng(2))


def cpu_heat(task: TeacherTask) -> PointModel:
    """The points that tell most of all faces."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), len(task.source))
    return fit_telling_points(faces, task.rng(2))


def gpu_heat(task: TeacherTask) -> PointModel:
    """Points that serve to draw all faces."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), len(task.source))
    return fit_drawn_points(faces, task.rng(2), task.device)


def quick_dict(task: TeacherTask) -> PatchCodes:
    """The codes of at most CODE_FACES faces."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), CODE_FACES)
    return fit_codes(faces, task.rng(3), size=task.size)


def cpu_dict(task: TeacherTask) -> PatchCodes:
    """The patch codes of all faces of the tier."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), len(task.source))
    return fit_codes(faces, task.rng(3), size=task.size, samples=CPU_PATCHES)


def gpu_dict(task: TeacherTask) -> Codes:
    """The codes of an autoencoder of all faces, or patch codes where those are better; where there
    is no GPU, of a toy."""
    faces = task.faces(min(TEACHER_SIDE, task.source.side), len(task.source))
    plan = None
    if task.device.type == "cpu":
        LOG.warning("the autoencoder is only a toy on the CPU: use --device cuda")
        plan = TOY
    return fit_vq(faces, task.rng(3), size=task.size, device=task.device, plan=plan)


TIERS: dict[str, dict[str, Callable[[TeacherTask], Any]]] = {
    "quick": {"parse": quick_parse, "heat": quick_heat, "dict": quick_dict},
    "cpu": {"parse": cpu_parse, "heat": cpu_heat, "dict": cpu_dict},
    "gpu": {"parse": gpu_parse, "heat": gpu_heat, "dict": gpu_dict},
}
"""Teachers by tier and prior, weakest tier first; a stronger tier is one more entry."""
