"""Codes of an autoencoder: same interface as patch codes, kept only where they are better."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from priors import tiers, vq_fit
from priors.answers import Teachers
from priors.checks import trial_checks
from priors.codebook import Codebook
from priors.decode import box_psnr
from priors.dictionary import PatchCodes, fit_codes, high_frequencies
from priors.first_student import new_student
from priors.fitted import fit_or_load
from priors.record import read_teacher, write_teacher
from priors.vq import Autoencoder, ReplacedCodes, VqCodes, bands, width_of
from priors.vq_fit import Plan, Trial, fit_vq, patch_quantiser, worn
from tests.priors.conftest import Faces
from train.prior_fit import student_optimiser

TOY = Plan(steps=24, batch=2, width=8, codes=32, patches=2000, rate=5e-3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def codes(faces: Faces) -> VqCodes:
    """Codes of a toy autoencoder, whatever its trial said."""
    torch.set_num_threads(1)
    patcher = pytest.MonkeyPatch()
    patcher.setattr(Trial, "kept", property(lambda _: True))
    made = fit_vq(faces.images[:12], np.random.default_rng(0), size=64, device=CPU, plan=TOY)
    patcher.undo()
    assert isinstance(made, VqCodes)
    return made


def test_codes_have_the_interface_of_patch_codes(codes: VqCodes, faces: Faces) -> None:
    some = faces.images[:2]
    ids = codes.ids(some, 128)
    assert ids.shape == (2, 64, 64)
    assert codes.codebook.shape == (32, 8)
    assert 0.5 < np.sqrt((codes.codebook[ids] ** 2).mean()) < 2
    np.testing.assert_array_equal(codes.ids(some, 64), ids[:, 1::2, 1::2])
    maps = codes.maps(some, 64)
    assert maps.shape == (2, 9, 64, 64)
    assert 0 <= maps[:, 8].min() <= maps[:, 8].max() <= 1
    student = new_student(Teachers(dict=codes), seed=0)
    held = dict(student.named_buffers())["heads.dict.codebook"]
    np.testing.assert_array_equal(held[:32], codes.codebook)


def test_own_codes_rebuild_a_face_better_than_another_s(codes: VqCodes, faces: Faces) -> None:
    own, other = box_psnr(codes, faces.images[:1], [faces.image(i) for i in range(6)])
    assert own > other + 0.5
    assert own > -10 * np.log10((high_frequencies(faces.image(0)) ** 2).mean())


def test_codes_are_saved_and_loaded(codes: VqCodes, tmp_path: Path) -> None:
    path = tmp_path / "dict.npz"
    with path.open("wb") as file:
        write_teacher(file, codes)
    again = read_teacher(path, "dict")
    assert isinstance(again, VqCodes)
    faces = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3), np.uint8)
    np.testing.assert_allclose(again.vectors(faces, 64), codes.vectors(faces, 64), atol=1e-4)
    np.testing.assert_array_equal(again.codebook, codes.codebook)
    np.testing.assert_array_equal(again.trial, codes.trial)


def test_patch_codes_are_kept_where_they_win_and_the_table_says_so(
    faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(TOY, steps=2)
    for rival, kind in ((19.0, VqCodes), (21.0, ReplacedCodes)):
        scores = iter([(20.0, 18.0), (rival, 18.0)])
        monkeypatch.setattr(vq_fit, "trial", lambda *_, scores=scores: next(scores))
        made = fit_vq(faces.images[:12], np.random.default_rng(0), size=64, device=CPU, plan=plan)
        assert type(made) is kind
    (told,) = trial_checks(made)
    assert "replaced" in told.name
    assert told.passed
    assert told.value == told.partner + 1  # type: ignore[operator]
    path = tmp_path / "dict.npz"
    with path.open("wb") as file:
        write_teacher(file, made)
    assert isinstance(read_teacher(path, "dict"), ReplacedCodes)
    assert Trial(20, 19.5, 10, 10).kept is False, "own codes must be 1 dB ahead of another's"


def test_rival_s_codes_are_the_patch_codes(faces: Faces) -> None:
    patches = fit_codes(faces.images[:4], np.random.default_rng(0), size=128, codes=64)
    high, _ = bands(faces.images[:2])
    told = patch_quantiser(patches, CPU)(high).permute(0, 2, 3, 1).numpy()
    wanted = patches.codebook[patches.ids(faces.images[:2], 128)]
    assert (np.abs(told - wanted).max(-1) < 1e-4).mean() > 0.999


def test_codebook_follows_its_vectors_and_restarts_unused_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[4.0, 0], [0, 4], [-4, 0], [0, -4]])
    flat = centres.repeat(50, 1) + 0.1 * torch.randn(200, 2, generator=generator)
    book = Codebook.from_vectors(flat[:1].repeat(9, 1), 16, generator)
    for step in range(200):
        ids = book.ids(flat)
        book.follow(flat, ids)
        if step % 10 == 0:
            book.restart(flat, generator)
    assert torch.cdist(centres, book.codes).min(1).values.max() < 0.5
    assert len(book.ids(flat).unique()) > 8


def test_worn_faces_are_blurred_or_noisy_and_as_many_as_asked_for() -> None:
    high = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    one, again = (worn(high, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    changed = (one != high).flatten(1).any(1)
    assert 8 < int(changed.sum()) < 32
    assert (one[changed].std() < 0.6 * high.std()).item()
    assert worn(high, 0.0, torch.Generator()) is high


def test_width_is_read_from_the_number_of_weights() -> None:
    assert width_of(sum(p.numel() for p in Autoencoder(24).parameters())) == 24
    with pytest.raises(ValueError, match="no autoencoder"):
        width_of(7)


def test_the_tiers_fit_their_codes_and_a_student(
    faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(tiers, "fit_vq", partial(fit_vq, plan=replace(TOY, steps=2)))
    monkeypatch.setattr(tiers, "CPU_PATCHES", 3000)
    few = Faces(faces.images[:12])
    kinds = (("cpu", (PatchCodes,)), ("gpu", (VqCodes, ReplacedCodes)))
    for tier, kind in kinds:
        made = fit_or_load(
            few,
            ("dict",),
            folder=tmp_path,
            tier=tier,
            size=64,
            student_steps=1,
            optimiser=student_optimiser,
        )
        assert isinstance(made.teachers.dict, kind)
        again = fit_or_load(few, ("dict",), folder=tmp_path, size=64, student_steps=1)
        assert again.info.tier == tier, "stronger than quick"
        assert again.fingerprint == made.fingerprint
