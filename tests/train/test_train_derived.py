"""Training what a search found: subsets of priors, the student, the cap, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from models.artifact import load_network
from models.genotype import Genotype, save_genotype
from models.network import FaceSR
from models.prior_source import source_of
from models.size import CapError, meta_count
from tests.train.conftest import tiny_space
from train import ending, train_derived
from train.derived import chosen_genotype
from train.initial import fresh_network


def _write(path: Path, priors: tuple[str, ...]) -> Genotype:
    space = tiny_space(priors)
    counts = meta_count(space).named()
    genotype = Genotype(
        space=space, counts=counts, priors=dict.fromkeys(priors, "ab"), provenance={"seed": 7}
    )
    save_genotype(path, genotype)
    return genotype


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Return a found.json with all three priors, beside a folder of six pictures."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(6):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(coarse, (128, 128)))
    _write(tmp_path / "found.json", ("parse", "heat", "dict"))
    return tmp_path / "found.json"


@pytest.fixture
def student_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return the priors of every student that was asked for; none is fitted, they become 0.01."""
    calls: list[tuple[str, ...]] = []

    class Fit:
        fingerprint = "cd"
        info = SimpleNamespace(tier="quick")

        def load_into(self, student: torch.nn.Module) -> None:
            for value in student.parameters():
                torch.nn.init.constant_(value, 0.01)

    def fitted(config: object, priors: tuple[str, ...], *_: object, **__: object) -> Fit | None:
        calls.append(priors)
        return Fit() if priors else None

    monkeypatch.setattr(train_derived, "fitted_priors", fitted)
    return calls


def _flags(found: Path, out: str, *more: str) -> list[str]:
    lengths = ["--preset", "lab", "--steps", "2", "--faces", "1", "--validate-pairs", "1"]
    places = ["--data", str(found.parent / "faces"), "--cache", str(found.parent / "cache")]
    rest = ["--threads", "1", "--workers", "0", "--out", str(found.parent / out), *more]
    return ["--genotype", str(found), *lengths, *places, *rest]


def test_counts_of_an_older_file_are_counted_anew(tmp_path: Path) -> None:
    genotype = _write(tmp_path / "found.json", ())
    stale = dict.fromkeys(genotype.counts, 1)
    save_genotype(tmp_path / "old.json", replace(genotype, counts=stale))
    chosen = chosen_genotype(tmp_path / "old.json", priors=None, refit_width=False, cap=2_276_355)
    assert chosen.counts == genotype.counts


def test_a_subset_of_the_priors_is_a_smaller_network_without_a_new_search(found: Path) -> None:
    def size(*priors: str, refit: bool = False) -> int:
        chosen = chosen_genotype(found, priors=priors, refit_width=refit, cap=2_000_000)
        assert chosen.space.priors == priors
        assert set(chosen.priors) == set(priors)
        assert chosen.counts["total"] == meta_count(chosen.space).total
        return chosen.counts["total"]

    whole = chosen_genotype(found, priors=None, refit_width=False, cap=2_000_000)
    assert whole.space.priors == ("parse", "heat", "dict")
    assert size() < size("heat") < size("heat", "dict") < whole.counts["total"]
    assert size("heat") < size("heat", refit=True) <= 2_000_000


def test_the_network_s_file_has_the_student_and_where_all_comes_from(
    found: Path, student_calls: list[tuple[str, ...]]
) -> None:
    assert ending.run(train_derived.main, _flags(found, "run", "--priors", "heat", "dict")) == 0
    assert student_calls == [("heat", "dict")]
    loaded = load_network(found.parent / "run" / "best.safetensors")
    assert isinstance(loaded.net, FaceSR)
    assert loaded.net.space.priors == ("heat", "dict")
    assert loaded.net.student is not None
    assert all((value == 0.01).all() for value in loaded.net.student.parameters())
    about = loaded.metadata
    assert about["priors"] == {"fingerprint": "cd", "tier": "quick"}
    assert about["provenance"] == {"seed": 7}
    assert about["counts"]["parameters"] == sum(p.numel() for p in loaded.net.parameters())
    assert {"psnr", "psnr_pass1", "psnr_pass2"} <= set(about["training"])


def test_resume_keeps_the_genotype_and_the_student_that_it_began_with(
    found: Path, student_calls: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_derived, "train", _stops_after_saving(train_derived.train))
    with pytest.raises(_Stopped):
        train_derived.main(_flags(found, "run"))
    monkeypatch.undo()
    monkeypatch.setattr(train_derived, "fitted_priors", None)
    _write(found, ())
    out = found.parent / "run"
    assert ending.run(train_derived.main, ["--resume", "--out", str(out)]) == 0
    loaded = load_network(out / "best.safetensors")
    assert isinstance(loaded.net, FaceSR)
    assert loaded.net.space.priors == ("parse", "heat", "dict")
    assert loaded.metadata["priors"] == {"fingerprint": "cd", "tier": "quick"}


class _Stopped(Exception):  # noqa: N818
    pass


def _stops_after_saving(real: Any) -> Any:
    def train(net: FaceSR, **values: Any) -> None:
        real(net, **values)
        raise _Stopped

    return train


def test_over_the_cap_is_refused_with_the_table(
    found: Path, student_calls: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending.run(train_derived.main, _flags(found, "run", "--cap", "1000")) == 2
    error = capsys.readouterr().err
    assert "the cap is 1,000" in error
    assert "branches.heat" in error
    assert not student_calls
    with pytest.raises(CapError):
        chosen_genotype(found, priors=None, refit_width=True, cap=1000)


def test_a_missing_or_broken_genotype_is_named(
    found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found.write_text("{}")
    assert ending.run(train_derived.main, _flags(found, "run")) == 2
    assert "found.json: format is None" in capsys.readouterr().err
    found.unlink()
    assert ending.run(train_derived.main, _flags(found, "run")) == 2
    assert "found.json: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["template", "oracle"])
def test_a_control_arm_trains_resumes_and_is_recorded(
    source: str, found: Path, student_calls: list[tuple[str, ...]]
) -> None:
    flags = _flags(found, "run", "--prior-source", source, "--lq-crop", "0", "--crops", "1")
    assert ending.run(train_derived.main, flags) == 0
    loaded = load_network(found.parent / "run" / "best.safetensors")
    assert source_of(loaded.net) == source
    assert loaded.metadata["config"]["prior_source"] == source
    again = ["--resume", "--out", str(found.parent / "run")]
    assert ending.run(train_derived.main, again) == 0


def test_the_oracle_needs_whole_faces(
    found: Path, student_calls: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = _flags(found, "run", "--prior-source", "oracle", "--lq-crop", "16")
    assert ending.run(train_derived.main, flags) == 2
    assert "needs whole faces" in capsys.readouterr().err


def test_networks_with_and_without_a_prior_start_alike() -> None:
    whole = tiny_space(("parse", "heat", "dict"))
    all_three = fresh_network(whole, whole, 5).state_dict()
    part = fresh_network(whole.with_priors(("heat",)), whole, 5).state_dict()
    alike = [name for name in part if part[name].shape == all_three[name].shape]
    assert len(alike) > 0.9 * len(part)
    assert all(torch.equal(part[name], all_three[name]) for name in alike)
    other = fresh_network(whole, whole, 6).state_dict()
    assert not torch.equal(other["intake.weight"], all_three["intake.weight"])
