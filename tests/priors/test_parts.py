"""The part network: it learns from its anchor, is mirror-symmetric and is stored with the atlas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from priors.fitted import FittedPriors, load, save
from priors.parse import ParseAtlas, fit_atlas, small_faces
from priors.part_training import anchor, fit_parts, mixture_loss, part_loss, views, warped
from priors.parts import SIDE, PartNetwork, from_vector, to_vector
from priors.tiers import TIERS, TeacherTask
from tests.priors.conftest import Faces

PLAN = ((32, 1),)


@pytest.fixture(scope="module")
def taught(faces: Faces) -> ParseAtlas:
    """A network of a few steps on two faces."""
    return fit_parts(
        faces.images[:2], seed=0, device=torch.device("cpu"), steps=16, batch=1, plan=PLAN
    )


def test_the_network_comes_near_its_anchor(taught: ParseAtlas, faces: Faces) -> None:
    told = taught.maps(faces.images[:2], 64)
    atlas = replace(taught, network=np.empty(0, np.float32))
    assert told.shape == (2, 12, 64, 64)
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-4)
    labels = atlas.maps(faces.images[:2], 64).argmax(1)
    assert (told.argmax(1) == labels).mean() > 0.5


@pytest.mark.parametrize("size", [32, 160])
def test_a_mirrored_face_has_the_mirrored_maps(taught: ParseAtlas, faces: Faces, size: int) -> None:
    some = faces.images[:1]
    maps, mirrored = (taught.maps(np.ascontiguousarray(f), size) for f in (some, some[:, :, ::-1]))
    assert maps.shape == (1, 12, size, size)
    np.testing.assert_allclose(maps[..., ::-1], mirrored, atol=1e-4)


def test_the_network_is_stored_and_the_student_starts_from_its_anchor(
    taught: ParseAtlas, fitted: FittedPriors, faces: Faces, tmp_path: Path
) -> None:
    teachers = replace(fitted.teachers, parse=taught)
    save(replace(fitted, teachers=teachers), tmp_path / "fit")
    again = load(tmp_path / "fit").teachers.parse
    assert again is not None
    before, after = (a.maps(faces.images[:1], 64) for a in (taught, again))
    np.testing.assert_allclose(before, after, atol=1e-5)
    plain = fit_atlas(faces.images[:2], PLAN)
    np.testing.assert_allclose(taught.chance, plain.chance)


def test_weights_of_another_network_are_refused() -> None:
    weights = to_vector(PartNetwork(12))
    assert to_vector(from_vector(weights, 12)).tobytes() == weights.tobytes()
    with pytest.raises(ValueError, match="weights of a part network"):
        from_vector(weights[:-1], 12)


def test_a_view_moves_image_and_maps_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    grid = views(6, generator, torch.device("cpu"))
    x = torch.rand(6, 1, 4, 4, generator=generator)
    large = torch.nn.functional.interpolate(x, (SIDE, SIDE), mode="bicubic")
    half = torch.nn.functional.avg_pool2d(large, 2)
    seen = torch.nn.functional.avg_pool2d(warped(large, grid), 2)
    torch.testing.assert_close(warped(half, grid), seen, atol=0.02, rtol=0)
    assert (seen - half).abs().mean() > 0.02


def test_maps_that_follow_the_colours_explain_them_better() -> None:
    colours = torch.zeros(1, 3, 16, 16)
    colours[..., :8] = 0.5
    right, wrong = torch.full((2, 1, 12, 16, 16), 1e-3)
    right[:, 7, :, :8] = right[:, 8, :, 8:] = 1
    wrong[:, 7, :8], wrong[:, 8, 8:] = 1, 1
    losses = [mixture_loss(m.log(), colours) for m in (right, wrong)]
    assert losses[0] < losses[1] - 0.5


def test_every_weight_gets_a_gradient(faces: Faces) -> None:
    torch.manual_seed(0)
    network = PartNetwork(12)
    small = small_faces(faces.images[:2], SIDE)
    target = anchor(fit_atlas(faces.images[:2], ((32, 1),)), small).float() / 255
    loss = part_loss(network, small.float() / 255, target, 0.5, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_stronger_tiers_have_every_prior() -> None:
    assert list(TIERS) == ["quick", "cpu", "gpu"]
    assert all(set(tier) == {"parse", "heat", "dict"} for tier in TIERS.values())


def test_the_gpu_tier_is_a_toy_on_the_cpu(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priors.tiers.TOY_STEPS", 1)
    monkeypatch.setattr("priors.tiers.TOY_BATCH", 1)
    few = Faces(faces.images[:2])
    task = TeacherTask(source=few, size=64, seed=0, device=torch.device("cpu"))
    teacher = TIERS["gpu"]["parse"](task)
    assert teacher.maps(few.images[:1], 64).shape == (1, 12, 64, 64)
    assert teacher.network.size > 0
