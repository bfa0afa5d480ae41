"""The order of the main job, its table, and how a failed or stopped command ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import quickstart

ROOT = Path(__file__).resolve().parents[2]


def test_steps_hand_their_files_on(tmp_path: Path) -> None:
    listed = quickstart.steps(tmp_path, seed=3, device="cpu", dry_run=False)
    scripts = [step.command[0] for step in listed]
    assert scripts == [
        "priors/fit_priors.py",
        "search/run_search.py",
        "train/train_derived.py",
        "train/train_derived.py",
        "evaluation/evaluate.py",
    ]
    assert all((ROOT / script).is_file() for script in scripts)
    assert str(tmp_path / "search" / "found.json") in listed[3].command
    assert str(tmp_path / "train" / "best.safetensors") in listed[4].command
    seeds = [step.command[step.command.index("--seed") + 1] for step in listed]
    assert seeds == ["3"] * len(listed)


def test_table_has_bicubic_and_every_pass() -> None:
    text = quickstart.table(
        {
            "bicubic_psnr": 24.5,
            "bicubic_ssim": 0.61,
            "passes": [{"psnr": 25.75, "ssim": 0.7}, {"psnr": 26.125, "ssim": 0.75}],
            "parameters": 1234567,
        }
    )
    rows = [line.split() for line in text.splitlines()]
    assert rows[1] == ["bicubic", "24.500", "0.6100", "0"]
    assert rows[2] == ["pass", "1", "25.750", "0.7000", "1,234,567"]
    assert rows[3] == ["pass", "2", "26.125", "0.7500", "1,234,567"]


def test_failed_command_ends_the_job_with_its_status(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        quickstart.run(quickstart.Step(title="t", command=("-c", "raise SystemExit(7)")), 1, 1)
    assert ended.value.code == 7
    assert "ended with status 7" in capfd.readouterr().err


def test_stopped_job_leaves_no_command_behind(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    job = f"from scripts import quickstart as q; q.run(q.Step(title='t', command=('-c', {child!r})), 1, 1)"  # noqa: E501
    parent = subprocess.Popen([sys.executable, "-c", job], cwd=ROOT)
    for _ in range(600):
        if mark.exists() and mark.read_text():
            break
        time.sleep(0.05)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=20) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
