"""Runs side by side: the numbers of the table, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from data.folders import read_rgb
from evaluation.runs.ablation import (
    UnequalRunsError,
    draw_curves,
    markdown,
    paired_difference,
    read_arm,
    summary,
)
from models.artifact import save_network
from models.zoo import build


def _run(root: Path, name: str, psnr: list[float], names: str = "abc") -> Path:
    folder = root / name
    save_network(folder / "last.safetensors", build("srcnn"))
    scores = {"step": 7, "names": list(names), "psnr": [psnr], "ssim": [[0.5] * len(psnr)]}
    scores["psnr_box"] = [[value - 1.0 for value in psnr]]
    (folder / "scores.json").write_text(json.dumps(scores))
    rows = [
        {"kind": "train", "step": 3, "loss": 1.0},
        {"kind": "validate", "step": 4, "subset_psnr": psnr[0] - 1},
        {"kind": "final", "step": 7, "subset_psnr": psnr[0]},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_one_seed_is_compared_face_by_face(tmp_path: Path) -> None:
    first = read_arm("first", [_run(tmp_path, "first", [20.0, 24.0, 31.0])])
    other = read_arm("other", [_run(tmp_path, "other", [20.1, 24.3, 31.2])])
    difference, error = paired_difference(other, first)
    assert difference == pytest.approx(0.2)
    assert error == pytest.approx(0.1 / math.sqrt(3)), "deviation of .1 .3 .2 is .1"
    rows = summary([first, other])
    assert rows[0]["psnr"] == [pytest.approx(25.0)]
    assert rows[0]["parameters"] == 20_099
    told = "| other | 20,099 | 7 | 25.200 | 0.5000 | 24.200 | +0.200 ± 0.058 | +0.200 ± 0.058 |"
    assert told in markdown(rows)
    draw_curves([first, other], tmp_path / "curves.png")
    assert read_rgb(tmp_path / "curves.png").std() > 10


def test_several_seeds_are_compared_seed_by_seed(tmp_path: Path) -> None:
    first = read_arm("first", [_run(tmp_path, f"f{i}", [20.0 + i, 24.0, 31.0]) for i in range(2)])
    other = read_arm("other", [_run(tmp_path, f"o{i}", [20.3 + i, 24.3, 31.3 + i]) for i in (0, 1)])
    difference, error = paired_difference(other, first)
    assert difference == pytest.approx((0.3 + (0.3 + 0.3 + 1.3) / 3) / 2)
    by_hand = np.std([0.3, (0.3 + 0.3 + 1.3) / 3], ddof=1) / math.sqrt(2)
    assert error == pytest.approx(by_hand)


def test_other_faces_are_refused(tmp_path: Path) -> None:
    first = read_arm("first", [_run(tmp_path, "first", [20.0, 24.0], "ab")])
    other = read_arm("other", [_run(tmp_path, "other", [20.1, 24.3], "ax")])
    with pytest.raises(UnequalRunsError, match="other and first were scored on other faces"):
        paired_difference(other, first)
