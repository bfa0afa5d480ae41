"""The commands evaluate and restore, from files on disk to files on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.folders import read_rgb, write_png
from data.synthetic import render_face
from evaluation.evaluate import main
from evaluation.metrics import psnr
from models.artifact import save_network
from models.zoo import build
from scripts import restore as restore_script


@pytest.fixture
def pairs(run_root: Path) -> Path:
    """A folder of three pairs, HQ 64 and LQ 16."""
    rng = np.random.default_rng(0)
    for number in range(3):
        rough = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        hq = cv2.resize(rough, (64, 64), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        lq = cv2.resize(hq, (16, 16), interpolation=cv2.INTER_AREA).astype(np.uint8)
        write_png(run_root / "pairs" / "GT" / f"{number:05d}.png", hq)
        write_png(run_root / "pairs" / "LQ" / f"{number:05d}.png", lq)
    return run_root / "pairs"


@pytest.fixture
def network(run_root: Path) -> Path:
    """A run folder with an untrained network."""
    torch.manual_seed(0)
    path = run_root / "runs" / "train_baseline-001" / "best.safetensors"
    save_network(path, build("rdb-plain"))
    return path


def test_a_network_is_scored_and_its_pictures_give_the_same_score(
    pairs: Path, network: Path, run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", "pairs", "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "rdb" in told or "2,147,507" in told
    assert "next: python scripts/restore.py" in told
    out = run_root / "runs" / "evaluate-001"
    values = json.loads((out / "results.json").read_text())
    assert values["images"] == 3
    assert values["parameters"] == 2_147_507
    assert len(values["passes"]) == 1
    by_hand = [
        psnr(read_rgb(out / "restored" / path.name), read_rgb(path))
        for path in sorted((pairs / "GT").iterdir())
    ]
    assert values["psnr"] == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert read_rgb(out / "faces.png").shape[1] == 4 * 256

    assert main(["--pred", str(out / "restored"), "--gt", "pairs/GT", "--out", "again"]) == 0
    again = json.loads((run_root / "again" / "results.json").read_text())
    assert again["psnr"] == pytest.approx(values["psnr"], abs=1e-12)
    assert again["bicubic_psnr"] is None


def test_a_run_is_scored_on_its_own_validation_set(run_root: Path) -> None:
    torch.manual_seed(0)
    config: dict[str, object] = {
        "preset": "quick",
        "degradation": "first-order",
        "data": None,
        "val": None,
    }
    config |= {"synthetic_count": 1, "synthetic_val": 2, "model": "rdb-plain", "lr": 0.1}
    path = run_root / "best.safetensors"
    save_network(path, build("rdb-plain"), metadata={"config": config})
    assert main(["--checkpoint", str(path), "--out", "out", "--device", "cpu"]) == 0
    values = json.loads((run_root / "out" / "results.json").read_text())
    assert values["images"] == 2
    assert values["data"] == "held-out embedded faces, HQ 128 px, first-order LQ"


def test_a_dry_run_writes_nothing(pairs: Path, network: Path, run_root: Path) -> None:
    assert main(["--data", "pairs", "--dry-run"]) == 0
    assert [path.name for path in (run_root / "runs").iterdir()] == ["train_baseline-001"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "train first"),
        (["--pred", "pairs/GT"], "--pred and --gt belong together"),
        (["--checkpoint", "pairs/GT/00000.png"], "give a .safetensors or .pth file"),
        (["--pred", "pairs/LQ", "--gt", "pairs/GT"], "00000: restored and HQ differ in size"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    pairs: Path, flags: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags) == 2
    assert reason in capsys.readouterr().err


def test_without_a_record_of_its_data_a_network_needs_data(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 2
    assert "give --data DIR" in capsys.readouterr().err


def test_restore_writes_every_picture_of_a_folder(
    pairs: Path, network: Path, run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(pairs / "LQ" / "odd.png", np.full((9, 14, 3), 80, np.uint8))
    assert restore_script.main(["pairs/LQ", "--out", "restored", "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"warning: odd is 14x9 px, not square", told)
    assert "trained on faces of 128x128" in told
    names = sorted(path.name for path in (run_root / "restored").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png", "odd.png"]
    assert read_rgb(run_root / "restored" / "odd.png").shape == (36, 56, 3)


def test_restore_lists_every_picture_that_cannot_be_used(
    pairs: Path, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pairs / "LQ" / "00001.png").write_bytes(b"broken")
    write_png(pairs / "LQ" / "photo.png", np.zeros((4, 5000, 3), np.uint8))
    assert restore_script.main(["pairs/LQ"]) == 2
    told = capsys.readouterr().err
    assert "00001.png" in told
    assert "is 5000x4 px, sides from 2 to 4096 work" in told
    assert restore_script.main(["absent.png"]) == 2
    assert "absent.png does not exist" in capsys.readouterr().err


def test_lq_are_made_anew_and_niqe_names_its_model(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(run_root / "net.safetensors", build("srcnn"))
    for number in range(3):
        hq = render_face(number, size=128).image
        write_png(run_root / "some" / "GT" / f"{number}.png", hq)
        write_png(run_root / "some" / "LQ" / f"{number}.png", np.zeros((32, 32, 3), np.uint8))
    argv = ["--checkpoint", "net.safetensors", "--data", "some", "--lq", "nearest"]
    assert main([*argv, "--niqe-faces", "some/GT", "--out", "scored"]) == 2
    assert "NIQE needs over 36" in capsys.readouterr().err
    for number in range(3, 24):
        write_png(run_root / "hq" / f"{number}.png", render_face(number, size=128).image)
    assert main([*argv, "--niqe-faces", "hq", "--out", "again"]) == 0
    values = json.loads((run_root / "again" / "results.json").read_text())
    assert values["bicubic_psnr"] > 15, "of black LQ it would be below 10"
    assert values["niqe"]["model"].startswith("fitted on 21 faces")
    assert values["niqe_faces"] == "hq"
    assert values["niqe"]["hq"] < values["niqe"]["bicubic"]
    assert main(["--pred", "hq", "--gt", "hq", "--lq", "nearest"]) == 2


def test_one_network_is_scored_on_several_inputs(
    pairs: Path, network: Path, run_root: Path
) -> None:
    argv = ["--data", "pairs", "--lq", "nearest", "bicubic", "--diversity", "2", "--noise", "9"]
    assert main([*argv, "--out", "cross"]) == 0
    rows = json.loads((run_root / "cross" / "series.json").read_text())
    assert [row["label"] for row in rows] == ["nearest", "bicubic"]
    for row in rows:
        alone = json.loads((run_root / "cross" / row["label"] / "results.json").read_text())
        assert row["psnr"] == alone["psnr"]
        assert row["diversity"] == alone["diversity"]["mean"] > 0
        assert alone["diversity"]["sigma"] == 9.0
    assert rows[0]["bicubic_psnr"] != rows[1]["bicubic_psnr"]


def test_every_snapshot_of_a_run_is_scored_and_drawn(pairs: Path, run_root: Path) -> None:
    run = run_root / "runs" / "train_baseline-001"
    for step in (5, 10):
        torch.manual_seed(step)
        save_network(run / "snapshots" / f"step-{step:09d}.safetensors", build("srcnn"))
    assert main(["--checkpoint", str(run), "--data", "pairs", "--out", "steps"]) == 0
    rows = json.loads((run_root / "steps" / "series.json").read_text())
    assert [row["label"] for row in rows] == ["step-000000005", "step-000000010"]
    assert rows[0]["psnr"] != rows[1]["psnr"]
    assert read_rgb(run_root / "steps" / "series.png").std() > 10
    (run_root / "empty").mkdir()
    assert main(["--checkpoint", "empty", "--data", "pairs"]) == 2


def test_several_networks_are_averaged(
    pairs: Path, run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        torch.manual_seed(step)
        save_network(run_root / f"{step}.safetensors", build("srcnn"))
    both = ["--data", "pairs", "--checkpoint", "1.safetensors", "2.safetensors"]
    for average, parameters in (("outputs", 2 * 20_099), ("weights", 20_099)):
        assert main([*both, "--average", average, "--out", average]) == 0
        values = json.loads((run_root / average / "results.json").read_text())
        assert (values["parameters"], values["average"]) == (parameters, average)
    save_network(run_root / "3.safetensors", build("espcn"))
    assert main([*both, "3.safetensors", "--average", "weights"]) == 2
    assert "3.safetensors: another architecture" in capsys.readouterr().err


def test_restore_takes_patterns_and_draws_samples(
    pairs: Path, network: Path, run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = str(pairs / "LQ" / "0000[01].png")
    argv = [pattern, "--samples", "2", "--device", "cpu"]
    assert restore_script.main([*argv, "--out", "a"]) == 0
    assert "00001: diversity" in capsys.readouterr().out
    names = sorted(path.name for path in (run_root / "a").iterdir())
    assert names == [f"0000{face}-{sample}.png" for face in (0, 1) for sample in (1, 2)]
    assert restore_script.main([*argv, "--out", "b"]) == 0
    first, again, other = (
        run_root / n for n in ("a/00000-1.png", "b/00000-1.png", "a/00000-2.png")
    )
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert restore_script.main(["pairs/LQ", "pairs/GT", "--out", "c"]) == 2
    assert "have one name" in capsys.readouterr().err
