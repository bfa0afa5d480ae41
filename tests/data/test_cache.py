"""The packed cache: same pixels, never half a file, clear errors."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data.cache as cache_module
from data.atomic import atomic_file
from data.cache import PackedSource, packed, packed_path
from data.errors import DataError
from data.sources import FolderSource

MakeFolder = Callable[..., Path]


class Counting(FolderSource):
    """A folder that counts how often a face is decoded."""

    decoded = 0

    def image(self, i: int) -> np.ndarray:
        type(self).decoded += 1
        return super().image(i)


def test_packed_faces_are_the_same_and_decoded_once(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    source = Counting(make_folder("faces", 40), 32)
    first = packed(source, tmp_path / "cache")
    assert Counting.decoded == 40
    again = packed(source, tmp_path / "cache")
    assert Counting.decoded == 40
    assert again.names == source.names
    assert again.fingerprint == source.fingerprint
    for i in range(40):
        assert np.array_equal(first.image(i), source.image(i))
        assert np.array_equal(again.image(i), source.image(i))
    again.image(0)[:] = 7  # the caller's to change
    assert np.array_equal(again.image(0), source.image(0))
    with pytest.raises(IndexError):
        again.image(40)


def test_other_side_or_other_faces_are_another_file(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    root = make_folder("faces", 3)
    paths = {packed_path(FolderSource(root, side), tmp_path) for side in (32, 64)}
    (root / "002.png").unlink()
    paths.add(packed_path(FolderSource(root, 64), tmp_path))
    assert len(paths) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "other shape", "other type"])
def test_a_file_that_is_not_whole_is_made_again(
    tmp_path: Path, make_folder: MakeFolder, damage: str
) -> None:
    source = FolderSource(make_folder("faces", 3), 32)
    path = packed_path(source, tmp_path)
    packed(source, tmp_path)
    if damage == "other shape":
        np.save(path, np.zeros((2, 32, 32, 3), np.uint8))
    elif damage == "other type":
        np.save(path, np.zeros((3, 32, 32, 3), np.int8))
    else:
        path.write_bytes(path.read_bytes()[: -1 if damage == "cut" else 0])
    with pytest.raises(DataError):
        PackedSource(path, source.names, 32, source.fingerprint)
    assert np.array_equal(packed(source, tmp_path).image(2), source.image(2))


def test_every_damaged_face_is_listed_and_nothing_is_left(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    root = make_folder("faces", 6)
    for name in ("001.png", "004.png"):
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (root / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        packed(FolderSource(root, 64), tmp_path / "cache")
    message = str(caught.value)
    assert "2 of 6 faces cannot be read" in message
    assert "001.png: cannot be decoded" in message
    assert "004.png: cannot be decoded" in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_link_to_nothing_in_place_of_the_cache_is_said(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    (tmp_path / "cache").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="is no folder: remove it"):
        packed(FolderSource(make_folder("faces", 40), 32), tmp_path / "cache")


def test_too_little_space_is_said_before_anything_is_written(
    tmp_path: Path, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FolderSource(make_folder("faces", 3), 32)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"needs 0\.00 GB, the disk of .* free some space"):
        packed(source, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_an_interrupted_file_never_appears(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "faces.npy"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise fault

    with pytest.raises((DataError, KeyboardInterrupt)) as caught:
        write()
    if isinstance(fault, OSError):
        assert "the disk is full" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["faces.npy"]


def test_a_worker_gets_the_path_and_not_the_pixels(tmp_path: Path, make_folder: MakeFolder) -> None:
    faces: Any = packed(FolderSource(make_folder("faces", 20), 64), tmp_path / "cache")
    sent = pickle.dumps(faces)
    assert len(sent) < 2000
    assert np.array_equal(pickle.loads(sent).image(19), faces.image(19))
