"""HQ faces by number: from a folder, from the procedural renderer, or a part of another source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from data.cache import packed
from data.errors import DataError, listing
from data.folders import (
    by_name,
    check_depth,
    collect,
    find_pairs,
    image_name,
    list_images,
    read_rgb,
    sample_digest,
)
from data.headers import map_file, parse_header
from data.splits import is_validation, rank
from data.validation import DegradedFaces, StoredPairs, Validation


class FaceSource(Protocol):
    """HQ faces of one size, by number."""

    @property
    def names(self) -> Sequence[str]:
        """One name per face, each once; splits and messages go by it."""

    @property
    def side(self) -> int:
        """Width and height of every face in px."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the faces and their order (not for `side`)."""

    def __len__(self) -> int: ...

    def image(self, i: int) -> np.ndarray:
        """Return face `i` as RGB uint8 `(side,side,3)`, the caller's to change."""


def resize_area(image: np.ndarray, side: int) -> np.ndarray:
    """Return `image` uint8 `(H,W,3)` reduced to `(side,side,3)` by area averaging."""
    if image.shape[:2] == (side, side):
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


class FolderSource:
    """The square images of a folder (read recursively), reduced to `side` by area averaging.

    Making one checks the header and the end of every file; every file that is unreadable, empty,
    truncated, 16-bit, not square or smaller than `side` is listed in one `DataError`. Damage inside
    the pixels shows when an image is decoded: `data.cache.packed` does that for all of them.
    """

    def __init__(self, root: Path, side: int, paths: Sequence[Path] | None = None) -> None:
        """Take all images below `root`, or only `paths` (all below `root`), in sorted order."""
        self.root = Path(root)
        self.side = side
        self._paths = list_images(self.root) if paths is None else list(paths)
        by_name(self._paths, self.root)
        self.names = [image_name(path, self.root) for path in self._paths]
        digests, problems = collect(self._paths, self._check)
        if problems:
            summary = f"{self.root}: {len(problems)} of {len(self._paths)} images cannot be used:"
            fix = "Repair or remove these files, or let scripts/prepare_data.py make a clean folder"
            raise listing(summary, problems, fix)
        self.fingerprint = hashlib.sha256(b"".join(digests)).hexdigest()[:16]

    def _check(self, path: Path) -> bytes:
        data = map_file(path)
        header = parse_header(data)
        check_depth(header)
        if header.width != header.height:
            raise DataError(f"is {header.width}x{header.height} px, not square")
        if header.width < self.side:
            raise DataError(f"is {header.width}x{header.height} px, smaller than {self.side}")
        return sample_digest(path, self.root, data)

    def __len__(self) -> int:
        return len(self._paths)

    def image(self, i: int) -> np.ndarray:
        """Return face `i` as RGB uint8 `(side,side,3)`; raises `DataError` naming the file."""
        return resize_area(read_rgb(self._paths[i]), self.side)


