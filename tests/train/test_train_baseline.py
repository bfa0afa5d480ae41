"""The command as typed: killed, resumed, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.folders import read_rgb
from models.artifact import load_network
from train import ending, train_baseline
from train.checkpoint import load_latest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Return a folder of six smooth pictures of 128 px."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(6):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return folder


def _flags(faces: Path, out: Path, *more: str) -> list[str]:
    lengths = ["--steps", "14", "--faces", "1", "--validate-every", "6", "--checkpoint-every", "2"]
    places = ["--data", str(faces), "--out", str(out), "--cache", str(faces.parent / "cache")]
    fixed = ["--preset", "lab", "--threads", "1", "--workers", "0", "--validate-pairs", "1"]
    return ["--model", "msrresnet-16", *lengths, *places, *fixed, *more]


def _run(argv: Sequence[str]) -> int:
    return ending.run(train_baseline.main, argv)


def test_a_run_killed_with_9_and_resumed_ends_with_the_same_weights(
    faces: Path, tmp_path: Path
) -> None:
    assert _run(_flags(faces, tmp_path / "whole")) == 0
    out = tmp_path / "killed"
    command = [sys.executable, str(ROOT / "train/train_baseline.py"), *_flags(faces, out)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while len(list(out.glob("checkpoints/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still training"
    assert load_latest(out / "checkpoints")[0] < 14
    assert _run(["--resume", "--out", str(out)]) == 0
    for part in ("weights", "average"):
        whole, killed = (
            load_latest(tmp_path / name / "checkpoints")[1]["learner"][part]
            for name in ("whole", "killed")
        )
        whole, killed = whole.get("average", whole), killed.get("average", killed)
        assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_what_a_run_leaves(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    flags = _flags(faces, out)
    flags[flags.index("--steps") + 1] = "2"
    assert _run(flags) == 0
    text = capsys.readouterr().out
    assert "1,517,571" in text
    assert "next: python evaluation/evaluate.py" in text
    loaded = load_network(out / "best.safetensors")
    assert loaded.metadata["model"] == "msrresnet-16"
    assert loaded.metadata["config"]["preset"] == "lab"
    assert len(loaded.metadata["fingerprints"]["data"]) == 16
    config = json.loads((out / "config.json").read_text())
    assert (config["command"], config["config"]["steps"]) == ("train_baseline", 2)
    assert list((out / "tensorboard").iterdir())
    assert _run(flags) == 2
    assert "holds another run" in capsys.readouterr().err
    assert _run(_flags(faces, out, "--resume")) == 2
    assert "steps was 2, now 14" in capsys.readouterr().err
    start = ["--init", str(out / "best.safetensors"), "--lr", "0"]
    again = [*flags, *start]
    again[again.index("--out") + 1] = str(tmp_path / "again")
    assert _run(again) == 0
    tuned = load_network(tmp_path / "again" / "best.safetensors")
    assert tuned.metadata["init"]["metadata"]["training"]["step"] == 2
    for name, value in loaded.net.state_dict().items():
        torch.testing.assert_close(tuned.net.state_dict()[name], value, rtol=1e-5, atol=1e-7)


def test_over_the_cap_is_refused_with_the_table(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(_flags(faces, tmp_path / "run", "--cap", "1000000")) == 2
    error = capsys.readouterr().err
    assert "1,517,571" in error
    assert "body" in error
    assert not (tmp_path / "run").exists()


def test_a_dry_run_leaves_nothing(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(_flags(faces, tmp_path / "run", "--dry-run")) == 0
    assert "Dry run" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_colours_of_the_faces_snapshots_and_scores(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = _flags(faces, out, "--normalise", "--snapshot-every", "2")
    flags[flags.index("--steps") + 1] = "5"
    flags[flags.index("msrresnet-16")] = "srcnn"
    assert _run(flags) == 0
    kept = sorted(path.name for path in (out / "snapshots").iterdir())
    assert kept == ["step-000000002.safetensors", "step-000000004.safetensors"]
    scores = json.loads((out / "scores.json").read_text())
    assert scores["step"] == 5
    assert len(scores["names"]) == len(scores["psnr"][0]) == len(scores["ssim"][0]) >= 1
    state = load_network(out / "last.safetensors").net.state_dict()
    pictures = [read_rgb(path) / 255 for path in faces.iterdir()]
    middle = np.mean([picture.mean((0, 1)) for picture in pictures], axis=0)
    assert np.abs(state["input_mean"].flatten().numpy() - middle).max() < 0.1
    assert float(state["input_deviation"].min()) > 0.05
