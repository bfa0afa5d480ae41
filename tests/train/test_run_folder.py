"""Run folders: numbered, never mixed, found again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from train.run_folder import RunFolder, RunFolderError, find_run, newest_run, start_run


def test_folders_are_numbered_per_command(run_root: Path) -> None:
    names = [start_run(command, None).path.name for command in ("a", "a", "b")]
    assert names == ["a-001", "a-002", "b-001"]
    (run_root / "runs" / "a-041").mkdir()
    assert start_run("a", None).path.name == "a-042"


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "x" / "mine"
    start_run("a", out).write_config("a", {})
    with pytest.raises(RunFolderError, match="holds another run: give another --out"):
        start_run("a", out)


def test_resume_finds_the_run_and_refuses_another_command_s(run_root: Path) -> None:
    with pytest.raises(RunFolderError, match="no run"):
        find_run("a", None)
    for age, (command, config) in enumerate([("a", {"n": 1}), ("b", {"n": 2}), ("a", {"n": 3})]):
        folder = start_run(command, None)
        folder.write_config(command, config)
        os.utime(folder.path / "config.json", (age, age))
    assert find_run("a", None).read_config() == {"n": 3}
    assert newest_run("b") == Path("runs/b-001")
    assert newest_run() == Path("runs/a-002")
    with pytest.raises(RunFolderError, match="is a run of b, not of a"):
        find_run("a", Path("runs/b-001"))
    with pytest.raises(RunFolderError, match="holds no run"):
        find_run("a", run_root)


def test_the_log_is_rewound_to_the_step_of_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.log("train", step, loss=step / 2, note="text")
    with folder.log_file.open("a") as file:
        file.write('{"kind": "tra')
    folder.rewind(2)
    folder.log("train", 3, loss=9.0)
    folder.close()
    assert [row["loss"] for row in folder.rows()] == [0.5, 1.0, 9.0]


def test_pictures_are_rgb(tmp_path: Path) -> None:
    import cv2

    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[..., 0] = 200
    path = RunFolder(tmp_path).picture("faces", rgb, 7)
    assert path.name == "faces-000007.png"
    bgr = cv2.imread(str(path))
    assert bgr is not None
    assert bgr[0, 0].tolist() == [0, 0, 200]
