"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from data.errors import DataError

TEMPORARY = ".partial"
STALE_SECONDS = 3600.0


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends without an error.

    The bytes go to a temporary file in the same folder, then fsync (if `sync`), `os.replace` and
    fsync of the folder: `path` is the old file or the whole new one, also after a crash. On an
    error, Ctrl-C included, the temporary file is removed. Raises `DataError` when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk is full: {path} could not be written; nothing was left behind. "
                "Free some space, or choose a folder on another disk"
            ) from error
        raise
    if sync:
        _sync_folder(path.parent)


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove temporary files that a killed run left in `folder` more than an hour ago."""
    for left in folder.glob(f"{pattern}.*{TEMPORARY}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system lets a folder be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
