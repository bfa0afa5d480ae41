"""Checkpoints: whole or not there, two kept, the newest whole one read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from train import checkpoint
from train.checkpoint import CheckpointError, load_latest, save


def _state(value: float) -> dict[str, object]:
    return {"weights": {"a": torch.full((3,), value)}, "best": value, "plan": [(0, 5)], "no": None}


def test_the_state_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, _state(step), step)
    step, state = load_latest(tmp_path)
    assert step == 30
    assert torch.equal(state["weights"]["a"], torch.full((3,), 30.0))
    assert (state["best"], state["plan"], state["no"]) == (30, [(0, 5)], None)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"step-{n:09d}.{end}" for n in (20, 30) for end in ("json", "pt")]


@pytest.mark.parametrize("damage", ["flip", "cut", "no marker", "bad marker", "gone"])
def test_a_bad_newest_is_named_and_the_one_before_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, _state(1), 1)
    path = save(tmp_path, _state(2), 2)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "gone":
        path.unlink()
    elif damage == "no marker":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("{")
    with caplog.at_level(logging.WARNING):
        step, state = load_latest(tmp_path)
    assert step == 1
    assert state["best"] == 1
    assert path.name in caplog.text


def test_all_bad_or_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_latest(tmp_path)
    for step in (1, 2):
        save(tmp_path, _state(step), step).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints"):
        load_latest(tmp_path)


def test_a_failed_save_is_an_error_and_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, _state(1), 1)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, _state(2), 2)
    monkeypatch.undo()
    assert load_latest(tmp_path)[0] == 1
    assert not list(tmp_path.glob(".*"))


def test_old_ones_stay_until_the_new_one_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save(tmp_path, _state(step), step)
    real = checkpoint.write_bytes

    def torn(path: Path, content: bytes) -> None:
        real(path, content[:-1] if path.suffix == ".pt" else content)

    monkeypatch.setattr(checkpoint, "write_bytes", torn)
    with pytest.raises(CheckpointError, match="damaged"):
        save(tmp_path, _state(3), 3)
    assert load_latest(tmp_path)[0] == 2
    assert (tmp_path / "step-000000001.pt").exists()


def test_objects_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"state\.a\.b\[1\]: a PosixPath is neither"):
        save(tmp_path, {"a": {"b": [1, tmp_path]}}, 1)
    assert not list(tmp_path.iterdir())


def test_a_run_taken_up_earlier_drops_the_later_checkpoints(tmp_path: Path) -> None:
    for step in (10, 20):
        save(tmp_path, _state(step), step)
    save(tmp_path, _state(15), 15)
    assert load_latest(tmp_path)[0] == 15
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == [
        "step-000000010",
        "step-000000015",
    ]
