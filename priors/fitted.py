"""Fitting the priors of a set of faces, or finding a fit of them that is already there."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from data.atomic import atomic_file
from data.sources import FaceSource, Subset
from models.space import PRIORS
from priors.answers import Teachers
from priors.distill import Training, distill
from priors.lessons import EVERY_KIND, Lessons
from priors.record import (
    FitInfo,
    FittedPriors,
    PriorsError,
    load,
    read_info,
    read_teacher,
    save,
    write_teacher,
)
from priors.schooling import SCHOOLING, OptimiserMaker, check_optimiser, plain_optimiser
from priors.tiers import TEACHER_SIDE, TIERS, TeacherTask

LOG = logging.getLogger(__name__)
CHECKPOINT = "student.pt"

__all__ = ["FitInfo", "FittedPriors", "PriorsError", "fit", "fit_or_load", "load", "save"]


def fit(
    source: FaceSource,
    priors: Sequence[str] = PRIORS,
    *,
    tier: str = "quick",
    size: int = 128,
    student_steps: int,
    out: Path | None = None,
    seed: int = 0,
    degradation: str = EVERY_KIND,
    scale: int = 4,
    geometries: Sequence[int] = (),
    device: torch.device | str = "cpu",
    workers: int = 0,
    optimiser: OptimiserMaker = plain_optimiser,
) -> FittedPriors:
    """Teachers learned from HQ faces and a student distilled from them.

    With `out`, what is done so far is kept beside it: a killed fit goes on from there.

    Args:
        source: HQ faces.
        priors: some of parse, heat, dict; at least one.
        size: side of the student's input, a multiple of 8.
        out: folder to write the fit to; None keeps it in memory.
        degradation: a preset, or "mixed" for one drawn per sample.
        geometries: HQ sides at which the student sees faces; () means `usual_geometries`.
        workers: processes that make lessons; the fit does not depend on it.
        optimiser: makes the student's optimiser; only the quick tier does without.
    Raises:
        PriorsError: an unknown tier or prior.
    """
    info = describe(source, priors, tier, size, student_steps, seed, degradation, scale, geometries)
    began = time.perf_counter()
    schooling = SCHOOLING[tier]
    check_optimiser(optimiser, schooling.optimiser)
    chosen = choose_faces(source, seed, schooling.faces)
    task = TeacherTask(source=chosen, size=size, seed=seed, device=torch.device(device))
    desk = None if out is None else unfinished(Path(out))
    teachers = fit_teachers(task, info, desk)
    lessons = Lessons(
        chosen,
        teachers,
        size=size,
        seed=seed,
        degradation=degradation,
        scale=scale,
        geometries=info.geometries,
        batch=schooling.batch,
    )
    training = Training(
        steps=student_steps,
        seed=seed,
        schooling=schooling,
        device=torch.device(device),
        workers=workers,
        optimiser=optimiser,
        keep=None if desk is None else desk / CHECKPOINT,
    )
    fitted = FittedPriors(teachers=teachers, student=distill(lessons, training).cpu(), info=info)
    LOG.info("priors fitted in %.0f s", time.perf_counter() - began)
    if out is not None:
        save(fitted, Path(out))
    if desk is not None:
        shutil.rmtree(desk, ignore_errors=True)
    return fitted


def unfinished(out: Path) -> Path:
    """Where a fit that will be `out` keeps its teachers and its student until it is whole."""
    return out.with_name(f".{out.name}.unfinished")


def fit_teachers(task: TeacherTask, info: FitInfo, desk: Path | None) -> Teachers:
    """The teachers of a fit: those that an earlier try left on the desk, and new ones."""
    made: dict[str, Any] = {}
    for prior in info.priors:
        kept = None if desk is None else desk / f"{prior}.npz"
        if kept is not None and kept.is_file():
            try:
                made[prior] = read_teacher(kept, prior)
                LOG.info("%s teacher from an unfinished fit", prior)
                continue
            except (OSError, KeyError, TypeError, ValueError, BadZipFile) as error:
                LOG.warning("%s is not used: %s", kept, error)
        made[prior] = timed(TIERS[info.tier][prior], task, prior)
        if kept is not None:
            kept.with_name(CHECKPOINT).unlink(missing_ok=True)  # it had another teacher
            with atomic_file(kept) as file:
                write_teacher(file, made[prior])
    return Teachers(**made)


def describe(
    source: FaceSource,
    priors: Sequence[str],
    tier: str,
    size: int,
    student_steps: int,
    seed: int,
    degradation: str,
    scale: int,
    geometries: Sequence[int],
) -> FitInfo:
    """The identity of a fit, checked. Raises PriorsError on an unknown tier or prior."""
    if tier not in TIERS:
        raise PriorsError(f"tier {tier!r} is not one of {', '.join(TIERS)}")
    unknown = sorted(set(priors) - set(PRIORS))
    if unknown or not priors:
        raise PriorsError(f"priors to fit must be some of {', '.join(PRIORS)}: {list(priors)}")
    sides = tuple(sorted(geometries or usual_geometries(source.side), reverse=True))
    if sides[0] > source.side:
        raise PriorsError(f"faces of {source.side} px cannot be seen at {sides[0]} px")
    return FitInfo(
        data=source.fingerprint,
        priors=tuple(p for p in PRIORS if p in priors),
        tier=tier,
        size=size,
        scale=scale,
        degradation=degradation,
        geometries=sides,
        student_steps=student_steps,
        seed=seed,
    )


def usual_geometries(side: int) -> tuple[int, ...]:
    """HQ sides that a fit on faces of this side serves: 128 too, where faces are larger."""
    return (side, TEACHER_SIDE) if side > TEACHER_SIDE else (side,)


def choose_faces(source: FaceSource, seed: int, most: int) -> FaceSource:
    """At most `most` faces, chosen by hash of name and seed, in the source's order."""
    if len(source) <= most:
        return source

    def mark(i: int) -> str:
        return hashlib.sha256(f"{seed} {source.names[i]}".encode()).hexdigest()

    return Subset(source, sorted(sorted(range(len(source)), key=mark)[:most]))


