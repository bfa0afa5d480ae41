"""A real kill -9 in the middle of a search: weights and logits end bit for bit the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from train.checkpoint import load_latest

ROOT = Path(__file__).resolve().parents[2]
STEPS = 12


def _faces(folder: Path) -> Path:
    folder.mkdir()
    for i in range(8):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return folder


def _start(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "search/run_search.py"), *flags]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _flags(faces: Path, out: Path) -> list[str]:
    lengths = ["--steps", str(STEPS), "--search-warmup", "2", "--search-faces", "1"]
    places = ["--data", str(faces), "--out", str(out), "--cache", str(faces.parent / "cache")]
    fixed = ["--preset", "quick", "--threads", "1", "--workers", "0", "--checkpoint-every", "2"]
    return ["--priors", *lengths, *places, *fixed]


def _tensors(state: Any, where: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested state by its path."""
    if isinstance(state, torch.Tensor):
        return {where: state}
    inner = state.items() if isinstance(state, dict) else enumerate(state)
    parts = [_tensors(v, f"{where}/{k}") for k, v in inner if isinstance(v, dict | list | tuple)]
    parts += [{f"{where}/{k}": v} for k, v in inner if isinstance(v, torch.Tensor)]
    return {name: tensor for part in parts for name, tensor in part.items()}


def test_a_search_killed_with_9_and_resumed_ends_with_the_same_weights_and_logits(
    tmp_path: Path,
) -> None:
    faces = _faces(tmp_path / "faces")
    assert _start(tmp_path, *_flags(faces, tmp_path / "whole")).wait(timeout=300) == 0
    out = tmp_path / "killed"
    process = _start(tmp_path, *_flags(faces, out))
    deadline = time.monotonic() + 120
    while len(list(out.glob("checkpoints/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still searching"
    assert load_latest(out / "checkpoints")[0] < STEPS + 2
    assert _start(tmp_path, "--resume", "--out", str(out)).wait(timeout=300) == 0
    whole, killed = (
        load_latest(tmp_path / name / "checkpoints")[1]["searcher"] for name in ("whole", "killed")
    )
    for part in ("weights", "logits", "weight_optimizer", "logit_optimizer"):
        first, second = _tensors(whole[part]), _tensors(killed[part])
        assert set(first) == set(second)
        assert first
        assert all(torch.equal(first[name], second[name]) for name in first), part
