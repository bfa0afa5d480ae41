"""Size and depth of an image file from its first bytes, and whether its end is there."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError

Bytes = bytes | mmap.mmap


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image file say, without decoding it."""

    kind: str
    """"png", "jpeg" or "webp", by content, not by suffix."""
    width: int
    height: int
    bits: int
    """Bits per channel: 8, or 16 for a deep PNG."""


def parse_header(data: Bytes) -> Header:
    """Return the header of a PNG, JPEG or WebP file held in `data`.

    Raises `DataError` with a short reason: unknown kind, no size, or the end is missing.
    """
    parsers: tuple[tuple[bytes, int, Callable[[Bytes], Header]], ...] = (
        (b"\x89PNG\r\n\x1a\n", 0, _png),
        (b"\xff\xd8", 0, _jpeg),
        (b"WEBP", 8, _webp),
    )
    for magic, at, parse in parsers:
        if data[at : at + len(magic)] == magic:
            try:
                return parse(data)
            except IndexError:
                raise DataError("is truncated (its header is not complete)") from None
    raise DataError("is not a PNG, JPEG or WebP image")


def map_file(path: Path) -> Bytes:
    """Return the bytes of `path`, memory-mapped: only what is looked at is read.

    Raises `DataError` if the file is empty or may not be read.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise DataError("is empty (0 bytes)") from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error


def _number(data: Bytes, at: int, count: int, order: str = "big") -> int:
    piece = data[at : at + count]
    if len(piece) < count:
        raise IndexError(at)
    return int.from_bytes(piece, "little" if order == "little" else "big")


def _png(data: Bytes) -> Header:
    header = Header(
        kind="png",
        width=_number(data, 16, 4),
        height=_number(data, 20, 4),
        bits=max(8, _number(data, 24, 1)),
    )
    if data.rfind(b"IEND", max(0, len(data) - 4096)) < 0:
        raise DataError("is truncated (the end of the PNG is missing)")
    return header


def _jpeg(data: Bytes) -> Header:
    at, size = 2, None
    while True:
        while data[at] != 0xFF:
            at += 1
        marker = data[at + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # fill bytes, no payload
            at += 1 if marker == 0xFF else 2
            continue
        length = _number(data, at + 2, 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            bits = data[at + 4]
            size = (_number(data, at + 7, 2), _number(data, at + 5, 2), bits)
        at += 2 + length
        if marker == 0xDA:  # start of scan: only pixels follow, where FF D9 cannot occur
            break
    if size is None:
        raise DataError("is a JPEG without a frame")
    if data.find(b"\xff\xd9", at) < 0:
        raise DataError("is truncated (the end of the JPEG is missing)")
    return Header(kind="jpeg", width=size[0], height=size[1], bits=size[2])


def _webp(data: Bytes) -> Header:
    if _number(data, 4, 4, "little") + 8 > len(data) + 1:  # an odd last chunk may lack its padding
        raise DataError("is truncated (shorter than the WebP says)")
    chunk = bytes(data[12:16])
    if chunk == b"VP8X":
        width, height = (_number(data, at, 3, "little") + 1 for at in (24, 27))
    elif chunk == b"VP8L":
        packed = _number(data, 21, 4, "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 ":
        width, height = (_number(data, at, 2, "little") & 0x3FFF for at in (26, 28))
    else:
        raise DataError("is a WebP of an unknown kind")
    return Header(kind="webp", width=width, height=height, bits=8)
