"""The store of fits: round trip, what serves what, and what is never read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.network import FaceSR
from models.size import count
from models.student import Student
from priors import fitted as fitting
from priors.checks import check
from priors.distill import Pupil
from priors.fitted import FittedPriors, PriorsError, choose_faces, fit, fit_or_load, load, save
from priors.pictures import BAR, CELL, prior_sheet
from priors.verdict import table
from tests.priors.conftest import Faces


@pytest.fixture
def store(fitted: FittedPriors, tmp_path: Path) -> Path:
    """A store that holds the fit."""
    save(fitted, tmp_path / "store" / fitted.info.fingerprint)
    return tmp_path / "store"


def refuse_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(fitting, "fit", refused)


def test_what_is_loaded_is_what_was_saved(fitted: FittedPriors, store: Path, faces: Faces) -> None:
    again = load(store / fitted.info.fingerprint)
    assert again.info == fitted.info
    assert again.fingerprint == fitted.fingerprint
    before, after = (f.targets(faces.image(0)) for f in (fitted, again))
    for prior, maps in before.items():
        np.testing.assert_allclose(maps, after[prior], atol=1e-5)
    assert {p: m.shape for p, m in before.items()} == {
        "parse": (12, 64, 64),
        "heat": (26, 64, 64),
        "dict": (9, 64, 64),
    }


def test_a_fit_that_serves_is_not_made_again(
    fitted: FittedPriors, store: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_fit(monkeypatch)
    for priors, steps in ((("parse", "heat", "dict"), 2), (("heat",), 1)):
        found = fit_or_load(faces, priors, folder=store, size=64, student_steps=steps)
        assert found.fingerprint == fitted.fingerprint


@pytest.mark.parametrize(
    "change", [{"size": 72}, {"student_steps": 3}, {"degradation": "first-order"}, {"seed": 1}]
)
def test_a_fit_does_not_serve_other_wishes(
    store: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    refuse_to_fit(monkeypatch)
    wishes: dict[str, object] = {"size": 64, "student_steps": 2, **change}
    with pytest.raises(AssertionError, match="fitted again"):
        fit_or_load(faces, folder=store, **wishes)  # type: ignore[arg-type]


def test_a_fit_of_other_faces_is_never_used(
    store: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_fit(monkeypatch)
    with pytest.raises(AssertionError, match="fitted again"):
        fit_or_load(faces.renamed("other"), folder=store, size=64, student_steps=2)


def test_damaged_half_written_and_old_fits_are_refused(
    fitted: FittedPriors, store: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store / fitted.info.fingerprint
    marker = folder / "priors.json"
    about = json.loads(marker.read_text())
    about["info"]["version"] -= 1
    whole = marker.read_text()
    marker.write_text(json.dumps(about))
    with pytest.raises(PriorsError, match="method version"):
        load(folder)
    marker.write_text(whole)
    damaged = bytearray((folder / "heat.npz").read_bytes())
    damaged[200] ^= 255
    (folder / "heat.npz").write_bytes(bytes(damaged))
    with pytest.raises(PriorsError, match=r"heat\.npz is missing or damaged"):
        load(folder)
    refuse_to_fit(monkeypatch)
    with pytest.raises(AssertionError, match="fitted again"):
        fit_or_load(faces, folder=store, size=64, student_steps=2)
    marker.unlink()
    with pytest.raises(PriorsError, match="no fitted priors"):
        load(folder)


def test_a_failed_save_leaves_nothing(
    fitted: FittedPriors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("priors.record.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        save(fitted, tmp_path / "fit")
    assert list(tmp_path.iterdir()) == []


def test_the_stronger_fit_is_preferred(fitted: FittedPriors, store: Path, faces: Faces) -> None:
    longer = replace(fitted, info=replace(fitted.info, student_steps=500))
    save(longer, store / longer.info.fingerprint)
    found = fit_or_load(faces, folder=store, size=64, student_steps=1)
    assert found.info.student_steps == 500


def test_a_student_with_fewer_priors_is_filled_and_a_foreign_one_refused(
    fitted: FittedPriors,
) -> None:
    student = Student(("dict",))
    fitted.load_into(student)
    for name, value in student.state_dict().items():
        assert torch.equal(value, fitted.student_state()[name])
    with pytest.raises(PriorsError, match="lack"):
        fitted.load_into(Student(("dict",), codes=16))


def test_what_a_student_keeps_of_its_teachers_is_counted(fitted: FittedPriors) -> None:
    teachers, student = fitted.teachers, fitted.student
    assert teachers.parse is not None
    shapes = {v.shape for v in fitted.student_state().values()}
    assert torch.Size(teachers.parse.chance.shape) not in shapes, "it has a coarser atlas"
    stored = sum(value.numel() for value in fitted.student_state().values())
    assert stored == count(student).total
    assert hasattr(FaceSR, "prior_maps")  # its only source of maps is its own student


def test_unknown_tier_and_priors_are_refused(faces: Faces, tmp_path: Path) -> None:
    with pytest.raises(PriorsError, match="tier 'great'"):
        fit_or_load(faces, folder=tmp_path, tier="great", student_steps=1)
    with pytest.raises(PriorsError, match="some of"):
        fit_or_load(faces, ("depth",), folder=tmp_path, student_steps=1)
    with pytest.raises(PriorsError, match="cannot be seen at 512"):
        fit_or_load(faces, folder=tmp_path, student_steps=1, geometries=(512,))


def test_large_sets_are_thinned_by_name_not_by_order(faces: Faces) -> None:
    many = Faces(np.zeros((700, 8, 8, 3), np.uint8))
    chosen = choose_faces(many, 0, 300)
    assert len(chosen) == 300
    assert set(chosen.names) != set(many.names[:300])
    assert list(chosen.names) == list(choose_faces(many, 0, 300).names)
    assert choose_faces(faces, 0, len(faces)) is faces


def test_checks_and_picture_cover_every_prior(fitted: FittedPriors, faces: Faces) -> None:
    pairs = [(faces.image(i)[::4, ::4].copy(), faces.image(i)) for i in range(3)]
    checks = check(fitted, pairs)
    assert {c.name.split(":")[0] for c in checks} == {"parse", "heat", "dict"}
    assert all(np.isfinite(c.value) for c in checks)
    assert len(table(checks).splitlines()) == len(checks) + 1
    sheet = prior_sheet(fitted, pairs)
    assert sheet.shape == (BAR + 3 * CELL, 8 * CELL, 3)
    assert sheet[BAR:].std() > 20


def test_a_killed_fit_goes_on_and_ends_the_same(
    faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    whole = fit(faces, ("dict",), size=64, student_steps=5)
    monkeypatch.setattr("priors.distill.KEEP_SECONDS", 0.0)
    learn, made = Pupil.take, 0

    def killed(*given: object) -> None:
        if given[2] == 3:  # step
            raise KeyboardInterrupt
        learn(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(Pupil, "take", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_or_load(faces, ("dict",), folder=tmp_path, size=64, student_steps=5)
    assert fitting.strongest(tmp_path, whole.info) is None, "half a fit is no fit"

    def counted(*given: object) -> None:
        nonlocal made
        made += 1
        learn(*given)  # type: ignore[arg-type]

    def refused(*_: object) -> None:
        raise AssertionError("the teacher was there")

    monkeypatch.setattr(Pupil, "take", counted)
    monkeypatch.setattr(fitting, "timed", refused)
    again = fit_or_load(faces, ("dict",), folder=tmp_path, size=64, student_steps=5)
    assert made == 2, "steps 3 and 4"
    assert again.fingerprint == whole.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == [whole.info.fingerprint]


def test_a_damaged_checkpoint_is_not_used(
    fitted: FittedPriors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "student.pt"
    pupil = Pupil(fitted.student, torch.optim.Adam(fitted.student.parameters()))
    pupil.write(path, 3, 9)
    assert pupil.read(path, 9) == 3
    assert pupil.read(path, 8) == 0, "another training"
    path.write_bytes(path.read_bytes()[:1000])
    assert pupil.read(path, 9) == 0
    assert "not used" in caplog.text


def test_stronger_tiers_need_their_optimiser(faces: Faces) -> None:
    with pytest.raises(ValueError, match="pass `optimiser`"):
        fit(faces, ("dict",), tier="gpu", size=64, student_steps=1)
