"""Folders of images: listing, reading, writing, LQ/HQ pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from data.atomic import atomic_file
from data.errors import DataError, Problem, listing
from data.headers import Bytes, Header, map_file, parse_header

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SAMPLE_BYTES = 2048
_T = TypeVar("_T")


def list_images(root: Path) -> list[Path]:
    """Return the images below `root` (png, jpg, jpeg, webp in any case), sorted by relative path.

    Hidden files and folders are left out. Raises `DataError` if there is no folder or no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give the folder that holds the images")
    found = [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    ]
    if not found:
        raise DataError(f"{root} holds no image ({', '.join(SUFFIXES)}), in no folder below it")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def image_name(path: Path, root: Path) -> str:
    """Return the name of an image: its path below `root` without the suffix, "part1/00001"."""
    return path.relative_to(root).with_suffix("").as_posix()


def read_rgb(path: Path, *, convert: bool = False) -> np.ndarray:
    """Return the image as RGB uint8 `(H,W,3)`; EXIF rotation is applied.

    Grey and palette images become RGB, an opaque alpha channel is dropped. Raises `DataError`
    (message: the path and the reason) if the file is truncated, cannot be decoded, has more than
    8 bits per channel, or has transparent pixels; with `convert` 16 bits are rounded to 8 and
    transparent pixels laid over white instead.
    """
    path = Path(path)
    try:
        data = map_file(path)
        header = parse_header(data)
        if not convert:
            check_depth(header)
        image = _decode(data, header)
        return _to_rgb(_converted(image) if convert else image)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def check_depth(header: Header) -> None:
    """Raise `DataError` unless the image has 8 bits per channel."""
    if header.bits != 8:
        raise DataError(f"has {header.bits} bits per channel, 8 are needed: save it as 8-bit")


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write RGB uint8 `(H,W,3)` as a PNG, atomically; makes the folders that lead to it.

    Raises `ValueError` for another shape or dtype, `DataError` if the disk is full.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"write_png needs uint8 (H,W,3), not {rgb.dtype} {rgb.shape}")
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise DataError(f"{path}: could not be encoded as PNG")
    with atomic_file(Path(path), sync=False) as file:
        file.write(encoded.tobytes())


@dataclass(frozen=True)
class Pair:
    """One face twice: the HQ file and the LQ file of the same name."""

    name: str
    hq: Path
    lq: Path


def find_pairs(root: Path) -> list[Pair]:
    """Return the pairs of `root/GT` and `root/LQ`, matched by name (suffixes may differ), sorted.

    Raises `DataError` listing every image without a partner.
    """
    root = Path(root)
    missing = [name for name in ("GT", "LQ") if not (root / name).is_dir()]
    if missing:
        raise DataError(
            f"{root} has no folder {' and no folder '.join(missing)}: pairs are expected as "
            f"{root}/GT/NAME.png and {root}/LQ/NAME.png (scripts/prepare_data.py makes both)"
        )
    sides = {side: by_name(list_images(root / side), root / side) for side in ("GT", "LQ")}
    problems: list[Problem] = []
    for here, there in (("GT", "LQ"), ("LQ", "GT")):
        lonely = sorted(sides[here].keys() - sides[there].keys())
        problems += [(sides[here][name], f"has no partner in {there}") for name in lonely]
    if problems:
        counts = ", ".join(f"{side} has {len(found)} images" for side, found in sides.items())
        fix = "Add the missing partners or remove these files"
        raise listing(f"{root}: {counts}; {len(problems)} without a partner:", problems, fix)
    return [Pair(name, sides["GT"][name], sides["LQ"][name]) for name in sorted(sides["GT"])]


def by_name(paths: Iterable[Path], root: Path) -> dict[str, Path]:
    """Return `paths` keyed by their names below `root`; raises `DataError` if two share a name."""
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        first = found.setdefault(image_name(path, root), path)
        if first is not path:
            problems.append((path, f"has the same name as {first.name}"))
    if problems:
        raise listing(
            f"{root}: two images with one name:", problems, "Remove or rename one of them"
        )
    return found


def fingerprint(paths: Sequence[Path], root: Path) -> str:
    """Return 16 hex digits that change when a file is added, removed, renamed or altered.

    SHA-256 over the relative path, the size and a content sample (first, middle and last 2 KiB) of
    each file: 2,800 faces take a fraction of a second. Where the folder lies and the dates of the
    files do not matter.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(sample_digest(path, root, map_file(path)))
    return digest.hexdigest()[:16]


def sample_digest(path: Path, root: Path, data: Bytes) -> bytes:
    """Return what one file adds to `fingerprint`, as 32 bytes."""
    middle = max(0, len(data) // 2 - SAMPLE_BYTES // 2)
    digest = hashlib.sha256(f"{path.relative_to(root).as_posix()}\n{len(data)}\n".encode())
    for at in (0, middle, max(0, len(data) - SAMPLE_BYTES)):
        digest.update(data[at : at + SAMPLE_BYTES])
    return digest.digest()


def collect(items: Iterable[Path], look: Callable[[Path], _T]) -> tuple[list[_T], list[Problem]]:
    """Return `look(item)` of every good item, and (item, reason) of every item that raises."""
    results: list[_T] = []
    problems: list[Problem] = []
    for item in items:
        try:
            results.append(look(item))
        except DataError as error:
            problems.append((item, str(error)))
    return results, problems


def _decode(data: Bytes, header: Header) -> np.ndarray:
    # IMREAD_UNCHANGED keeps alpha but ignores EXIF rotation; a JPEG has no alpha but may be rotated
    flags = cv2.IMREAD_COLOR if header.kind == "jpeg" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"cannot be decoded ({error.err})") from error
    if image is None:
        raise DataError(f"cannot be decoded (damaged {header.kind.upper()})")
    return image


def _converted(image: np.ndarray) -> np.ndarray:
    """An image of 8 or 16 bits as uint8, its transparent pixels laid over white."""
    if image.dtype == np.uint16:
        image = np.rint(image / 257.0).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] in (2, 4) and image.dtype == np.uint8:
        opaque = image[..., -1:].astype(np.float32) / 255.0
        colour = opaque * image[..., :-1] + (1.0 - opaque) * 255.0
        image = np.concatenate([np.rint(colour).astype(np.uint8), 0 * image[..., -1:] + 255], 2)
    return image


def _to_rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        raise DataError(f"decodes to {image.dtype}, 8 bits are needed")
    if image.ndim == 2:
        image = image[..., None]
    channels = image.shape[2]
    if channels in (2, 4):
        if int(image[..., -1].min()) < 255:
            raise DataError("has transparent pixels: flatten it onto a background")
        image = image[..., :-1]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., ::-1])
