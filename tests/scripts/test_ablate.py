"""A study as typed: trained, compared, taken up again, and one arm that fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import ablate

FEW = ["--synthetic-count", "3", "--synthetic-val", "2", "--faces", "1", "--steps", "2"]
QUICK = ["--preset", "quick", *FEW, "--warmup", "0", "--workers", "0", "--threads", "1"]
STUDY = """
entry: train_baseline
flags: {model: srcnn, degradation: first-order, lr: 0.01}
arms:
  l1: {}
  mse: {loss: mse, lr: 0.001}
"""


def test_arms_are_trained_compared_and_not_trained_twice(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_root / "study.yaml").write_text(STUDY)
    argv = ["--study", "study.yaml", "--out", "out", "--jobs", "2", "--", *QUICK]
    assert ablate.main(argv) == 0
    rows = json.loads((run_root / "out" / "table.json").read_text())
    assert [row["arm"] for row in rows] == ["l1", "mse"]
    assert rows[0]["difference"] == 0
    assert rows[1]["difference"] != 0
    assert (rows[0]["pairs"], rows[0]["steps"]) == (2, 2)
    assert (run_root / "out" / "curves.png").is_file()
    config = json.loads((run_root / "out" / "mse-seed0" / "config.json").read_text())["config"]
    assert (config["loss"], config["degradation"]) == (["mse"], "first-order")
    capsys.readouterr()
    written = (run_root / "out" / "l1-seed0" / "best.safetensors").stat().st_mtime_ns
    (run_root / "out" / "mse-seed0" / "scores.json").unlink()
    assert ablate.main(argv) == 0
    assert capsys.readouterr().out.startswith("training out/mse-seed0\n")
    assert (run_root / "out" / "l1-seed0" / "best.safetensors").stat().st_mtime_ns == written
    assert json.loads((run_root / "out" / "table.json").read_text()) == rows


def test_a_stopped_study_goes_on_and_ends_as_if_it_had_not_been_stopped(run_root: Path) -> None:
    steps = QUICK.index("--steps") + 1
    long = [*QUICK[:steps], "60", *QUICK[steps + 1 :]]
    arms = ["--entry", "train_baseline", "--vary", "model", "srcnn", "espcn"]
    command = [sys.executable, str(ablate.ROOT / "scripts" / "ablate.py"), *arms, "--out", "out"]
    process = subprocess.Popen([*command, "--", *long])
    log = run_root / "out" / "model-srcnn-seed0" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not (run_root / "out" / "table.json").exists()
    assert ablate.main([*arms, "--out", "out", "--", *long]) == 0
    rows = json.loads((run_root / "out" / "table.json").read_text())
    assert [row["steps"] for row in rows] == [60, 60]
    assert ablate.main([*arms, "--out", "whole", "--", *long]) == 0
    whole = json.loads((run_root / "whole" / "table.json").read_text())
    assert [row["psnr"] for row in rows] == [row["psnr"] for row in whole]


def test_an_arm_that_fails_does_not_stop_the_others(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = "arms: {good: {model: srcnn}, bad: {model: srcnn, init: absent.safetensors}}"
    (run_root / "study.yaml").write_text(f"entry: train_baseline\n{arms}\n")
    assert ablate.main(["--study", "study.yaml", "--out", "out", "--", *QUICK]) == 1
    told = capsys.readouterr()
    assert "failed: out/bad-seed0, see out/bad-seed0.log" in told.err
    assert "absent.safetensors: no such file" in (run_root / "out/bad-seed0.log").read_text()
    assert "| good | 20,099 | 2 |" in told.out


def test_the_grid_of_the_command_line(run_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vary = ["--entry", "train_baseline", "--vary", "model", "srcnn", "espcn", "--vary", "lr", "0.1"]
    argv = [*vary, "--seeds", "0", "1", "--out", "out", "--", *QUICK, "--dry-run"]
    assert ablate.main(argv) == 0
    told = capsys.readouterr().out.splitlines()
    assert len([line for line in told if "train_baseline.py" in line]) == 4
    assert told[-1].startswith("4 trainings")
    assert not (run_root / "out").exists()
    study = ablate.open_study(None, None, [["priors", "parse,heat", "none"], ["lr", "1.0e-3"]])
    assert study.arms["priors-none_lr-0.001"] == {"priors": [], "lr": 0.001}
    assert study.arms["priors-parse+heat_lr-0.001"]["priors"] == ["parse", "heat"]


def test_a_study_with_a_wrong_key_is_refused(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_root / "study.yaml").write_text(STUDY + "steps: 3\n")
    assert ablate.main(["--study", "study.yaml", "--out", "out"]) == 2
    assert "unknown keys steps" in capsys.readouterr().err
    assert ablate.main(["--study", "absent.yaml", "--out", "out"]) == 2
    assert "--study absent.yaml: not a readable YAML file (No such" in capsys.readouterr().err
    assert ablate.main(["--vary", "priros", "parse", "--out", "out"]) == 2
    assert "unknown keys priros: did you mean priors?" in capsys.readouterr().err
    assert ablate.from_text("1e-3") == 0.001


@pytest.mark.parametrize(
    "path", sorted(Path(ablate.ROOT, "examples", "studies").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_studies_of_the_examples_name_known_flags(path: Path, run_root: Path) -> None:
    study = ablate.open_study(path, None, [])
    assert len(study.arms) >= 3
    for name, flags in study.arms.items():
        ablate.check_flags(study.entries[name], flags)


def test_an_arm_has_its_own_entry_and_fewer_seeds(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = "{a: {model: srcnn}, b: {entry: train_derived, genotype: g.json, seeds: 1}}"
    (run_root / "study.yaml").write_text(f"entry: train_baseline\narms: {arms}\n")
    argv = ["--study", "study.yaml", "--seeds", "3", "4", "--out", "out", "--", *QUICK, "--dry-run"]
    assert ablate.main(argv) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "--config" in line]
    assert [("derived" in line, line.split("--seed ")[1][0]) for line in told] == [
        (False, "3"),
        (False, "4"),
        (True, "3"),
    ]
    (run_root / "study.yaml").write_text("arms: {a: {entry: train_all}}\n")
    assert ablate.main(["--study", "study.yaml", "--out", "out"]) == 2
    assert "entry 'train_all' is not one of train_baseline" in capsys.readouterr().err
