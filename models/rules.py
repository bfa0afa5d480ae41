"""The challenge's rules about a network and where its weights come from.

Training records what is checked here in the network's file: data, weights it started from, fitted
priors, faces that are both trained on and scored. What was not recorded counts as broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.prior_source import EXTERNAL, REAL, source_of
from models.size import count
from models.space import CAP

SUBMITTED = (REAL, "coords")
"""Prior sources of a network that restores LQ faces by itself and stores nothing uncounted."""
OUTSIDE_TIERS = (EXTERNAL,)
"""Tiers of priors that were not learned from the faces alone."""


@dataclass(frozen=True)
class Finding:
    """One rule: whether it is kept, and what was found, in words."""

    kept: bool
    text: str
    outside: bool = False
    """Broken on purpose, with --allow-noncompliant: every report says so."""


def audit(net: nn.Module, metadata: Mapping[str, Any]) -> list[Finding]:
    """What the rules say about a network and the metadata of its file (`models.artifact`)."""
    return [_size(net), *_source(net), *_origin(metadata, "")]


def noncompliant(net: nn.Module, metadata: Mapping[str, Any]) -> list[str]:
    """What of a network was made outside the rules on purpose, in words; empty: nothing."""
    return [finding.text for finding in audit(net, metadata) if finding.outside]


def _size(net: nn.Module) -> Finding:
    size = count(net)
    words = (
        f"{size.parameters:,} parameters and {size.learned_buffers:,} learned buffers, "
        f"{size.total:,} in all; the cap is {CAP:,}"
    )
    return Finding(size.total <= CAP, words)


def _source(net: nn.Module) -> Iterator[Finding]:
    for one in getattr(net, "members", (net,)):
        source = source_of(one)
        if source == EXTERNAL:
            text = "its priors are made of labels from outside the faces (prior source external)"
            yield Finding(False, text, outside=True)
        elif source != REAL:
            text = f"its priors are those of the control arm {source!r}"
            yield Finding(source in SUBMITTED, text)


def _origin(metadata: Mapping[str, Any], where: str) -> Iterator[Finding]:
    """The findings about one file's weights; `where` opens each text."""
    averaged = metadata.get("averaged")
    if isinstance(averaged, list) and averaged:
        for number, one in enumerate(averaged, start=1):
            yield from _origin(
                one if isinstance(one, Mapping) else {}, f"{where}average {number}: "
            )
        return
    prints = metadata.get("fingerprints")
    if not isinstance(prints, Mapping) or "data" not in prints:
        yield Finding(False, f"{where}nothing is recorded about the faces it was trained on")
        return
    yield Finding(True, f"{where}trained on the faces {prints['data']}, commit {_commit(metadata)}")
    yield _held_out(metadata.get("held_out_trained_on"), where)
    yield from _priors(metadata, where)
    yield from _start(metadata.get("init"), where)
    yield from _features(metadata.get("perceptual"), where)


def _commit(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("commit") or "unknown")


def _held_out(names: object, where: str) -> Finding:
    if not isinstance(names, list):
        return Finding(False, f"{where}it is not recorded whether validation faces were trained on")
    if names:
        shown = ", ".join(map(str, names[:5]))
        return Finding(False, f"{where}trained on {len(names)} validation faces: {shown}")
    return Finding(True, f"{where}no validation face was trained on")


def _priors(metadata: Mapping[str, Any], where: str) -> Iterator[Finding]:
    marks = metadata.get("priors")
    if not isinstance(marks, Mapping) or not marks:
        return
    tier = marks.get("tier")
    words = f"{where}priors of the tier {tier!r}, fit {marks.get('fingerprint')}"
    if marks.get("noncompliant"):
        words += f": {marks['noncompliant']}"
    outside = tier in OUTSIDE_TIERS
    yield Finding(isinstance(tier, str) and not outside, words, outside=outside)


def _features(origin: object, where: str) -> Iterator[Finding]:
    """The network whose features a perceptual loss compared, if there was one."""
    if origin is None:
        return
    if isinstance(origin, Mapping) and isinstance(origin.get("metadata"), Mapping):
        yield Finding(True, f"{where}perceptual loss with the features of {origin.get('file')}")
        yield from _origin(origin["metadata"], f"{where}{origin.get('file')}: ")
    else:
        named = origin.get("noncompliant") if isinstance(origin, Mapping) else None
        words = f"{where}perceptual loss with {named or 'features of unknown origin'}"
        yield Finding(False, words, outside=named is not None)


def _start(init: object, where: str) -> Iterator[Finding]:
    if init is None:
        yield Finding(True, f"{where}trained from random weights")
    elif isinstance(init, Mapping) and isinstance(init.get("metadata"), Mapping):
        yield Finding(True, f"{where}started from {init.get('file')}, SHA-256 {init.get('sha256')}")
        yield from _origin(init["metadata"], f"{where}{init.get('file')}: ")
    else:
        yield Finding(False, f"{where}started from weights of unknown origin")
