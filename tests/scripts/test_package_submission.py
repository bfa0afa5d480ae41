"""Auditing and packing as typed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.folders import write_png
from models.artifact import save_network
from models.network import FaceSR
from models.size import count
from models.space import CAP
from models.zoo import build
from scripts import audit, package_submission
from tests.train.conftest import tiny_space

CLEAN: dict[str, Any] = {
    "fingerprints": {"data": "ab", "val": "cd"},
    "held_out_trained_on": [],
    "init": None,
    "config": {"loss": ["l1"]},
    "training": {"step": 3, "psnr": 28.0},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with three LQ, a clean network and one that saw validation faces."""
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        write_png(tmp_path / "lq" / f"{i:05d}.png", picture)
    net = build("srcnn")
    (tmp_path / "run").mkdir()
    save_network(tmp_path / "run" / "best.safetensors", net, metadata=CLEAN)
    seen = {**CLEAN, "held_out_trained_on": ["00007"]}
    save_network(tmp_path / "seen.safetensors", net, metadata=seen)
    (tmp_path / "run" / "log.jsonl").write_text('{"kind": "train", "step": 1, "loss": 0.5}\n')
    return tmp_path


def _argv(place: Path, *more: str) -> list[str]:
    checkpoint = place / "run" / "best.safetensors"
    return ["--checkpoint", str(checkpoint), "--inputs", str(place / "lq"), *more]


def test_a_clean_network_is_packed_and_twice_the_same(place: Path) -> None:
    for out in ("a", "b"):
        assert package_submission.main(_argv(place, "--out", str(place / out))) == 0
    zips = [(place / out / "submission.zip").read_bytes() for out in ("a", "b")]
    assert zips[0] == zips[1]
    with zipfile.ZipFile(place / "a" / "submission.zip") as archive:
        assert archive.namelist() == [f"results/{i:05d}.png" for i in range(3)]
    with zipfile.ZipFile(place / "a" / "bundle.zip") as archive:
        inside = set(archive.namelist())
    assert {"Readme.txt", "report.pdf", "submission.zip", "code.zip", "log.jsonl"} <= inside
    shown = re.findall(r"\]\(([^)]+\.png)\)", (place / "a" / "report.md").read_text())
    assert set(shown) <= inside, "the report's pictures go with it"
    assert len(shown) == 2
    assert "best.safetensors" in inside
    with zipfile.ZipFile(place / "a" / "code.zip") as archive:
        assert {"README.md", "models/network.py"} <= set(archive.namelist())
    report = (place / "a" / "report.md").read_text()
    assert "![Training loss" in report
    assert "20,099" in report


def test_a_broken_rule_is_refused_and_nothing_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = _argv(place, "--out", str(place / "out"))
    argv[1] = str(place / "seen.safetensors")
    assert package_submission.main(argv) == 1
    assert "trained on 1 validation faces: 00007" in capsys.readouterr().err
    assert not (place / "out").exists()


def _wide() -> FaceSR:
    """Return a network over the cap."""
    space = tiny_space()
    net = FaceSR(replace(space, width=replace(space.width, channels=256, growth=128, blocks=4)))
    assert count(net).total > CAP
    return net


@pytest.mark.parametrize(
    ("make", "change", "said"),
    [
        (_wide, {}, f"the cap is {CAP:,}"),
        (None, {"perceptual": {"noncompliant": "VGG-16 features"}}, "perceptual loss with VGG-16"),
        (None, {"priors": {"tier": "external", "fingerprint": "ab"}}, "priors of the tier 'ext"),
        (None, {"held_out_trained_on": ["00007"]}, "trained on 1 validation faces: 00007"),
    ],
    ids=["over-the-cap", "vgg", "external-labels", "validation-faces"],
)
def test_what_breaks_a_rule_is_never_packed(
    make: Callable[[], FaceSR] | None,
    change: dict[str, Any],
    said: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = make() if make is not None else build("srcnn")
    save_network(place / "broken.safetensors", net, metadata={**CLEAN, **change})
    argv = _argv(place, "--out", str(place / "out"))
    argv[1] = str(place / "broken.safetensors")
    assert package_submission.main(argv) == 1
    assert said in capsys.readouterr().err
    assert not (place / "out").exists()


def test_bad_inputs_and_a_full_folder_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert package_submission.main(_argv(place, "--out", str(place / "run"))) == 2
    assert "holds another run" in capsys.readouterr().err
    write_png(place / "lq" / "wide.png", np.zeros((16, 20, 3), np.uint8))
    assert package_submission.main(_argv(place, "--out", str(place / "out"))) == 2
    assert "LQ of several sizes" in capsys.readouterr().err


def test_the_size_limit_is_told_by_the_exit_status(place: Path) -> None:
    argv = _argv(place, "--out", str(place / "out"), "--max-mb", "0.001")
    assert package_submission.main(argv) == 1


def test_audit_exits_by_what_it_finds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--checkpoint", str(place / "run" / "best.safetensors")]) == 0
    assert "every rule is kept" in capsys.readouterr().out
    assert audit.main(["--checkpoint", str(place / "seen.safetensors")]) == 1
    assert "BROKEN  trained on 1 validation faces" in capsys.readouterr().out
    assert audit.main(["--checkpoint", str(place / "none.safetensors")]) == 2


def test_a_network_for_other_faces_is_warned_about(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = {**CLEAN, "config": {"preset": "quick", "data": None, "loss": ["l1"]}}
    save_network(place / "toy.safetensors", build("srcnn"), metadata=toy)
    argv = _argv(place, "--dry-run")
    argv[1] = str(place / "toy.safetensors")
    assert package_submission.main(argv) == 0
    told = capsys.readouterr().out
    assert "trained on the embedded synthetic faces" in told
    assert "the LQ are of 16 px, the network was trained on faces of 32 px" in told
