"""The folder of one run: configuration, log, curves, pictures, checkpoints, results."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tensorboardX import SummaryWriter

from train.checkpoint import write_bytes

RUNS = Path("runs")
CONFIG = "config.json"
LOG = logging.getLogger(__name__)


class RunFolderError(RuntimeError):
    """A run folder that cannot be used; the message says what to do instead."""


class RunFolder:
    """Paths and writers of one run."""

    def __init__(self, path: Path) -> None:
        """Wrap a folder that exists; see `start_run` and `find_run`."""
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.pictures = path / "pictures"
        self.log_file = path / "log.jsonl"
        self.best = path / "best.safetensors"
        self.best_pth = path / "best.pth"
        self.last = path / "last.safetensors"
        self.snapshots = path / "snapshots"
        self.scores = path / "scores.json"
        self._board: SummaryWriter | None = None
        self._begun = time.monotonic()

    @property
    def board(self) -> SummaryWriter:
        """The tensorboard writer, opened when first used."""
        if self._board is None:
            self._board = SummaryWriter(str(self.path / "tensorboard"))
        return self._board

    def write_config(self, command: str, config: Mapping[str, Any]) -> None:
        """Write `config.json`: command, configuration, versions, commit, machine."""
        whole = {"command": command, "config": dict(config), **provenance()}
        write_bytes(self.path / CONFIG, (json.dumps(whole, indent=2) + "\n").encode())

    def read_config(self) -> dict[str, Any]:
        """Return the configuration that the run was started with."""
        file = self.path / CONFIG
        try:
            config = json.loads(file.read_text())["config"]
        except (OSError, ValueError, KeyError) as error:
            raise RunFolderError(f"{file}: no readable configuration ({error})") from error
        return dict(config)

    def log(self, kind: str, step: int, **values: Any) -> None:
        """Append a line to `log.jsonl`; numbers also go to tensorboard as `<kind>/<name>`."""
        seconds = round(time.monotonic() - self._begun, 3)
        row = {"kind": kind, "step": step, "seconds": seconds, **values}
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def rows(self) -> list[dict[str, Any]]:
        """Return the lines of `log.jsonl`; an unfinished last line is left out."""
        if not self.log_file.exists():
            return []
        rows = []
        for line in self.log_file.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                LOG.warning("%s: an unfinished line is left out", self.log_file)
        return rows

    def rewind(self, step: int) -> None:
        """Drop what was logged after `step`: a resumed run logs it again."""
        kept = [json.dumps(row) for row in self.rows() if row["step"] <= step]
        write_bytes(self.log_file, "".join(line + "\n" for line in kept).encode())
        self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def picture(self, name: str, rgb: NDArray[np.uint8], step: int) -> Path:
        """Write a picture (H,W,3) uint8 to `pictures/` and to tensorboard; return its file."""
        self.pictures.mkdir(exist_ok=True)
        path = self.pictures / f"{name}-{step:06d}.png"
        ok, png = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))
        if not ok:
            raise RunFolderError(f"{path}: could not be encoded")
        write_bytes(path, png.tobytes())
        self.board.add_image(name, rgb, step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Flush and close the tensorboard file."""
        if self._board is not None:
            self._board.close()
            self._board = None


def start_run(command: str, out: Path | None) -> RunFolder:
    """Make the folder of a new run: `out`, or the next free `runs/<command>-NNN`.

    Raises RunFolderError if `out` holds anything already.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunFolderError(
                f"{out} holds another run: give another --out (a training or search that stopped "
                "goes on with --resume)"
            )
        out.mkdir(parents=True, exist_ok=True)
        return RunFolder(out)
    RUNS.mkdir(exist_ok=True)
    number = max((_number(path, command) for path in RUNS.iterdir()), default=0)
    while True:
        number += 1
        path = RUNS / f"{command}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return RunFolder(path)


def find_run(command: str, out: Path | None) -> RunFolder:
    """Return the run to resume: `out`, or the newest `runs/<command>-NNN`."""
    path = out if out is not None else newest_run(command)
    if path is None:
        raise RunFolderError(f"--resume: no run {RUNS}/{command}-NNN to go on with")
    if not (path / CONFIG).is_file():
        raise RunFolderError(f"--resume: {path} holds no run (no {CONFIG})")
    command_there = json.loads((path / CONFIG).read_text()).get("command")
    if command_there != command:
        raise RunFolderError(f"--resume: {path} is a run of {command_there}, not of {command}")
    return RunFolder(path)


def newest_run(command: str | None = None, root: Path = RUNS) -> Path | None:
    """Return the run folder with the newest configuration, of one command or of any."""
    found = []
    for file in root.glob(f"*/{CONFIG}"):
        try:
            there = json.loads(file.read_text()).get("command")
        except (OSError, ValueError, AttributeError):
            continue
        if command in (None, there):
            found.append((file.stat().st_mtime, file.parent))
    return max(found)[1] if found else None


def provenance() -> dict[str, Any]:
    """Return versions, commit and machine: what a result needs to be made again."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def commit() -> str | None:
    """Return the commit of the code, with `+` if files were changed, or None without git."""
    root = Path(__file__).resolve().parents[1]
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _number(path: Path, command: str) -> int:
    match = re.fullmatch(re.escape(command) + r"-(\d{3,})", path.name)
    return int(match[1]) if match else 0
