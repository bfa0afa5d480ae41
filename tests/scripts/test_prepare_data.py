"""scripts/prepare_data.py: HQ of any size to one side, fixed LQ, nothing mixed or overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.folders import find_pairs, read_rgb, write_png
from data.sources import FolderSource
from scripts.prepare_data import main


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a large, a fitting and a small face, the last in a folder of its own."""
    root = tmp_path / "photos"
    for name, side in (("b", 96), ("c", 64), ("more/a", 48)):
        coarse = np.random.default_rng(side).integers(0, 256, (6, 6, 3), np.uint8)
        write_png(root / f"{name}.png", cv2.resize(coarse, (side, side)))
    return root


def test_validation_set_is_complete_and_repeatable(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--data", str(photos), "--side", "64", "--degradation", "first-order"]
    main([*common, "--out", str(tmp_path / "one")])
    printed = capsys.readouterr().out
    assert "warning: 1 of 3 faces are smaller than 64 px" in printed
    assert printed.splitlines()[-1] == f"next: python evaluation/evaluate.py --data {tmp_path}/one"
    pairs = find_pairs(tmp_path / "one")
    assert [pair.name for pair in pairs] == ["b", "c", "more/a"]
    assert all(read_rgb(pair.hq).shape == (64, 64, 3) for pair in pairs)
    assert all(read_rgb(pair.lq).shape == (16, 16, 3) for pair in pairs)
    large = read_rgb(photos / "b.png")
    reduced = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.array_equal(read_rgb(pairs[0].hq), reduced)
    assert np.array_equal(read_rgb(pairs[1].hq), read_rgb(photos / "c.png"))
    main([*common, "--out", str(tmp_path / "two")])
    main([*common, "--out", str(tmp_path / "three"), "--seed", "1"])
    for pair in pairs:
        place = pair.lq.relative_to(tmp_path / "one")
        assert pair.lq.read_bytes() == (tmp_path / "two" / place).read_bytes()
        assert pair.lq.read_bytes() != (tmp_path / "three" / place).read_bytes()


def test_training_folder_can_be_opened(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    main(["--data", str(photos), "--side", "64", "--hq-only", "--out", str(out)])
    assert FolderSource(out, 64).names == ["b", "c", "more/a"]
    main(["--data", str(photos), "--side", "64", "--hq-only", "--out", str(out)])  # again: the same


def test_bad_files_are_listed_and_nothing_is_written(photos: Path, tmp_path: Path) -> None:
    write_png(photos / "wide.png", np.zeros((64, 80, 3), np.uint8))
    (photos / "cut.png").write_bytes((photos / "b.png").read_bytes()[:100])
    out = ["--out", str(tmp_path / "out"), "--side", "64"]
    with pytest.raises(SystemExit, match=r"(?s)cut\.png: is truncated.*wide\.png: is 80x64"):
        main(["--data", str(photos), *out])
    assert not (tmp_path / "out").exists()
    (photos / "cut.png").unlink()
    main(["--data", str(photos), *out, "--crop"])
    assert read_rgb(tmp_path / "out" / "GT" / "wide.png").shape == (64, 64, 3)


def test_originals_and_other_sets_are_left_alone(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="originals could be overwritten"):
        main(["--data", str(photos), "--out", str(photos), "--side", "64", "--hq-only"])
    write_png(tmp_path / "out" / "GT" / "stranger.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(SystemExit, match=r"holds 1 other images"):
        main(["--data", str(photos), "--out", str(tmp_path / "out"), "--side", "64"])


def test_as_a_command_dry_run_writes_nothing(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(root / "scripts" / "prepare_data.py"), "--dry-run"]
    done = subprocess.run(
        [*command, "--side", "64", "--count", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 faces -> prepared: HQ 64 px, LQ 16 px (second-order, seed 2024)" in done.stdout
    assert list(tmp_path.iterdir()) == []