class SyntheticSource:
    """`count` procedurally rendered faces, from number `first` on."""

    def __init__(self, count: int, side: int, first: int = 0) -> None:
        if count < 1:
            raise DataError(f"{count} synthetic faces asked for: ask for at least one")
        self.side = side
        self._first = first
        self.names = [f"synthetic-{first + i:07d}" for i in range(count)]
        text = f"{_renderer_digest()} {first} {count}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """Return face `i` as RGB uint8 `(side,side,3)`."""
        from data.synthetic import render_face

        return render_face(self._first + range(len(self))[i], self.side).image


def _renderer_digest() -> str:
    """Return a digest of the renderer's source: faces of another renderer are other data."""
    files = sorted(Path(__file__).parent.glob("synthetic*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Subset:
    """Some faces of another source, in the order of `indices`."""

    def __init__(self, source: FaceSource, indices: Sequence[int]) -> None:
        if not indices:
            raise DataError(f"no face left of {len(source)} for this part: use more faces")
        self._source = source
        self._indices = list(indices)
        self.side = source.side
        self.names = [source.names[i] for i in self._indices]
        text = f"{source.fingerprint} {self._indices}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._indices)

    def image(self, i: int) -> np.ndarray:
        """Return face `i` as RGB uint8 `(side,side,3)`."""
        return self._source.image(self._indices[i])


HELD_OUT = 1_000_000
"""Number of the first synthetic face that is only validated on."""


@dataclass(frozen=True)
class OpenedData:
    """Faces to train on and pairs to validate on."""

    train: FaceSource
    val: Validation

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for both parts."""
        text = f"{self.train.fingerprint} {self.val.fingerprint}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_data(
    data: Path | None,
    val: Path | None,
    *,
    hq_side: int,
    scale: int,
    degradation: str,
    synthetic_count: int,
    synthetic_val: int,
    remake_val_lq: bool,
    cache_dir: Path,
) -> OpenedData:
    """Return the faces of a run, every file checked and packed into `cache_dir`.

    data: folder of HQ faces; None = `synthetic_count` embedded faces.
    val: folder with GT/ and LQ/; None = 5 % of `data` by hash of the name (at least one face), or
    `synthetic_val` embedded faces that are never trained on; their LQ are made with seed 2024.
    remake_val_lq: use only GT/ of `val`, reduced to `hq_side`, its LQ made with seed 2024.
    Raises `DataError` listing every bad file of the first folder that has any.
    """
    if hq_side % scale:
        raise DataError(f"HQ side {hq_side} is not a multiple of the scale {scale}")
    made = partial(_made, degradation=degradation, scale=scale)
    held_out: Validation | None = None
    if val is not None:
        root = Path(val)
        held_out = (
            made(packed(_hq_of_pairs(root, hq_side), cache_dir))
            if remake_val_lq
            else open_pairs(root, scale=scale, cache_dir=cache_dir)
        )
    if data is None:
        train = packed(SyntheticSource(synthetic_count, hq_side), cache_dir)
        if held_out is None:
            faces = SyntheticSource(synthetic_val, hq_side, first=HELD_OUT)
            held_out = made(packed(faces, cache_dir))
        return OpenedData(train, held_out)
    train = packed(FolderSource(Path(data), hq_side), cache_dir)
    if held_out is None:
        kept, out = split_validation(train.names)
        held_out = made(Subset(train, out))
        train = Subset(train, kept)
    return OpenedData(train, held_out)


def trained_and_held_out(data: OpenedData) -> list[str]:
    """Return the names of validation faces that are also trained on, pixel for pixel."""

    def mark(image: np.ndarray) -> bytes:
        return image[:: max(1, len(image) // 8), :: max(1, len(image) // 8)].tobytes()

    held_out: dict[bytes, list[int]] = {}
    for i in range(len(data.val)):
        held_out.setdefault(mark(data.val.pair(i)[1]), []).append(i)
    found: set[int] = set()
    for k in range(len(data.train)):
        face = data.train.image(k)
        for i in held_out.get(mark(face), ()):
            if np.array_equal(face, data.val.pair(i)[1]):
                found.add(i)
    return [data.val.names[i] for i in sorted(found)]


def split_validation(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return (numbers to train on, numbers held out): 5 % by hash of the name, at least one.

    Raises `DataError` for fewer than two names.
    """
    if len(names) < 2:
        raise DataError("one face cannot be split into training and validation: give --val or more")
    out = {i for i, name in enumerate(names) if is_validation(name)}
    if not out or len(out) == len(names):
        out = {min(range(len(names)), key=lambda i: rank(names[i]))}
    return [i for i in range(len(names)) if i not in out], sorted(out)


def open_pairs(root: Path, *, scale: int, cache_dir: Path) -> Validation:
    """Return the pairs of `root/GT` and `root/LQ`, whole faces of one size, checked and packed.

    Raises `DataError` listing unpaired files, or those that are not `scale` to 1 in size, not
    square, of another size than the first, or unreadable.
    """
    pairs = find_pairs(root)
    sides: dict[str, int] = {}
    for part, paths in (("GT", [pair.hq for pair in pairs]), ("LQ", [pair.lq for pair in pairs])):
        sides[part] = _common_side(root / part, paths)
    if sides["GT"] != scale * sides["LQ"]:
        raise DataError(
            f"{root}: GT is {sides['GT']} px and LQ {sides['LQ']} px, not {scale} to 1: "
            "use the right --scale, or make LQ with scripts/prepare_data.py"
        )
    hq = FolderSource(root / "GT", sides["GT"], [pair.hq for pair in pairs])
    lq = FolderSource(root / "LQ", sides["LQ"], [pair.lq for pair in pairs])
    stored = StoredPairs(packed(lq, cache_dir), packed(hq, cache_dir))
    digest = hashlib.sha256(f"{hq.fingerprint} {lq.fingerprint}".encode()).hexdigest()
    return Validation(hq.names, stored, digest[:16])


def _common_side(root: Path, paths: Sequence[Path]) -> int:
    headers, problems = collect(paths, lambda path: parse_header(map_file(path)))
    side = headers[0].width if headers else 0
    good = [path for path in paths if path not in {bad for bad, _ in problems}]
    for path, header in zip(good, headers, strict=True):
        if (header.width, header.height) != (side, side):
            problems.append((path, f"is {header.width}x{header.height} px, not {side}x{side}"))
    if problems:
        summary = f"{root}: {len(problems)} of {len(paths)} images cannot be used:"
        raise listing(summary, problems, "All faces of a validation set are squares of one size")
    return side


def _hq_of_pairs(root: Path, side: int) -> FolderSource:
    folder = root / "GT" if (root / "GT").is_dir() else root
    return FolderSource(folder, side)


def _made(hq: FaceSource, *, degradation: str, scale: int) -> Validation:
    lq = DegradedFaces(hq, degradation=degradation, scale=scale)
    return Validation(hq.names, StoredPairs(lq, hq), lq.fingerprint)
