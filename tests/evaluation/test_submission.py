"""The zip of a submission: right when made, refused when wrong."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation import files
from evaluation.files import decode
from evaluation.metrics import Image
from evaluation.submission import SubmissionError, check_zip, png_bytes, write_zip
from tests.evaluation.test_files import palette_png

NAMES = {"00001", "00002"}


def _picture(seed: int, side: int = 16, channels: int = 3) -> Image:
    shape = (side, side, channels) if channels else (side, side)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def _encoded(kind: str, image: np.ndarray) -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


def huge_png() -> bytes:
    """Return a small file whose header promises 60,000 x 60,000 pixels."""
    data = bytearray(_encoded(".png", _picture(1)))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


@pytest.mark.parametrize("layout", ["subfolder", "flat"])
def test_a_zip_is_whole_and_the_same_twice(layout: str, tmp_path: Path) -> None:
    pictures = {name: png_bytes(_picture(int(name))) for name in NAMES}
    for twice in ("a.zip", "b.zip"):
        write_zip(tmp_path / twice, pictures, layout)
    assert check_zip(tmp_path / "a.zip", NAMES, (16, 16)) == (tmp_path / "a.zip").stat().st_size
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert np.array_equal(decode(pictures["00001"], ""), _picture(1))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        folders = {Path(name).parent.as_posix() for name in archive.namelist()}
    assert folders == ({"results"} if layout == "subfolder" else {"."})


BAD_PICTURES: dict[str, tuple[bytes, str]] = {
    "another size": (_encoded(".png", _picture(1, 8)), "is 8x8, not 16x16"),
    "one pixel": (_encoded(".png", _picture(1, 1)), "single pixel"),
    "alpha": (_encoded(".png", _picture(1, 16, 4)), "8-bit RGB with alpha PNG"),
    "grey": (_encoded(".png", _picture(1, 16, 0)), "8-bit grey PNG"),
    "16 bit": (_encoded(".png", _picture(1).astype(np.uint16)), "16-bit RGB PNG"),
    "a JPEG by another name": (_encoded(".jpg", _picture(1)), "no PNG inside"),
    "cut off": (_encoded(".png", _picture(1))[:40], "cannot be decoded"),
    "empty": (b"", "no PNG inside"),
    "palette": (palette_png(), "palette PNG"),
    "a bomb": (huge_png(), "claims 60000x60000 px"),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_a_bad_picture_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    data, said = BAD_PICTURES[kind]
    write_zip(tmp_path / "s.zip", {"00001": data, "00002": png_bytes(_picture(2))})
    with pytest.raises(SubmissionError, match="00001") as caught:
        check_zip(tmp_path / "s.zip", NAMES, (16, 16))
    assert said in str(caught.value)


def _entry(name: str, mode: int = 0o644) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, png_bytes(_picture(3)))

    return add


BAD_ENTRIES: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "one too many": (_entry("results/00003.png"), "00003 is not asked for"),
    "a note": (_entry("results/notes.txt"), "more than PNGs"),
    "another folder": (_entry("other/00003.png"), "several folders"),
    "twice": (_entry("results/00001.png"), "two pictures of one name"),
    "a path up": (_entry("../00003.png"), "lead out of it"),
    "an absolute path": (_entry("/00003.png"), "lead out of it"),
    "a drive": (_entry("C:/00003.png"), "lead out of it"),
    "a backslash": (_entry("..\\00003.png"), "lead out of it"),
    "a link": (_entry("results/00003.png", stat.S_IFLNK | 0o777), "lead out of it"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", BAD_ENTRIES)
def test_a_bad_entry_is_refused(kind: str, tmp_path: Path) -> None:
    add, said = BAD_ENTRIES[kind]
    write_zip(tmp_path / "s.zip", {name: png_bytes(_picture(int(name))) for name in NAMES})
    with zipfile.ZipFile(tmp_path / "s.zip", "a") as archive:
        add(archive)
    with pytest.raises(SubmissionError, match=said):
        check_zip(tmp_path / "s.zip", NAMES, (16, 16))


def test_an_entry_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_PIXELS", 20)
    write_zip(tmp_path / "s.zip", {name: png_bytes(_picture(int(name))) for name in NAMES})
    with pytest.raises(SubmissionError, match="unpacks to"):
        check_zip(tmp_path / "s.zip", NAMES, (16, 16))


def test_a_missing_picture_and_an_unknown_layout_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "s.zip", {"00001": png_bytes(_picture(1))})
    with pytest.raises(SubmissionError, match="00002 is missing"):
        check_zip(tmp_path / "s.zip", NAMES, (16, 16))
    with pytest.raises(SubmissionError, match="not one of subfolder, flat"):
        write_zip(tmp_path / "t.zip", {}, "nested")
