"""Packed faces: one memory-mapped uint8 file, so that decoding and reducing are paid once."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.atomic import atomic_file, remove_stale
from data.errors import DataError, Problem, listing

if TYPE_CHECKING:
    from data.sources import FaceSource

VERSION = 1
"""Raise it when reading or reducing changes, so that older caches are not used."""
THREADS = 2
AHEAD = 16

_log = logging.getLogger(__name__)


class PackedSource:
    """The faces of another source, read from a packed file `(N,side,side,3)` uint8."""

    def __init__(self, path: Path, names: Sequence[str], side: int, fingerprint: str) -> None:
        """Open `path`; raises `DataError` unless it is whole and of exactly this shape."""
        self.path = Path(path)
        self.names = list(names)
        self.side = side
        self.fingerprint = fingerprint
        self._faces = _open(self.path, (len(self.names), side, side, 3))

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """Return face `i` as RGB uint8 `(side,side,3)`, a copy."""
        return np.array(self._faces[range(len(self))[i]])

    def __reduce__(self) -> tuple[type[PackedSource], tuple[Path, list[str], int, str]]:
        # a worker process maps the file itself instead of receiving gigabytes
        return PackedSource, (self.path, self.names, self.side, self.fingerprint)


def packed(source: FaceSource, cache_dir: Path) -> FaceSource:
    """Return `source` read from a packed file in `cache_dir`, which is made if it is not there.

    The file is keyed by the fingerprint, the side and the version of this module; it appears whole
    or not at all, and one of the wrong shape or length is made again. Making it decodes every face
    on two threads (2,800 faces of 512 px: well under a minute, 2.2 GB). Raises `DataError` listing
    every face that cannot be decoded, or saying how much space is missing on the disk.
    """
    path = packed_path(source, cache_dir)

    def opened() -> PackedSource:
        return PackedSource(path, source.names, source.side, source.fingerprint)

    if path.exists():
        try:
            return opened()
        except DataError as error:
            _log.warning("%s; it is packed again", error)
    _pack(source, path)
    return opened()


def packed_path(source: FaceSource, cache_dir: Path) -> Path:
    """Return where the packed faces of `source` are kept."""
    return Path(cache_dir) / f"faces-{source.fingerprint}-{source.side}-v{VERSION}.npy"


def _open(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        faces = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not a whole packed file ({error})") from error
    if faces.shape != shape or faces.dtype != np.uint8 or not faces.flags.c_contiguous:
        raise DataError(f"{path} holds {faces.dtype} {faces.shape}, not uint8 {shape}")
    return faces


def _pack(source: FaceSource, path: Path) -> None:
    shape = (len(source), source.side, source.side, 3)
    _make_room(path, int(np.prod(shape)))
    _log.info("packing %d faces of %d px into %s (once)", len(source), source.side, path)
    start = time.monotonic()
    problems: list[Problem] = []
    with atomic_file(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for i, face in enumerate(_faces(source)):
            if isinstance(face, str):
                problems.append((source.names[i], face))
            elif not problems:
                file.write(np.ascontiguousarray(face).data)
        if problems:
            raise _undecodable(problems, len(source))
    _log.info("packed %d faces in %.1f s", len(source), time.monotonic() - start)


def _undecodable(problems: Sequence[Problem], total: int) -> DataError:
    summary = f"{len(problems)} of {total} faces cannot be read:"
    return listing(summary, problems, "Repair or remove these files; nothing was packed")


def _make_room(path: Path, size: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # a file, or a link to nothing
        raise DataError(f"{path.parent} is no folder: remove it, or name another --cache") from None
    remove_stale(path.parent, "faces-*.npy")
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise DataError(
            f"packing the faces needs {size / 1e9:.2f} GB, the disk of {path.parent} has "
            f"{free / 1e9:.2f} GB free: free some space (older faces-*.npy there may go), "
            "or choose a cache folder on another disk"
        )


def _faces(source: FaceSource) -> Iterator[np.ndarray | str]:
    """Yield every face in order, or the reason why it cannot be read."""
    shape = (source.side, source.side, 3)

    def face(i: int) -> np.ndarray | str:
        try:
            image = source.image(i)
        except DataError as error:
            return str(error)
        if image.shape != shape or image.dtype != np.uint8:
            return f"is {image.dtype} {image.shape}, not uint8 {shape}"
        return image

    yield from _in_order(face, len(source))


def _in_order(work: Callable[[int], np.ndarray | str], count: int) -> Iterator[np.ndarray | str]:
    """Yield `work(0)`, `work(1)`, ... computed on a few threads, at most `AHEAD` of them early."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        waiting: deque[Future[np.ndarray | str]] = deque()
        for i in range(count):
            waiting.append(pool.submit(work, i))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
