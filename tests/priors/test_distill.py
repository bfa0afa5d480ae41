"""Lessons are a pure function of (seed, step); the student learns from them, the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from priors.answers import ask, ask_all
from priors.distill import (
    Training,
    code_loss,
    distill,
    heat_loss,
    lesson_loss,
    parse_loss,
)
from priors.first_student import new_student
from priors.fitted import FittedPriors
from priors.lessons import Lessons, as_input
from priors.schooling import SCHOOLING, rate_at
from tests.priors.conftest import Faces
from train.prior_fit import student_optimiser


def lessons(fitted: FittedPriors, faces: Faces, seed: int = 0) -> Lessons:
    return Lessons(faces, fitted.teachers, size=64, seed=seed, geometries=(128,), batch=3)


def test_a_lesson_depends_on_seed_and_step_alone(fitted: FittedPriors, faces: Faces) -> None:
    forwards, backwards = lessons(fitted, faces), lessons(fitted, faces)
    first = [forwards(step) for step in (0, 1)]
    again = [backwards(step) for step in (1, 0)][::-1]
    for one, other in zip(first, again, strict=True):
        for name, value in vars(one).items():
            torch.testing.assert_close(value, getattr(other, name), rtol=0, atol=0)
    assert not torch.equal(first[0].lq, first[1].lq)
    assert not torch.equal(first[0].lq, lessons(fitted, faces, seed=1)(0).lq)


def test_targets_come_from_the_hq_not_from_the_lq(fitted: FittedPriors, faces: Faces) -> None:
    mild, harsh = (
        Lessons(faces, fitted.teachers, size=64, seed=0, degradation=d, geometries=(128,), batch=3)(
            0
        )
        for d in ("first-order", "second-order")
    )
    assert mild.parse is not None
    torch.testing.assert_close(mild.parse, harsh.parse, rtol=0, atol=0)
    torch.testing.assert_close(mild.points, harsh.points, rtol=0, atol=0)
    torch.testing.assert_close(mild.codes, harsh.codes, rtol=0, atol=0)
    assert not torch.equal(mild.lq, harsh.lq)


def test_answer_of_the_mirror_image(fitted: FittedPriors, faces: Faces) -> None:
    hq = faces.image(3)
    book = ask_all(fitted.teachers, faces, [3], 64)
    plain, mirrored = book.of([3, 3], [False, True]), book.of([3], [True])
    direct = ask(fitted.teachers, np.ascontiguousarray(hq[:, ::-1]), 64)
    assert direct.parse is not None
    assert mirrored.parse is not None
    assert mirrored.points is not None
    same = mirrored.parse[0].argmax(0).numpy() == direct.parse.argmax(0)
    assert same.mean() > 0.97
    assert np.abs(mirrored.points[0].numpy() - direct.points).max() < 0.02
    np.testing.assert_array_equal(mirrored.codes[0], direct.codes[0])  # type: ignore[index]
    own = ask(fitted.teachers, hq, 64)
    for name in ("parse", "points"):
        np.testing.assert_array_equal(getattr(plain, name)[0], getattr(own, name))
        torch.testing.assert_close(getattr(plain, name)[1], getattr(mirrored, name)[0])


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_training_is_the_same_with_any_number_of_workers(
    fitted: FittedPriors, faces: Faces, optimiser: str
) -> None:
    torch.set_num_threads(1)
    schooling = replace(SCHOOLING["quick"], optimiser=optimiser)
    students = [
        distill(
            Lessons(faces, fitted.teachers, size=64, seed=0, geometries=(128, 64), batch=3),
            Training(steps=3, schooling=schooling, workers=workers, optimiser=student_optimiser),
        )
        for workers in (0, 1, 2)
    ]
    first = students[0].state_dict()
    for other in students[1:]:
        for name, value in other.state_dict().items():
            assert torch.equal(value, first[name]), name


def test_training_repeats_exactly(fitted: FittedPriors, faces: Faces) -> None:
    torch.set_num_threads(1)
    one, other = (distill(lessons(fitted, faces), Training(steps=4)) for _ in range(2))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_training_lowers_the_loss_on_lessons_not_seen(fitted: FittedPriors, faces: Faces) -> None:
    school = lessons(fitted, faces)
    trained = distill(school, Training(steps=40))
    fresh = new_student(fitted.teachers, seed=0)
    exams = [school(step) for step in range(1000, 1006)]
    with torch.no_grad():
        before, after = (
            sum(float(lesson_loss(student, exam, 0)) for exam in exams)
            for student in (fresh, trained)
        )
    assert after < before


def test_first_student_already_knows_the_teachers(fitted: FittedPriors, faces: Faces) -> None:
    student = new_student(fitted.teachers, seed=0)
    heat, codes = fitted.teachers.heat, fitted.teachers.dict
    assert heat is not None
    assert codes is not None
    buffers = dict(student.named_buffers())
    np.testing.assert_allclose(buffers["heads.heat.mean_points"], heat.mean, atol=1e-4)
    np.testing.assert_array_equal(buffers["heads.dict.codebook"], codes.codebook)
    place = buffers["heads.parse.place"]
    torch.testing.assert_close(place, place.flip(-1), atol=1e-4, rtol=0)
    some = faces.images[:6]
    clean = torch.cat([as_input(face, 64) for face in some])
    with torch.no_grad():
        points = student.logits(clean)["heat"]
    told = torch.from_numpy(heat.points(some))
    usual = (buffers["heads.heat.mean_points"] + 0.5) / 128
    assert (points - told).norm() < 0.5 * (usual - told).norm()


def test_losses_are_least_at_the_target() -> None:
    target = torch.rand(2, 12, 8, 8).softmax(1)
    right, wrong = target.log(), torch.rand(2, 12, 8, 8)
    assert parse_loss(right, target) < parse_loss(wrong, target)
    points = torch.rand(2, 26, 2)
    assert heat_loss(points, points) == 0 < heat_loss(points + 0.01, points)
    ids = torch.randint(0, 32, (2, 4, 4))
    codebook = torch.randn(32, 8)
    sure = 9.0 * torch.nn.functional.one_hot(ids, 32).permute(0, 3, 1, 2)
    assert code_loss(sure, codebook, ids) < code_loss(torch.zeros(2, 32, 4, 4), codebook, ids)


def test_rate_climbs_then_falls_to_almost_nothing() -> None:
    rates = [rate_at(step, 200) for step in range(200)]
    assert rates[0] < rates[10] < max(rates)
    assert rates[-1] < 0.001 * max(rates)
