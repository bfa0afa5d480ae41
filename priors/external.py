"""Labels from outside, by the name of a face: outside the challenge's rules, never by default.

A folder of labels has a file per face under the face's own name. Where it has subfolders `train/`
and `val/`, faces that are trained on are looked up in the first, all others in the second. Nothing
is unpickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from data.errors import DataError, listing
from data.folders import fingerprint
from priors.external_landmarks import Detector, LandmarkFolder
from priors.external_maps import CodeFolder, ComponentDictionary, ParseFolder, is_dictionary

DETECTOR = "face-alignment"
"""What is given in place of a folder of landmarks."""
PARTS = {True: "train", False: "val"}
"""Subfolders by whether the faces are trained on."""


class Reader(Protocol):
    """The labels of one prior."""

    told: str
    """Where they are from, in words without a path."""

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """Maps (C,size,size) of the face of this name, see `models.prior_source.Labels`."""

    def files(self) -> tuple[Path, list[Path]] | None:
        """The folder and its files of labels; None where they are not in files."""

    def has(self, name: str) -> bool:
        """Whether the face of this name has a label."""


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Where labels are; the flags of the same names."""

    landmark_labels: str | None = None
    landmark_side: int | None = None
    parse_labels: Path | None = None
    label_order: str | None = None
    dict_labels: Path | None = None
    face_alignment_weights: Path | None = None

    @property
    def given(self) -> dict[str, str]:
        """By prior, what was given for it."""
        every = {
            "parse": self.parse_labels,
            "heat": self.landmark_labels,
            "dict": self.dict_labels,
        }
        return {prior: str(value) for prior, value in every.items() if value is not None}

    @property
    def in_files(self) -> bool:
        """Whether any label was made before, of the face as it is stored."""
        return any(value != DETECTOR for value in self.given.values())


@dataclass(frozen=True)
class ExternalLabels:
    """Labels of the priors of a network (a `models.prior_source.Labels`)."""

    readers: Mapping[str, Reader]

    def maps(self, name: str, face: Tensor, mirrored: bool, size: int) -> dict[str, Tensor]:
        """Maps by prior (C,size,size); DataError names a label that is missing or broken."""
        with torch.no_grad():
            return {
                prior: reader.label(name, face, mirrored, size)
                for prior, reader in self.readers.items()
            }

    def check(self, names: Sequence[str]) -> None:
        """Raise `DataError` that lists the faces without a label."""
        problems = [
            (name, f"no {prior} label ({reader.told})")
            for prior, reader in self.readers.items()
            for name in names
            if not reader.has(name)
        ]
        if problems:
            summary = f"{len(problems)} labels are missing, the first of them:"
            fix = "Each face needs a file of its own name, such as 00001.png for the face 00001"
            raise listing(summary, problems[:10], fix)

    @property
    def told(self) -> str:
        """What the maps are made of, for the marks of checkpoint, log and reports."""
        return "; ".join(f"{prior}: {reader.told}" for prior, reader in self.readers.items())

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the labels' files and how they are read."""
        digest = hashlib.sha256(self.told.encode())
        for reader in self.readers.values():
            found = reader.files()
            if found is not None:
                digest.update(fingerprint(found[1], found[0]).encode())
        return digest.hexdigest()[:16]


def open_labels(
    options: LabelOptions, priors: Sequence[str], *, trained: bool, device: torch.device
) -> ExternalLabels:
    """Labels of `priors`; of faces that are trained on, or of all others.

    Raises `DataError` where a prior has no labels or their folder cannot be used.
    """
    flags = {"parse": "--parse-labels", "heat": "--landmark-labels", "dict": "--dict-labels"}
    missing = [prior for prior in priors if prior not in options.given]
    if missing:
        raise DataError(
            f"--prior-source external: no labels of {', '.join(missing)}: give "
            f"{', '.join(flags[prior] for prior in missing)}, or train a network without these "
            "(--priors)"
        )
    return ExternalLabels({prior: _reader(prior, options, trained, device) for prior in priors})


def is_split(options: LabelOptions) -> bool:
    """Whether every folder of labels tells training faces from others."""
    folders = [Path(value) for value in options.given.values() if value != DETECTOR]
    return all(is_dictionary(folder) or (folder / PARTS[True]).is_dir() for folder in folders)


def _reader(prior: str, options: LabelOptions, trained: bool, device: torch.device) -> Reader:
    given = options.given[prior]
    if given == DETECTOR:
        return Detector(options.face_alignment_weights, device)
    root = Path(given)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder of {prior} labels")
    if prior == "dict" and is_dictionary(root):
        return ComponentDictionary(root)
    folder = root / PARTS[trained] if (root / PARTS[True]).is_dir() else root
    if not folder.is_dir():
        raise DataError(f"{folder}: missing beside {PARTS[True]}/; labels of other faces go there")
    if prior == "heat":
        return LandmarkFolder(folder, options.landmark_side)
    if prior == "parse":
        return ParseFolder(folder, options.label_order)
    return CodeFolder(folder)
