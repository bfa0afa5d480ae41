"""The one writer and reader of checkpoints.

A checkpoint is `step-<n>.pt` (tensors and JSON types only, read with `weights_only=True`) and its
marker `step-<n>.json` (size and SHA-256), written last: a file without a marker is unfinished and
is never read. Every file is written beside its place, flushed to disk and moved over
(`os.replace`); older ones go only after the new one was read back.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.files import write_whole

KEPT = 2
"""Checkpoints that stay on disk."""
VERSION = 1
LOG = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{9})\.(?:pt|json)")


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written or read; the message names the file."""


def save(folder: Path, state: Mapping[str, Any], step: int) -> Path:
    """Write the state of `step` to `folder` and return its file.

    Checkpoints of later steps belong to a run that was given up, and go with the old ones.
    Raises CheckpointError if the state holds more than tensors and JSON, or the disk fails.
    """
    _refuse_objects(state, "state")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save({"version": VERSION, "step": step, "state": dict(state)}, buffer)
        content = buffer.getvalue()
        path = folder / f"step-{step:09d}.pt"
        marker = path.with_suffix(".json")
        marker.unlink(missing_ok=True)
        write_bytes(path, content)
        digest = hashlib.sha256(content).hexdigest()
        fields = {"version": VERSION, "step": step, "bytes": len(content), "sha256": digest}
        write_bytes(marker, json.dumps(fields).encode())
        _verify(marker)
    except OSError as error:
        raise CheckpointError(f"cannot save step {step} in {folder}: {error}") from error
    _prune(folder, step)
    return path


def load_latest(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return step and state of the newest checkpoint that is whole.

    A damaged or unfinished newer one is named in a warning. Raises CheckpointError if there is
    none, or none that is whole.
    """
    steps = sorted({n for n in map(_step_of, folder.glob("step-*")) if n is not None}, reverse=True)
    if not steps:
        raise CheckpointError(f"no checkpoint in {folder}")
    for step in steps:
        try:
            return step, _read(folder / f"step-{step:09d}.json")
        except CheckpointError as error:
            LOG.warning("%s; trying the one before", error)
    raise CheckpointError(f"none of the {len(steps)} checkpoints in {folder} is whole")


def has_checkpoint(folder: Path) -> bool:
    """Return whether `folder` holds a finished checkpoint, whole or not."""
    return any(_step_of(path) is not None for path in folder.glob("step-*.json"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file's content at once: a reader sees the old or the new, never a part."""
    write_whole(path, lambda part: Path(part).write_bytes(content))


def _verify(marker: Path) -> bytes:
    """Return the content that the marker vouches for."""
    path = marker.with_suffix(".pt")
    try:
        fields = json.loads(marker.read_text())
        content = path.read_bytes()
        good = hashlib.sha256(content).hexdigest() == fields["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: unfinished or unreadable ({error})") from error
    if not good:
        raise CheckpointError(f"{path}: damaged, its SHA-256 is not the marker's")
    return content


def _read(marker: Path) -> dict[str, Any]:
    content = _verify(marker)
    try:
        whole = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if whole["version"] != VERSION:
            raise CheckpointError(f"{marker}: version {whole['version']}, this reads {VERSION}")
        state: dict[str, Any] = whole["state"]
    except CheckpointError:
        raise
    except Exception as error:  # torch.load has no exception of its own
        raise CheckpointError(f"{marker.with_suffix('.pt')}: cannot be loaded: {error}") from error
    return state


def _step_of(path: Path) -> int | None:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def _prune(folder: Path, step: int) -> None:
    """Keep `step` and the newest finished ones before it."""
    finished = {_step_of(path) for path in folder.glob("step-*.json")}
    earlier = sorted((n for n in finished if n is not None and n <= step), reverse=True)
    kept = set(earlier[:KEPT])
    for path in folder.glob("step-*"):
        number = _step_of(path)
        if number is not None and number not in kept:
            path.unlink(missing_ok=True)


def _refuse_objects(value: Any, where: str) -> None:
    if value is None or isinstance(value, torch.Tensor) or type(value) in (bool, int, float, str):
        return
    if isinstance(value, Mapping):
        for name, one in value.items():
            if not isinstance(name, str | int):
                raise CheckpointError(f"{where}: key {name!r} is neither text nor a number")
            _refuse_objects(one, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            _refuse_objects(one, f"{where}[{i}]")
    else:
        raise CheckpointError(f"{where}: a {type(value).__name__} is neither tensor nor JSON")
