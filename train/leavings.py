"""The networks and scores that a run leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.artifact import save_network, save_params
from train.checkpoint import write_bytes
from train.learner import Learner
from train.run_folder import RunFolder
from train.validate import Scores


def write_best(folder: RunFolder, learner: Learner, metadata: Mapping[str, Any]) -> None:
    """Write the averaged weights as best.safetensors, and both kinds as best.pth."""
    average = learner.average.average
    save_network(folder.best, learner.net, average, metadata)
    save_params(folder.best_pth, learner.net, learner.net.state_dict(), average, metadata)


def write_last(folder: RunFolder, learner: Learner, metadata: Mapping[str, Any]) -> None:
    """Write the averaged weights as last.safetensors."""
    save_network(folder.last, learner.net, learner.average.average, metadata)


def write_snapshot(
    folder: RunFolder, learner: Learner, metadata: Mapping[str, Any], step: int
) -> Path:
    """Write the averaged weights of `step` to `snapshots/`, which nothing removes again."""
    folder.snapshots.mkdir(exist_ok=True)
    path = folder.snapshots / f"step-{step:09d}.safetensors"
    save_network(path, learner.net, learner.average.average, metadata)
    return path


def write_scores(folder: RunFolder, scores: Scores, names: Sequence[str], step: int) -> None:
    """Write `scores.json`: PSNR and SSIM of every pair and pass after the last step."""
    content = {
        "step": step,
        "names": [names[i] for i in scores.indices],
        "psnr": [list(one) for one in scores.psnr],
        "ssim": [list(one) for one in scores.ssim],
        "psnr_box": [list(one) for one in scores.box],
    }
    write_bytes(folder.scores, (json.dumps(content) + "\n").encode())
