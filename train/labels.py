"""External labels as a prior source: their flags, and how a network gets them.

They are outside the challenge's rules: asked for by name and allowed by name, or refused.
"""

# ruff: noqa: RUF009 - `flag` returns a dataclass field
from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from data import augmentations
from data.errors import DataError
from data.sources import OpenedData
from models.prior_source import EXTERNAL, REAL, LabelError, externals, source_of, stand_in
from priors.external import DETECTOR, ExternalLabels, LabelOptions, is_split, open_labels
from priors.external_landmarks import WEIGHTS
from priors.external_maps import ORDERS
from train.flags import ConfigError, add_flags, flag

if TYPE_CHECKING:
    from train.config import DerivedConfig

REFUSED = (
    "prior maps from external labels are outside the challenge's rules: what is made with them may "
    "not be submitted. Add --allow-noncompliant if that is meant"
)


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Flags of the labels of `--prior-source external`; the fields of `LabelOptions`."""

    landmark_labels: str | None = flag(
        None, f"external: folder of NAME.npy or NAME.txt, points (N,2), or {DETECTOR}"
    )
    landmark_side: int | None = flag(
        None, "external: side in px of the pictures that the landmarks were marked on"
    )
    parse_labels: Path | None = flag(None, "external: folder of index PNGs, or raw NAME.npy")
    label_order: str | None = flag(
        None, "external: how index PNGs number the classes", choices=tuple(ORDERS)
    )
    dict_labels: Path | None = flag(
        None, "external: folder of NAME.npy (9,h,w), or of DFDNet's components"
    )
    face_alignment_weights: Path | None = flag(
        None, f"external: 2DFAN-4's file, where {WEIGHTS} does not name it"
    )


def options_of(config: LabelConfig | Mapping[str, Any]) -> LabelOptions:
    """The labels that a configuration, or a mapping of typed flags, names."""
    values = config if isinstance(config, Mapping) else vars(config)
    names = [field.name for field in dataclasses.fields(LabelOptions)]
    return LabelOptions(**{name: values.get(name) for name in names})


def check_flags(
    options: LabelOptions, source: str, *, allowed: bool, augment: Sequence[str] = ()
) -> None:
    """Raise `ConfigError` where flags of labels and the prior source do not fit together."""
    if source != EXTERNAL:
        if options.given:
            raise ConfigError(f"labels of {', '.join(options.given)}: add --prior-source external")
        return
    if not allowed:
        raise ConfigError(f"--prior-source external: {REFUSED}")
    chosen = augmentations.parse(augment).probabilities
    moved = [name for name, share in chosen if name in augmentations.MOVING and share]
    if moved and options.in_files:
        raise ConfigError(
            f"--augment {moved[0]} moves the face away from labels in files: leave it out, or take "
            f"--landmark-labels {DETECTOR} alone, which looks at the changed face"
        )


def training_labels(
    config: DerivedConfig, priors: Sequence[str], data: OpenedData, device: torch.device
) -> dict[bool, ExternalLabels]:
    """Labels of a run's training faces (True) and validation faces (False), each face's checked.

    Empty for another prior source. Raises `ConfigError` for no priors, `DataError` where a face has
    no label, or its name does not tell which face is meant.
    """
    if config.prior_source != EXTERNAL:
        return {}
    if not priors:
        raise ConfigError("--prior-source external: the network has no priors")
    options = options_of(config)
    shared = sorted(set(data.train.names) & set(data.val.names))
    if shared and options.in_files and not is_split(options):
        raise DataError(
            f"{len(shared)} names are of a training and a validation face ({shared[0]}): put the "
            "labels into train/ and val/ of each folder of labels"
        )
    pair = {
        trained: open_labels(options, priors, trained=trained, device=device)
        for trained in (True, False)
    }
    pair[True].check(data.train.names)
    pair[False].check(data.val.names)
    return pair


def give_labels(net: nn.Module, labels: Mapping[bool, ExternalLabels]) -> None:
    """Let the stand-ins for external labels of a network look them up."""
    for one in externals(net):
        one.labels.update(labels)


def marks(labels: ExternalLabels) -> dict[str, Any]:
    """What a checkpoint says of its priors: outside the rules, and why (`models.rules`)."""
    return {"tier": EXTERNAL, "fingerprint": labels.fingerprint, "noncompliant": labels.told}


def add_label_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags by which a command on a finished network takes labels."""
    add_flags(parser, LabelConfig)
    source = "external: labels take the student's place, in any network"
    parser.add_argument("--prior-source", default=REAL, choices=(REAL, EXTERNAL), help=source)
    allow = "allow what breaks the challenge's rules, and record it"
    parser.add_argument("--allow-noncompliant", action="store_true", help=allow)


def restore_with_labels(
    net: nn.Module,
    options: LabelOptions,
    names: Sequence[str],
    *,
    source: str,
    allowed: bool,
    device: torch.device,
) -> None:
    """Give a finished network labels of the faces of these names, where it or a flag wants them.

    Raises `ConfigError` or `LabelError` where they are not allowed or not named, `DataError` where
    one is missing or broken.
    """
    if source == EXTERNAL:
        for one in getattr(net, "members", (net,)):
            if getattr(one, "student", None) is None:
                raise ConfigError("--prior-source external: the network has no priors")
            if source_of(one) not in (REAL, EXTERNAL):
                raise ConfigError(f"its priors are those of the control arm {source_of(one)!r}")
            if source_of(one) == REAL:
                stand_in(one, EXTERNAL)
    wanting = list(externals(net))
    if wanting and not allowed:
        raise LabelError(REFUSED)
    check_flags(options, EXTERNAL if wanting else source, allowed=allowed)
    for one in wanting:
        labels = open_labels(options, one.student.priors, trained=False, device=device)
        labels.check(names)
        one.labels[False] = labels
