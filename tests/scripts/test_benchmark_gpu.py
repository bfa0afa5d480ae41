"""The benchmark of training steps runs anywhere, at toy size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOY = ("--device", "cpu", "--model", "srcnn", "--batch", "2", "--side", "64", "--steps", "2")
LOADER = ("--workers", "0", "--batches", "2", "--degradations", "first-order")


def test_it_times_steps_and_the_loader(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "gpu", *TOY, *LOADER]
    done = subprocess.run(
        [*command, "--out", out], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    told = json.loads(out.read_text())
    assert list(told["rows"]) == ["fp32", "bf16"]
    for row in told["rows"].values():
        assert row["steps_per_second"] > 0
        assert row["faces_per_second"] == 2 * row["steps_per_second"]
        assert row["kernel_share"] is row["peak_bytes"] is None
    assert told["faces_per_second"]["first-order"] > 0
    assert "| bf16 |" in done.stdout
