"""Files of models and runs that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, write: Callable[[str], object]) -> None:
    """Let `write` fill a temporary file beside `path`, sync it, then put it in place.

    A reader sees the old file or the new one, never a part; on an error, a full disk or Ctrl-C
    included, the old file stays and nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch()
        mode = part.stat().st_mode
        write(str(part))
        part.chmod(mode)  # some writers replace the file by one that only its owner reads
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system lets a folder be opened
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
