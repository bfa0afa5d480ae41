"""Faces from folders and from the renderer, splits, and what a run opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data.errors import DataError
from data.folders import read_rgb, write_png
from data.sampling import sample_rng
from data.sources import (
    HELD_OUT,
    FolderSource,
    OpenedData,
    Subset,
    SyntheticSource,
    open_data,
    open_pairs,
    split_validation,
    trained_and_held_out,
)
from data.splits import half, is_validation
from data.validation import Validation

MakeFolder = Callable[..., Path]


def opened(cache: Path, data: Path | None, val: Path | None, **changed: Any) -> OpenedData:
    settings: dict[str, Any] = {
        "hq_side": 64,
        "scale": 4,
        "degradation": "second-order",
        "synthetic_count": 3,
        "synthetic_val": 2,
        "remake_val_lq": False,
        "cache_dir": cache,
    }
    return open_data(data, val, **(settings | changed))


def test_every_bad_file_is_listed_with_its_reason(make_folder: MakeFolder) -> None:
    root = make_folder("faces", 3)
    write_png(root / "wide.png", np.zeros((64, 80, 3), np.uint8))
    write_png(root / "small.png", np.zeros((32, 32, 3), np.uint8))
    cv2.imwrite(str(root / "deep.png"), np.zeros((64, 64, 3), np.uint16))
    (root / "empty.png").write_bytes(b"")
    (root / "cut.png").write_bytes((root / "000.png").read_bytes()[:500])
    (root / "text.jpg").write_text("not an image")
    with pytest.raises(DataError) as caught:
        FolderSource(root, 64)
    message = str(caught.value)
    assert "6 of 9 images cannot be used" in message
    for line in (
        "wide.png: is 80x64 px, not square",
        "small.png: is 32x32 px, smaller than 64",
        "deep.png: has 16 bits",
        "empty.png: is empty",
        "cut.png: is truncated",
        "text.jpg: is not a PNG",
    ):
        assert line in message
    assert "prepare_data.py" in message


def test_faces_are_reduced_by_area(make_folder: MakeFolder) -> None:
    root = make_folder("faces", 2, side=64)
    whole = read_rgb(root / "001.png").astype(np.float64)
    mean = whole.reshape(16, 4, 16, 4, 3).mean((1, 3))
    source = FolderSource(root, 16)
    assert source.names == ["000", "001"]
    assert np.abs(source.image(1) - mean).max() <= 0.5 + 1e-9


def test_two_files_of_one_name_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder("faces", 2)
    (root / "001.webp").write_bytes(b"x")
    with pytest.raises(DataError, match=r"001\.webp: has the same name as 001\.png"):
        FolderSource(root, 64)


def test_subset_keeps_order_names_and_its_own_fingerprint(make_folder: MakeFolder) -> None:
    source = FolderSource(make_folder("faces", 4), 64)
    part = Subset(source, [3, 1])
    assert list(part.names) == ["003", "001"]
    assert np.array_equal(part.image(0), source.image(3))
    assert part.fingerprint not in (source.fingerprint, Subset(source, [1, 3]).fingerprint)
    with pytest.raises(DataError, match="no face left"):
        Subset(source, [])


def test_splits_are_stable_and_of_the_right_share() -> None:
    names = [f"part1/{i:05d}" for i in range(4000)]
    halves = np.array([half(name) for name in names])
    out = np.array([is_validation(name) for name in names])
    assert set(halves) == {0, 1}
    assert abs(halves.mean() - 0.5) < 0.03
    assert abs(out.mean() - 0.05) < 0.015
    assert abs(halves[out].mean() - 0.5) < 0.12  # one split says nothing about the other
    kept, held = split_validation(names)
    fewer = [name for name in names if name != names[held[0]]]
    assert [fewer[i] for i in split_validation(fewer)[1]] == [names[i] for i in held[1:]]
    assert sorted(kept + held) == list(range(4000))


def test_a_tiny_folder_still_has_both_parts() -> None:
    kept, held = split_validation(["a", "b", "c"])
    assert (len(kept), len(held)) == (2, 1)
    with pytest.raises(DataError, match="cannot be split"):
        split_validation(["a"])


def test_folder_without_val_holds_out_faces_and_makes_their_lq(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    from data.degradation import degrade

    root = make_folder("faces", 30)
    data = opened(tmp_path / "cache", root, None)
    assert not set(data.train.names) & set(data.val.names)
    assert len(data.train) + len(data.val) == 30
    lq, hq = data.val.pair(0)
    assert np.array_equal(hq, read_rgb(root / f"{data.val.names[0]}.png"))
    assert np.array_equal(lq, degrade(hq, sample_rng(2024, 0, 0), "second-order", 4))
    again = opened(tmp_path / "cache", root, None)
    assert np.array_equal(again.val.pair(0)[0], lq)
    assert again.fingerprint == data.fingerprint
    other = opened(tmp_path / "cache", root, None, degradation="first-order")
    assert other.val.fingerprint != data.val.fingerprint
    assert other.train.fingerprint == data.train.fingerprint


def test_given_pairs_are_taken_as_they_are(tmp_path: Path, make_folder: MakeFolder) -> None:
    make_folder("val/GT", 3, side=64)
    make_folder("val/LQ", 3, side=16, first=10)
    data = opened(tmp_path / "cache", make_folder("faces", 4), tmp_path / "val")
    assert len(data.train) == 4
    for i, name in enumerate(data.val.names):
        lq, hq = data.val.pair(i)
        assert np.array_equal(lq, read_rgb(tmp_path / "val" / "LQ" / f"{name}.png"))
        assert np.array_equal(hq, read_rgb(tmp_path / "val" / "GT" / f"{name}.png"))
    assert len(data.val.pairs[1:]) == 2


def test_remade_lq_come_from_the_reduced_hq(tmp_path: Path, make_folder: MakeFolder) -> None:
    make_folder("val/GT", 3, side=64)
    make_folder("val/LQ", 3, side=16)
    faces = make_folder("faces", 4)
    data = opened(tmp_path / "cache", faces, tmp_path / "val", hq_side=32, remake_val_lq=True)
    lq, hq = data.val.pair(2)
    assert (lq.shape, hq.shape, data.train.image(0).shape) == ((8, 8, 3), (32, 32, 3), (32, 32, 3))
    assert not np.array_equal(data.val.pair(1)[0], lq)


def test_pairs_of_the_wrong_size_are_listed(tmp_path: Path, make_folder: MakeFolder) -> None:
    make_folder("val/GT", 3, side=64)
    lq = make_folder("val/LQ", 3, side=16)
    with pytest.raises(DataError, match=r"GT is 64 px and LQ 16 px, not 2 to 1"):
        open_pairs(tmp_path / "val", scale=2, cache_dir=tmp_path / "cache")
    write_png(lq / "001.png", np.zeros((16, 12, 3), np.uint8))
    write_png(lq / "002.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"2 of 3(?s:.*)001\.png: is 12x16(?s:.*)002\.png: is 8x8"):
        open_pairs(tmp_path / "val", scale=4, cache_dir=tmp_path / "cache")


def test_embedded_faces_are_opened_without_any_folder(tmp_path: Path) -> None:
    pytest.importorskip("data.synthetic")
    data = opened(tmp_path / "cache", None, None)
    assert (len(data.train), len(data.val)) == (3, 2)
    assert not set(data.train.names) & set(data.val.names)
    direct = SyntheticSource(2, 64, first=HELD_OUT)
    assert np.array_equal(data.val.pair(1)[1], direct.image(1))
    assert not np.array_equal(data.train.image(0), data.train.image(1))
    with pytest.raises(DataError, match="at least one"):
        SyntheticSource(0, 64)


@pytest.mark.real
def test_real_faces_open(faces_root: Path, tmp_path: Path) -> None:
    source = FolderSource(faces_root / "train", 512)
    assert len(source) >= 1000
    assert source.image(0).shape == (512, 512, 3)
    val = open_pairs(faces_root / "val", scale=4, cache_dir=tmp_path)
    lq, hq = val.pair(0)
    assert (lq.shape, hq.shape) == ((128, 128, 3), (512, 512, 3))
    assert (
        np.abs(cv2.resize(hq, (128, 128), interpolation=cv2.INTER_AREA) - lq.astype(int)).mean()
        < 20
    )


def test_validation_faces_that_are_trained_on_are_named() -> None:
    train = SyntheticSource(6, 32)
    pairs = [(np.zeros((8, 8, 3), np.uint8), train.image(i)) for i in (4, 1)]
    pairs.append((pairs[0][0], SyntheticSource(1, 32, first=900).image(0)))
    changed = train.image(2)
    changed[5, 5, 0] ^= 1
    pairs.append((pairs[0][0], changed))
    val = Validation(["four", "one", "other", "nearly"], pairs)
    assert trained_and_held_out(OpenedData(train, val)) == ["four", "one"]
