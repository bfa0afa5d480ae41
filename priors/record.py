"""What a fit of priors is, and its folder on disk.

A fit is written whole under another name and then renamed; its `priors.json` carries the digest
of every other file. What does not match is never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.student import Student
from priors.answers import Teachers
from priors.dictionary import PatchCodes
from priors.heat import PointModel, draw_heat
from priors.parse import ParseAtlas
from priors.tiers import METHOD_VERSION, TIERS
from priors.vq import ReplacedCodes, VqCodes

MARKER = "priors.json"
STUDENT = "student.safetensors"
KINDS: dict[str, tuple[type[Any], ...]] = {
    "parse": (ParseAtlas,),
    "heat": (PointModel,),
    "dict": (PatchCodes, VqCodes, ReplacedCodes),
}
"""Classes of each prior's teachers, told apart by their fields."""


class PriorsError(ValueError):
    """Fitted priors that cannot be used or made; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class FitInfo:
    """What a fit was made of; with `version`, its identity."""

    data: str
    """Fingerprint of the faces."""
    priors: tuple[str, ...]
    tier: str
    size: int
    """Side of the student's input and maps."""
    scale: int
    degradation: str
    geometries: tuple[int, ...]
    """HQ sides at which the student saw faces."""
    student_steps: int
    seed: int
    version: int = METHOD_VERSION

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for all of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def serves(self, wanted: FitInfo) -> bool:
        """Whether a fit like this can be used where `wanted` is asked for."""
        same = ("data", "size", "scale", "degradation", "seed", "version")
        return (
            all(getattr(self, name) == getattr(wanted, name) for name in same)
            and set(self.priors) >= set(wanted.priors)
            and set(self.geometries) >= set(wanted.geometries)
            and self.strength >= wanted.strength
        )

    @property
    def strength(self) -> tuple[int, int]:
        """Order of fits: tier first, then how long the student learned."""
        return tuple(TIERS).index(self.tier), self.student_steps


@dataclass(frozen=True, kw_only=True)
class FittedPriors:
    """Teachers, the student that they taught, and what it was made of."""

    teachers: Teachers
    student: Student
    info: FitInfo

    @property
    def fingerprint(self) -> str:
        """16 hex digits: `info` and the student's weights."""
        return hashlib.sha256((self.info.fingerprint + self.digest()).encode()).hexdigest()[:16]

    def digest(self) -> str:
        """Digest of the student's tensors."""
        sums = hashlib.sha256()
        for name, value in sorted(self.student.state_dict().items()):
            sums.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return sums.hexdigest()

    def targets(self, hq: np.ndarray) -> dict[str, np.ndarray]:
        """Teachers' maps of one HQ face (S, S, 3) uint8 RGB: (C, size, size) float32 by prior."""
        size, teachers = self.info.size, self.teachers
        maps: dict[str, np.ndarray] = {}
        if teachers.parse is not None:
            maps["parse"] = teachers.parse.maps(hq[None], size)[0]
        if teachers.heat is not None:
            maps["heat"] = draw_heat(teachers.heat.points(hq[None])[0], size)
        if teachers.dict is not None:
            maps["dict"] = teachers.dict.maps(hq[None], size)[0]
        return maps

    def student_state(self) -> dict[str, Tensor]:
        """State of the student, for a `Student` of the same priors."""
        return {name: value.detach().clone() for name, value in self.student.state_dict().items()}

    def load_into(self, student: nn.Module) -> None:
        """Fill a student that has some or all of these priors.

        Raises:
            PriorsError: it has a tensor that was not fitted, or of another shape.
        """
        fitted, wanted = self.student.state_dict(), student.state_dict()
        missing = [n for n, v in wanted.items() if n not in fitted or fitted[n].shape != v.shape]
        if missing:
            raise PriorsError(
                f"the fitted priors {self.info.priors} lack {missing[0]} and {len(missing) - 1} "
                "other tensors of this student: fit them again with the same --priors"
            )
        student.load_state_dict({name: fitted[name] for name in wanted})


def save(fitted: FittedPriors, folder: Path) -> None:
    """Write a fit to a folder, whole or not at all; what was there is replaced."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir()
    try:
        for prior in fitted.info.priors:
            with (partial / f"{prior}.npz").open("wb") as file:
                write_teacher(file, getattr(fitted.teachers, prior))
        save_file(fitted.student_state(), partial / STUDENT)
        digests = {p.name: file_digest(p) for p in sorted(partial.iterdir())}
        about = {"info": asdict(fitted.info), "fingerprint": fitted.fingerprint, "files": digests}
        (partial / MARKER).write_text(json.dumps(about, indent=2) + "\n")
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_teacher(file: BinaryIO, teacher: Any) -> None:
    """Write a teacher's fields as arrays; `read_teacher` reads them."""
    arrays = {f.name: np.asarray(getattr(teacher, f.name)) for f in fields(teacher)}
    np.savez(file, allow_pickle=False, **arrays)


def read_teacher(path: Path, prior: str) -> Any:
    """The teacher that was written to a file: the kind of `KINDS` that has its fields.

    Raises KeyError, OSError, TypeError or ValueError where there is none.
    """
    with np.load(path, allow_pickle=False) as stored:
        values = {name: stored[name][()] for name in stored.files}
    for kind in KINDS[prior]:
        if {f.name for f in fields(kind)} == set(values):
            return kind(**values)
    raise ValueError(f"{path} is no {prior} teacher that this version knows")


def file_digest(path: Path) -> str:
    """sha256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_info(folder: Path) -> tuple[FitInfo, Mapping[str, str]]:
    """Identity of the fit in a folder and the digests of its files. Raises PriorsError."""
    try:
        about = json.loads((Path(folder) / MARKER).read_text())
        info = dict(about["info"])
        info["priors"], info["geometries"] = tuple(info["priors"]), tuple(info["geometries"])
        return FitInfo(**info), about["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PriorsError(f"no fitted priors in {folder}: {error}") from error


def load(folder: Path) -> FittedPriors:
    """The fit in a folder.

    Raises:
        PriorsError: nothing there, another method version, or a file that changed since.
    """
    folder = Path(folder)
    info, digests = read_info(folder)
    if info.version != METHOD_VERSION:
        raise PriorsError(f"{folder} is of method version {info.version}: fit again")
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != digest:
            raise PriorsError(f"{path} is missing or damaged: remove {folder} and fit again")
    made: dict[str, Any] = {}
    student = Student(info.priors)
    try:
        for prior in info.priors:
            made[prior] = read_teacher(folder / f"{prior}.npz", prior)
        student.load_state_dict(load_file(folder / STUDENT))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise PriorsError(f"{folder} is of another method, fit again: {error}") from error
    return FittedPriors(teachers=Teachers(**made), student=student.eval(), info=info)
