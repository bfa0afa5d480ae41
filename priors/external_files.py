"""Files of labels: found by a face's name, and read without unpickling anything."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from data.errors import DataError


def find(folder: Path, name: str, suffixes: Sequence[str]) -> Path:
    """The one file of a face's label. Raises `DataError` where there is none, or two."""
    found = [path for path in (folder / f"{name}{s}" for s in suffixes) if path.is_file()]
    if len(found) != 1:
        wanted = " or ".join(f"{name}{suffix}" for suffix in suffixes)
        what = "no label" if not found else "two labels"
        raise DataError(f"{name}: {what}: {folder} needs one file {wanted}")
    return found[0]


def all_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Every file of labels below a folder, sorted."""
    return sorted(path for suffix in suffixes for path in folder.rglob(f"*{suffix}"))


def read_npy(path: Path) -> np.ndarray:
    """A plain array of numbers as float32; pickled objects are refused unopened.

    Raises `DataError` with the path and the reason.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        said = str(error)
        if "pickle" in said.lower():
            raise DataError(
                f"{path}: holds pickled objects, which can run code when they are opened: refused. "
                "Where you trust the file, load it yourself and save it again as a plain array "
                "(numpy.save of a float array)"
            ) from error
        raise DataError(f"{path}: no readable .npy ({said})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: not one plain array of numbers; save it with numpy.save")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds values that are not finite")
    return array.astype(np.float32)


def resized(maps: Tensor, size: int) -> Tensor:
    """Maps (C,h,w) as (C,size,size): area means when they shrink, bilinear when they grow."""
    if maps.shape[-2:] == (size, size):
        return maps
    if min(maps.shape[-2:]) >= size:
        return functional.interpolate(maps[None], (size, size), mode="area")[0]
    return functional.interpolate(maps[None], (size, size), mode="bilinear", align_corners=False)[0]
