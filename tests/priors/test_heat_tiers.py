"""The stronger landmark teachers: points that tell most, and points that serve to draw faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.student import Student
from priors.detector import Detector, Painter, detect, image_loss
from priors.first_student import new_student
from priors.fitted import FittedPriors
from priors.heat import PointModel
from priors.heat_generation import (
    Plan,
    fit_drawn_points,
    held_at,
    nearness,
    restlessness,
    settled,
    train,
    with_net,
)
from priors.heat_telling import fit_telling_points, most_telling, renumbered
from priors.lessons import Teachers
from priors.record import FitInfo, load, save
from priors.views import Move, random_move
from tests.priors.conftest import Faces

CPU = torch.device("cpu")
TINY = Plan(steps=3, batch=2, width=4, seeds=1)


@pytest.fixture(scope="module")
def telling(faces: Faces) -> PointModel:
    return fit_telling_points(faces.images[:16], np.random.default_rng(3))


@pytest.fixture(scope="module")
def drawn(faces: Faces) -> PointModel:
    return fit_drawn_points(faces.images[:12], np.random.default_rng(3), CPU, TINY)


def _in_mirror_pairs(model: PointModel) -> None:
    assert model.mean.shape == (26, 2)
    np.testing.assert_array_equal(model.swap[model.swap], np.arange(26))
    mirrored = model.mean[model.swap] * [-1, 1] + [127, 0]
    np.testing.assert_allclose(mirrored, model.mean, atol=1e-3)


def test_telling_points_are_in_mirror_pairs_and_reach_the_lower_lip(telling: PointModel) -> None:
    _in_mirror_pairs(telling)
    assert (telling.mean[:, 1] > 0.7 * 128).sum() >= 2, "the lower lip is at .70 to .75"
    assert (telling.mean[:, 1] < 0.5 * 128).sum() >= 6, "eyes and brows are above .5"


def test_what_varies_and_is_surely_found_is_taken_first() -> None:
    swap = np.array([1, 0, 3, 2, 4, 5])
    spread = np.repeat([9.0, 9.0, 9.0, 9.0, 1.0, 4.0], 2)
    noise, error = np.array([0.1, 0.1, 50, 50, 0.1, 0.1]), np.zeros(6)
    covariance = np.diag(spread)
    assert list(most_telling(covariance, noise, error, swap, 2)) == [0, 1], "a sure pair that moves"
    assert list(most_telling(covariance, noise, error, swap, 3)) == [0, 1, 5]
    error[:2] = 9
    assert 0 not in most_telling(covariance, noise, error, swap, 3), "does not follow a moved face"
    with pytest.raises(ValueError, match="pairs"):
        most_telling(covariance[:8, :8], noise[:4], error[:4], swap[:4], 3)


def test_a_copy_of_a_known_point_tells_nothing() -> None:
    both = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    covariance = np.kron(both, np.eye(2))
    chosen = most_telling(covariance, np.full(3, 0.01), np.zeros(3), np.arange(3), 2)
    assert 2 in chosen


def test_partners_are_renumbered() -> None:
    swap = np.array([1, 0, 2, 4, 3])
    np.testing.assert_array_equal(renumbered(swap, np.array([0, 1, 3, 4])), [1, 0, 3, 2])


def test_a_view_knows_where_its_places_are() -> None:
    line = (torch.arange(64) + 0.5) / 64
    ramp = torch.stack([*torch.meshgrid(line, line, indexing="xy"), torch.zeros(64, 64)])
    move = random_move(3, 64, torch.Generator().manual_seed(1))
    seen = move.view(ramp.expand(3, -1, -1, -1))
    points = torch.tensor([[0.5, 0.5], [0.4, 0.6]]).expand(3, -1, -1)
    read = torch.nn.functional.grid_sample(
        seen[:, :2], 2 * points[:, :, None] - 1, align_corners=False
    )[..., 0].transpose(1, 2)
    torch.testing.assert_close(move.places(points), read, atol=2e-3, rtol=0)
    assert (move.places(points) - points).abs().max() > 0.01


def test_places_take_points_of_a_detector_that_computes_in_bfloat16() -> None:
    line = (torch.arange(8) + 0.5) / 8
    move = Move(torch.stack(torch.meshgrid(line, line, indexing="xy"))[None])
    points = torch.tensor([[[0.25, 0.5], [0.75, 0.375]]])
    assert torch.equal(move.places(points.bfloat16()), move.places(points))


def test_the_detectors_points_are_mirrored_with_the_face(drawn: PointModel) -> None:
    detector = Detector(26, 4)
    faces = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        points, other = (detect(detector, x, drawn.swap) for x in (faces, faces.flip(3)))
    wanted = points[:, drawn.swap] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    torch.testing.assert_close(other, wanted, atol=1e-5, rtol=0)


def test_a_detector_is_filled_from_its_flat_weights() -> None:
    first, second = Detector(5, 4), Detector(5, 4)
    face = torch.rand(1, 3, 64, 64)
    second.fill(first.flat())
    torch.testing.assert_close(second(face)[0], first(face)[0])
    with pytest.raises(ValueError, match="weights"):
        second.fill(first.flat()[1:])


def test_the_painter_needs_the_points() -> None:
    painter = Painter(5, 4)
    other, points = torch.rand(1, 3, 64, 64), torch.rand(1, 5, 2).requires_grad_()
    picture = painter(other, points)
    assert picture.shape == other.shape
    image_loss(picture, other).backward()
    assert points.grad is not None
    assert points.grad.abs().max() > 0


def test_the_image_loss_is_0_for_the_same_image_only() -> None:
    face = torch.rand(2, 3, 64, 64)
    assert image_loss(face, face).item() == pytest.approx(0, abs=1e-4)
    assert image_loss(face.roll(2, 3), face).item() > 0.1


def test_training_brings_the_points_to_the_anchor(faces: Faces) -> None:
    data = torch.from_numpy(faces.images[:4]).permute(0, 3, 1, 2)[..., ::4, ::4].contiguous()
    goal = torch.tensor([[0.3, 0.4], [0.7, 0.4], [0.5, 0.7]]).expand(4, -1, -1)
    swap = np.array([1, 0, 2])

    def error(steps: int) -> float:
        detector = train(data, goal, swap, replace(TINY, steps=steps, batch=4, rate=5e-3), seed=0)
        with torch.no_grad():
            return float((detect(detector, data.float() / 255, swap) - goal).norm(dim=-1).mean())

    assert error(20) < 0.6 * error(1)


def test_training_is_reproducible(faces: Faces) -> None:
    data = torch.from_numpy(faces.images[:4]).permute(0, 3, 1, 2)[..., ::4, ::4].contiguous()
    goal = torch.full((4, 3, 2), 0.5)
    first, second = (train(data, goal, np.array([1, 0, 2]), TINY, seed=7).flat() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_anchor_lets_go_by_60_percent() -> None:
    assert held_at(0, 100) > held_at(30, 100) > 0
    assert held_at(60, 100) == held_at(99, 100) == 0


def test_points_that_are_near_repel_each_other() -> None:
    near, far = torch.tensor([[[0.5, 0.5], [0.51, 0.5]]]), torch.tensor([[[0.2, 0.5], [0.8, 0.5]]])
    assert nearness(near) > 0.5
    assert nearness(far) < 1e-6


def test_points_that_never_move_are_the_worst(telling: PointModel, faces: Faces) -> None:
    still = replace(telling, hold=np.full_like(telling.hold, 1e9))
    some = faces.images[:6]
    moving, frozen = (restlessness(m, some, np.random.default_rng(1)) for m in (telling, still))
    assert moving < 1 < frozen


def test_unsteady_points_are_searched_for(telling: PointModel, faces: Faces) -> None:
    untrained = with_net(telling, Detector(26, 4), 4)
    model = settled(untrained, telling, faces.images[:8], 4, np.random.default_rng(1))
    assert not model.kept.any(), "what an untrained detector says does not follow the face"
    own, anchor = (m.points(faces.images[:4]) for m in (model, telling))
    assert 128 * np.linalg.norm(own - anchor, axis=-1).mean() < 1.0


def test_drawn_points_are_a_point_model(drawn: PointModel, faces: Faces) -> None:
    _in_mirror_pairs(drawn)
    points = drawn.points(faces.images[:2])
    assert points.shape == (2, 26, 2)
    assert points.dtype == np.float32
    assert np.isfinite(points).all()


def test_drawn_points_are_kept_on_disk(
    telling: PointModel, faces: Faces, fitted: FittedPriors, tmp_path: Path
) -> None:
    model = with_net(telling, Detector(26, 4), 4)
    model = replace(model, kept=np.arange(26) < 13)
    info: FitInfo = replace(fitted.info, priors=("heat",), tier="gpu")
    student = Student(("heat",))
    save(FittedPriors(teachers=Teachers(heat=model), student=student, info=info), tmp_path / "fit")
    read = load(tmp_path / "fit").teachers.heat
    assert read is not None
    some = faces.images[:2]
    np.testing.assert_allclose(read.points(some), model.points(some), atol=1e-5)
    np.testing.assert_allclose(read.points(some)[:, 13:], telling.points(some)[:, 13:], atol=1e-5)


def test_the_student_starts_from_drawn_points(drawn: PointModel) -> None:
    student = new_student(Teachers(heat=drawn), seed=0)
    buffers = dict(student.named_buffers())
    torch.testing.assert_close(buffers["heads.heat.mean_points"], torch.from_numpy(drawn.mean))
