"""Restored files against HQ files, as the challenge's scorer takes them: folders or a zip of PNGs.

Valid input gets exactly the scorer's number. What the public scorer crashes on or silently
mis-scores (alpha, grey, palette, 16 bit, stray files in a zip, a 1x1 image) is refused by name.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from evaluation.metrics import Image, MetricError, check_images, why_not_rgb8

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
MOST_PIXELS = 1 << 26
"""Pixels of a scored image; a header that promises more is refused before anything is decoded."""

Pictures = dict[str, Callable[[], bytes]]
"""Name without suffix to a function that reads the file."""


def scored_pairs(pred: Path, gt: Path) -> Iterator[tuple[str, Image, Image]]:
    """Name, restored and HQ image (uint8 RGB) of every pair, sorted by name.

    `pred` is a folder or a zip (flat or with one subfolder), `gt` a folder. Every file of both is
    matched by name before the first pair comes out. Raises `MetricError`: images without partner,
    or the first file that cannot be scored, with its reason and the fix.
    """
    restored, truth = list_pictures(pred), list_pictures(gt)
    problems = [f"{name} is missing in {pred}" for name in sorted(truth.keys() - restored.keys())]
    problems += [f"{name} is not in {gt}" for name in sorted(restored.keys() - truth.keys())]
    if problems:
        raise MetricError(
            f"{pred} has {len(restored)} images, {gt} has {len(truth)}; they must match by name:\n"
            + "\n".join(f"  {line}" for line in problems)
        )
    for name in sorted(truth):
        images = [
            decode(side[name](), f"{where}: {name}")
            for side, where in ((restored, pred), (truth, gt))
        ]
        try:
            check_images(images[0], images[1])
        except MetricError as error:
            raise MetricError(f"{name}: {error}") from error
        yield name, images[0], images[1]


def list_pictures(root: Path) -> Pictures:
    """The pictures of a folder (all levels) or of a zip, by name without suffix.

    Raises `MetricError` where there are none or two share a name, and for a zip that is broken or
    holds anything beside its pictures.
    """
    root = Path(root)
    if not root.exists():
        raise MetricError(f"{root} does not exist; give the folder (or zip) of the pictures")
    entries = list(_folder(root) if root.is_dir() else _zip(root))
    found: Pictures = dict(entries)
    if not found:
        raise MetricError(f"{root} holds no pictures ({', '.join(PICTURES)})")
    if len(found) < len(entries):
        names = [name for name, _ in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise MetricError(f"{root} holds two pictures of one name: {', '.join(twice)}; keep one")
    return found


def decode(data: bytes, where: str) -> Image:
    """uint8 RGB `(H, W, 3)` of a picture file's bytes; `where` opens the message of an error.

    Raises `MetricError` for anything but 8-bit RGB.
    """
    if data.startswith(PNG_SIGNATURE):
        _check_png_header(data, where)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise MetricError(f"{where} cannot be decoded; write it again as an 8-bit RGB PNG")
    if reason := why_not_rgb8(image):
        raise MetricError(f"{where} {reason}")
    rgb = np.ascontiguousarray(image[..., ::-1])
    return rgb.astype(np.uint8, copy=False)


def _check_png_header(data: bytes, where: str) -> None:
    """Raise for a PNG that is not 8-bit RGB: decoding would turn a palette into RGB silently."""
    if len(data) < 33:
        raise MetricError(f"{where} is truncated; write it again")
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    if (depth, kind) != (8, 2):
        name = PNG_KINDS.get(kind, f"colour type {kind}")
        raise MetricError(f"{where} is a {depth}-bit {name} PNG; save it as 8-bit RGB")
    if width * height > MOST_PIXELS:
        raise MetricError(f"{where} claims {width}x{height} px, more than can be scored")


def _folder(root: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.suffix.lower() in PICTURES and not hidden and path.is_file():
            yield inner.with_suffix("").as_posix(), _file_reader(path)


def _zip(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Pictures of a submission: PNGs, flat or in one subfolder, and nothing else."""
    try:
        archive = zipfile.ZipFile(path)
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise MetricError(f"{path} is neither a folder nor a whole zip ({error})") from error
    unsafe = [entry.filename for entry in files if _leaves_its_place(entry)]
    if unsafe:
        raise MetricError(
            f"{path} holds links or paths that lead out of it: {', '.join(unsafe[:5])}; zip the "
            "PNGs themselves, by plain names"
        )
    inner = [PurePosixPath(entry.filename) for entry in files]
    strays = [str(name) for name in inner if name.suffix != ".png" or len(name.parts) > 2]
    if strays:
        raise MetricError(
            f"{path} holds more than PNGs in one subfolder: {', '.join(strays[:5])}; remove these"
        )
    if len({name.parent for name in inner}) > 1:
        raise MetricError(f"{path} has several folders; put all PNGs into one")
    for entry, name in zip(files, inner, strict=True):
        if entry.file_size > 4 * MOST_PIXELS:
            raise MetricError(f"{path}: {name} unpacks to {entry.file_size} bytes; no such PNG")
        yield name.stem, _reader(path, entry.filename)


def _leaves_its_place(entry: zipfile.ZipInfo) -> bool:
    """Whether a zip's entry is a link, or named so that unpacking it writes elsewhere."""
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    driven = bool(name.parts) and len(name.parts[0]) == 2 and name.parts[0].endswith(":")
    return (
        stat.S_ISLNK(entry.external_attr >> 16)
        or name.is_absolute()
        or ".." in name.parts
        or driven
        or "\\" in entry.filename
    )


def _reader(path: Path, entry: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive:
                data = archive.read(entry)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise MetricError(f"{path}: {entry} cannot be unpacked ({error})") from error
        return _really_png(data, f"{path}: {entry}")

    return read


def _file_reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        data = path.read_bytes()
        return _really_png(data, str(path)) if path.suffix.lower() == ".png" else data

    return read


def _really_png(data: bytes, where: str) -> bytes:
    """The bytes as they are; raises for another format under the name of a PNG."""
    if not data.startswith(PNG_SIGNATURE):
        raise MetricError(f"{where} is no PNG inside; save it as an 8-bit RGB PNG")
    return data