def timed(make: Callable[[TeacherTask], Any], task: TeacherTask, prior: str) -> Any:
    """The teacher that `make` returns; its time goes to the log."""
    began = time.perf_counter()
    teacher = make(task)
    LOG.info("%s teacher fitted in %.1f s", prior, time.perf_counter() - began)
    return teacher


def strongest(store: Path, wanted: FitInfo) -> FittedPriors | None:
    """The strongest readable fit in a store that serves `wanted`, or None."""
    found: list[tuple[tuple[int, int], str, Path]] = []
    for folder in sorted(Path(store).glob("*")) if Path(store).is_dir() else []:
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            info, _ = read_info(folder)
        except PriorsError as error:
            LOG.debug("%s", error)
            continue
        if info.tier in TIERS and info.serves(wanted):
            found.append((info.strength, folder.name, folder))
    for _, _, folder in sorted(found, reverse=True):
        try:
            return load(folder)
        except PriorsError as error:
            LOG.warning("%s", error)
    return None


def fit_or_load(
    source: FaceSource,
    priors: Sequence[str] = PRIORS,
    *,
    folder: Path,
    tier: str = "quick",
    size: int = 128,
    student_steps: int,
    seed: int = 0,
    degradation: str = EVERY_KIND,
    scale: int = 4,
    geometries: Sequence[int] = (),
    device: torch.device | str = "cpu",
    workers: int = 0,
    optimiser: OptimiserMaker = plain_optimiser,
) -> FittedPriors:
    """The strongest fit in the store `folder` that serves, else a new one, which is kept there.

    A fit serves if faces, size, scale, degradation, seed and method are the same, its priors and
    geometries include the ones asked for, and its tier and student steps are no weaker.
    """
    wanted = describe(
        source, priors, tier, size, student_steps, seed, degradation, scale, geometries
    )
    ready = strongest(folder, wanted)
    if ready is not None:
        LOG.info("priors from the %s fit %s", ready.info.tier, ready.info.fingerprint)
        return ready
    return fit(
        source,
        priors,
        tier=tier,
        size=size,
        student_steps=student_steps,
        out=Path(folder) / wanted.fingerprint,
        seed=seed,
        degradation=degradation,
        scale=scale,
        geometries=geometries,
        device=device,
        workers=workers,
        optimiser=optimiser,
    )
