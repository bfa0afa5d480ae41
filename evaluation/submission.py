"""A submission: one zip of restored PNGs under their input names, and proof that it is whole."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2

from evaluation.files import decode, list_pictures
from evaluation.metrics import Image, MetricError, check_images

LAYOUTS = ("subfolder", "flat")
SUBFOLDER = "results"
PNG_LEVEL = 9
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Date of every entry, so that the same pictures make the same bytes."""


class SubmissionError(ValueError):
    """A submission that would be refused; the message says which file and why."""


def png_bytes(image: Image) -> bytes:
    """A uint8 RGB image `(H, W, 3)` as the bytes of a PNG, the smallest that OpenCV writes."""
    check_images(image, image)
    done, data = cv2.imencode(
        ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    )
    if not done:
        raise SubmissionError(f"a picture of {image.shape} could not be written as PNG")
    return data.tobytes()


def write_zip(path: Path, pictures: Mapping[str, bytes], layout: str = "subfolder") -> None:
    """Write the PNGs of `pictures` (name without suffix to bytes), sorted, as `path`.

    Layout `subfolder` puts them into one folder, `flat` into none. Equal pictures give equal bytes.
    """
    if layout not in LAYOUTS:
        raise SubmissionError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    prefix = f"{SUBFOLDER}/" if layout == "subfolder" else ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(pictures):
            entry = zipfile.ZipInfo(f"{prefix}{name}.png", LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, pictures[name])


def check_zip(path: Path, names: set[str], sides: tuple[int, int]) -> int:
    """Reopen a submission and return its bytes; every name, size and format must be right.

    `names` without suffix, `sides` (width, height) in px. Raises SubmissionError listing all that
    is wrong.
    """
    try:
        pictures = list_pictures(path)
    except MetricError as error:
        raise SubmissionError(str(error)) from error
    problems = [f"{name} is missing" for name in sorted(names - pictures.keys())]
    problems += [f"{name} is not asked for" for name in sorted(pictures.keys() - names)]
    for name in sorted(names & pictures.keys()):
        try:
            image = decode(pictures[name](), name)
        except MetricError as error:
            problems.append(str(error))
            continue
        if (image.shape[1], image.shape[0]) != sides:
            problems.append(
                f"{name} is {image.shape[1]}x{image.shape[0]}, not {sides[0]}x{sides[1]}"
            )
    if problems:
        raise SubmissionError(f"{path} would be refused:\n" + "\n".join(f"  {p}" for p in problems))
    return path.stat().st_size
