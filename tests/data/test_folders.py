"""Listing, reading, writing and pairing of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.errors import DataError
from data.folders import find_pairs, fingerprint, list_images, read_rgb, write_png
from data.headers import parse_header

FACE = np.random.default_rng(0).integers(0, 256, size=(12, 20, 3), dtype=np.uint8)


def encoded(suffix: str, image: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def test_images_are_found_recursively_in_any_case_and_sorted(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a/3.WebP", "10.jpg", ".hidden/4.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["10.jpg", "a/3.WebP", "b/1.jpeg", "b/2.PNG"]


def test_an_empty_or_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no image"):
        list_images(tmp_path)
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        list_images(tmp_path / "nowhere")


def test_png_round_trip_is_exact_and_rgb(tmp_path: Path) -> None:
    write_png(tmp_path / "new" / "face.png", FACE)
    assert np.array_equal(read_rgb(tmp_path / "new" / "face.png"), FACE)
    stored = cv2.imread(str(tmp_path / "new" / "face.png"))
    assert stored is not None
    assert np.array_equal(stored[..., ::-1], FACE)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["face.png"]


def test_write_png_refuses_floats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs uint8 \(H,W,3\)"):
        write_png(tmp_path / "face.png", FACE.astype(np.float32))
    assert not (tmp_path / "face.png").exists()


def test_grey_and_opaque_alpha_become_rgb(tmp_path: Path) -> None:
    (tmp_path / "grey.png").write_bytes(encoded(".png", FACE[..., 0]))
    grey = read_rgb(tmp_path / "grey.png")
    assert all(np.array_equal(grey[..., c], FACE[..., 0]) for c in range(3))
    opaque = np.dstack([FACE[..., ::-1], np.full(FACE.shape[:2], 255, np.uint8)])
    (tmp_path / "opaque.png").write_bytes(encoded(".png", opaque))
    assert np.array_equal(read_rgb(tmp_path / "opaque.png"), FACE)


def test_transparent_and_deep_images_can_be_converted(tmp_path: Path) -> None:
    alpha = np.full(FACE.shape[:2], 255, np.uint8)
    alpha[:, :10] = 0
    (tmp_path / "clear.png").write_bytes(encoded(".png", np.dstack([FACE[..., ::-1], alpha])))
    clear = read_rgb(tmp_path / "clear.png", convert=True)
    assert (clear[:, :10] == 255).all()
    assert np.array_equal(clear[:, 10:], FACE[:, 10:])
    (tmp_path / "deep.png").write_bytes(encoded(".png", FACE[..., ::-1].astype(np.uint16) * 257))
    assert np.array_equal(read_rgb(tmp_path / "deep.png", convert=True), FACE)


def test_transparent_and_deep_images_are_refused(tmp_path: Path) -> None:
    alpha = np.full(FACE.shape[:2], 255, np.uint8)
    alpha[3, 4] = 0
    (tmp_path / "clear.png").write_bytes(encoded(".png", np.dstack([FACE, alpha])))
    with pytest.raises(DataError, match=r"clear\.png: has transparent pixels"):
        read_rgb(tmp_path / "clear.png")
    (tmp_path / "deep.png").write_bytes(encoded(".png", FACE.astype(np.uint16) * 257))
    with pytest.raises(DataError, match=r"deep\.png: has 16 bits"):
        read_rgb(tmp_path / "deep.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_header_gives_the_size_and_every_truncation_is_noticed(tmp_path: Path, suffix: str) -> None:
    whole = encoded(suffix, FACE)
    header = parse_header(whole)
    assert (header.width, header.height, header.bits) == (20, 12, 8)
    for length in range(1, len(whole) - 12, 7):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"truncated|is not a PNG"):
            read_rgb(tmp_path / "cut")


def test_lossless_webp_header() -> None:
    done, data = cv2.imencode(".webp", FACE, [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert done
    header = parse_header(data.tobytes())
    assert (header.kind, header.width, header.height) == ("webp", 20, 12)


def test_damaged_pixels_empty_files_and_other_files_are_refused(tmp_path: Path) -> None:
    damaged = bytearray(encoded(".png", FACE))
    damaged[len(damaged) // 2] ^= 0xFF
    for name, data, reason in (
        ("a.png", bytes(damaged), "cannot be decoded"),
        ("b.png", b"", "is empty"),
        ("c.png", b"GIF89a...............", "is not a PNG, JPEG or WebP"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=reason):
            read_rgb(tmp_path / name)


def test_pairs_match_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    for name in ("GT/b.png", "GT/part/a.png", "LQ/b.webp", "LQ/part/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    pairs = find_pairs(tmp_path)
    assert [(pair.name, pair.hq.name, pair.lq.name) for pair in pairs] == [
        ("b", "b.png", "b.webp"),
        ("part/a", "a.png", "a.jpg"),
    ]


def test_every_image_without_a_partner_is_listed(tmp_path: Path) -> None:
    for name in ("GT/1.png", "GT/2.png", "GT/3.png", "LQ/1.png", "LQ/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        find_pairs(tmp_path)
    message = str(caught.value)
    assert "GT has 3 images, LQ has 2 images; 3 without a partner" in message
    for line in ("2.png: has no partner in LQ", "3.png: has no partner in LQ"):
        assert line in message
    assert "4.png: has no partner in GT" in message
    assert "1.png" not in message


def test_a_folder_without_lq_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "GT").mkdir()
    with pytest.raises(DataError, match=r"no folder LQ: pairs are expected as .*prepare_data"):
        find_pairs(tmp_path)


def test_fingerprint_sees_names_and_content_but_not_the_place(
    make_folder: Callable[..., Path],
) -> None:
    one, same = make_folder("one", 3), make_folder("same", 3)
    before = fingerprint(list_images(one), one)
    assert len(before) == 16
    assert before == fingerprint(list_images(same), same)
    data = bytearray((same / "001.png").read_bytes())
    data[len(data) // 2] ^= 1
    (same / "001.png").write_bytes(data)
    assert before != fingerprint(list_images(same), same)
    (one / "002.png").rename(one / "003.png")
    assert before != fingerprint(list_images(one), one)
