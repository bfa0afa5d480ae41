"""The student: shapes, ranges, size, subsets of priors, and what each head's numbers mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from models.atlas import FEATURES, explain, features_of, lab
from models.size import count
from models.space import PRIOR_CHANNELS, PRIORS
from models.student import Student, student_input
from models.student_heads import LARGEST, DictHead, HeatHead, draw_points


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    return Student().eval()


@pytest.mark.parametrize("size", [64, 128])
def test_maps_have_shape_and_range(student: Student, size: int) -> None:
    with torch.no_grad():
        maps = student(torch.rand(2, 3, size, size))
    assert set(maps) == set(PRIORS)
    for prior, channels in PRIOR_CHANNELS.items():
        assert maps[prior].shape == (2, channels, size, size)
    torch.testing.assert_close(maps["parse"].sum(1), torch.ones(2, size, size))
    assert 0 <= maps["heat"].min() <= maps["heat"].max() <= 1
    assert 0 <= maps["dict"][:, 8].min() <= maps["dict"][:, 8].max() <= 1


def test_maps_are_float32_where_the_rest_computes_in_bfloat16(student: Student) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = student(torch.rand(1, 3, 64, 64))
    assert {value.dtype for value in maps.values()} == {torch.float32}


def test_size_is_within_the_budget_and_counts_learned_buffers(student: Student) -> None:
    counted = count(student)
    buffers = sum(b.numel() for b in student.buffers())
    parse, heat, codes = (
        12 * 32 * 32 + 2 * 12 * FEATURES,
        26 * (2 + 3 * 11 * 11) + 24 * (52 + 1),
        512 * 8,
    )
    assert counted.learned_buffers == buffers == parse + heat + codes
    assert counted.total <= 230_000


def test_every_persistent_tensor_is_counted(student: Student) -> None:
    saved = sum(v.numel() for v in student.state_dict().values())
    assert saved == count(student).total


@pytest.mark.parametrize("priors", [("parse",), ("heat", "dict"), ("dict", "parse")])
def test_a_subset_builds_only_its_heads_and_says_the_same(
    student: Student, priors: tuple[str, ...]
) -> None:
    part = Student(priors).eval()
    assert set(part.heads) == set(priors)
    part.load_state_dict({n: v for n, v in student.state_dict().items() if n in part.state_dict()})
    face = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole, alone = student(face), part(face)
    for prior in priors:
        torch.testing.assert_close(alone[prior], whole[prior])


def test_what_cannot_be_built_or_seen_is_refused(student: Student) -> None:
    with pytest.raises(ValueError, match="some of"):
        Student(())
    with pytest.raises(ValueError, match="some of"):
        Student(("depth",))
    with pytest.raises(ValueError, match="dict needs 5"):
        Student(("dict",), code_dim=4)
    with pytest.raises(ValueError, match="multiple of 8"):
        student(torch.rand(1, 3, 60, 60))


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    student = Student()
    for name in ("parse.score", "heat.offset"):  # they start at zero: nothing flows back
        torch.nn.init.normal_(student.get_parameter(f"heads.{name}.weight"))
    maps = student(torch.rand(1, 3, 64, 64))
    torch.stack([(m * torch.randn_like(m)).sum() for m in maps.values()]).sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_points_are_found_and_corrected() -> None:
    head = HeatHead(4, 26)
    face, half = torch.rand(1, 3, 64, 64), torch.ones(1, 4, 32, 32)
    usual = (head.mean_points + 0.5) / 128
    torch.testing.assert_close(head(face, half)[0], usual)  # without patches they stay
    torch.nn.init.constant_(head.get_parameter("offset.bias"), 0.1)
    torch.testing.assert_close(head(face, half)[0], usual + 0.1 / 128, atol=1e-6, rtol=0)
    torch.nn.init.constant_(head.get_parameter("offset.bias"), 99.0)
    torch.testing.assert_close(head(face, half)[0], usual + LARGEST / 128)


def test_drawn_points_peak_at_one_with_the_stated_width() -> None:
    heat = draw_points(torch.tensor([[(64 + 0.5) / 128, (40 + 0.5) / 128]]), 128)[0]
    assert heat[40, 64] == pytest.approx(1.0)
    assert heat[40, 66] == pytest.approx(torch.exp(torch.tensor(-0.5)).item(), abs=1e-5)
    assert heat.argmax().item() == 40 * 128 + 64


def test_expected_code_and_confidence_follow_the_scores() -> None:
    head = DictHead(4, 512, 8)
    scores = torch.zeros(1, 512, 4, 4)
    codes = head.codes(scores)[0, :, 0, 0]
    torch.testing.assert_close(codes[:8], head.codebook.mean(0), atol=1e-5, rtol=0)
    assert codes[8] == pytest.approx(0.0, abs=1e-5)
    scores[:, 7] = 100.0
    codes = head.codes(scores)[0, :, 0, 0]
    torch.testing.assert_close(codes[:8], head.codebook[7])
    assert codes[8] == pytest.approx(1.0)


def test_the_atlas_finds_a_region_that_it_only_suggests() -> None:
    face = torch.full((1, 3, 32, 32), 0.8)
    face[:, :, :, :20] = 0.2
    chance = torch.full((2, 32, 32), 0.3)
    chance[0, :, :16] = 0.7
    chance[1] = 1 - chance[0]
    usual = torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.0, 0.0]])
    found = explain(features_of(face), chance, usual, torch.full((2, 3), 0.02)).posterior
    torch.testing.assert_close(found.sum(1), torch.ones(1, 32, 32))
    assert found[0, 0, :, :19].min() > 0.5 > found[0, 0, :, 21:].max()


def test_lab_is_that_of_an_independent_implementation() -> None:
    face = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    face[0, :, :4] *= 0.02
    for one, found in zip(face, lab(face), strict=True):
        wanted = rgb2lab(one.permute(1, 2, 0).numpy()) / 100
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), wanted, atol=1e-3)


def test_student_input_keeps_range_and_leaves_the_right_size_alone() -> None:
    face = torch.rand(1, 3, 32, 32)
    assert student_input(face, 32) is face
    resized = student_input(face, 64)
    assert resized.shape == (1, 3, 64, 64)
    assert 0 <= resized.min() <= resized.max() <= 1
