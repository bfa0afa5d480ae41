"""Scoring files: names matched first, and every kind of file that would be mis-scored refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from data.folders import write_png
from evaluation.files import decode, list_pictures, scored_pairs
from evaluation.metrics import Image, MetricError


def picture(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for number in range(3):
        write_png(tmp_path / "gt" / f"{number:05d}.png", picture(number))
        write_png(tmp_path / "pred" / f"{number:05d}.png", picture(number + 10))
    return tmp_path / "pred", tmp_path / "gt"


def test_pairs_come_by_name_with_their_own_pixels(folders: tuple[Path, Path]) -> None:
    found = list(scored_pairs(*folders))
    assert [name for name, _, _ in found] == ["00000", "00001", "00002"]
    for number, (_, restored, hq) in enumerate(found):
        assert np.array_equal(restored, picture(number + 10))
        assert np.array_equal(hq, picture(number))


@pytest.mark.parametrize("inner", ["", "results/"])
def test_a_zip_scores_like_its_folder(folders: tuple[Path, Path], inner: str) -> None:
    pred, gt = folders
    packed = pred.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w") as archive:
        for path in pred.iterdir():
            archive.write(path, f"{inner}{path.name}")
    for one, other in zip(scored_pairs(packed, gt), scored_pairs(pred, gt), strict=True):
        assert one[0] == other[0]
        assert np.array_equal(one[1], other[1])


def test_a_zip_with_anything_else_is_refused(folders: tuple[Path, Path]) -> None:
    packed = folders[0].with_suffix(".zip")
    for stray, reason in (("notes.txt", "notes.txt"), ("other/00009.png", "several folders")):
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(folders[0] / "00000.png", "results/00000.png")
            archive.writestr(stray, b"x")
        with pytest.raises(MetricError, match=reason):
            list_pictures(packed)
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(MetricError, match="neither a folder nor a whole zip"):
        list_pictures(packed)


def test_every_unmatched_name_is_listed(folders: tuple[Path, Path]) -> None:
    pred, gt = folders
    (pred / "00001.png").unlink()
    write_png(pred / "extra.png", picture(0))
    with pytest.raises(MetricError) as caught:
        list(scored_pairs(pred, gt))
    assert "00001 is missing" in str(caught.value)
    assert "extra is not in" in str(caught.value)


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def palette_png() -> bytes:
    stream = io.BytesIO()
    Pil.fromarray(picture(0)).quantize(16).save(stream, "png")
    return stream.getvalue()


def test_files_that_the_public_scorer_mishandles_are_refused() -> None:
    rgb = picture(0)
    refused = {
        "RGB with alpha": png(np.dstack([rgb, rgb[..., :1]])),
        "grey PNG": png(rgb[..., 0]),
        "16-bit RGB": png(rgb.astype(np.uint16) * 257),
        "8-bit palette|4-bit palette": palette_png(),
        "single pixel": png(rgb[:1, :1]),
        "truncated": png(rgb)[:20],
        "cannot be decoded": b"no picture",
    }
    for reason, data in refused.items():
        with pytest.raises(MetricError, match=reason):
            decode(data, "face.png")


def test_a_size_mismatch_names_the_file(folders: tuple[Path, Path]) -> None:
    pred, gt = folders
    write_png(pred / "00002.png", picture(0)[:6])
    with pytest.raises(MetricError, match="00002: restored and HQ differ in size"):
        list(scored_pairs(pred, gt))
