"""Several evaluations side by side: the snapshots of a run, or one network on several inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from evaluation.report import Report, results
from models.artifact import ArtifactError
from train.checkpoint import write_bytes
from train.run_folder import RunFolder

MEASURES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "niqe": "NIQE", "diversity": "diversity"}


def snapshots(run: Path) -> list[Path]:
    """The networks that a run kept, oldest first, or its last one. Raises `ArtifactError`."""
    folder = RunFolder(run)
    kept = sorted(folder.snapshots.glob("step-*.safetensors"))
    if not kept and folder.last.is_file():
        kept = [folder.last]
    if not kept:
        raise ArtifactError(
            f"{run}: neither {folder.snapshots.name}/ nor {folder.last.name} is there: give a "
            "training's run folder (--snapshot-every keeps networks), or a network's file"
        )
    return kept


def step_of(path: Path) -> int | None:
    """The step that a snapshot's name tells; None for another file."""
    match = re.fullmatch(r"step-(\d+)\.safetensors", path.name)
    return int(match[1]) if match else None


def summary(reports: Mapping[str, Report]) -> list[dict[str, Any]]:
    """One JSON object per evaluation, by its label, with the measures that were taken."""
    rows = []
    for label, report in reports.items():
        values = results(report)
        row = {"label": label, "psnr": values["psnr"], "ssim": values["ssim"]}
        row["bicubic_psnr"] = values["bicubic_psnr"]
        if "niqe" in values:
            row["niqe"] = values["niqe"]["restored"]
        if "diversity" in values:
            row["diversity"] = values["diversity"]["mean"]
        if "noncompliant" in values:
            row["noncompliant"] = values["noncompliant"]
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as text, one line per evaluation."""
    width = max(12, *(len(str(row["label"])) + 2 for row in rows))
    shown = [name for name in (*MEASURES, "bicubic_psnr") if rows[0].get(name) is not None]
    lines = ["".ljust(width) + "".join(f"{name:>14}" for name in shown)]
    for row in rows:
        lines.append(str(row["label"]).ljust(width) + "".join(f"{row[k]:>14.4f}" for k in shown))
    return "\n".join(lines)


def write_series(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write `series.json` and, of two snapshots or more, `series.png`: measures by step."""
    write_bytes(folder / "series.json", (json.dumps(list(rows), indent=2) + "\n").encode())
    steps = [step_of(Path(f"{row['label']}.safetensors")) for row in rows]
    if len(rows) < 2 or None in steps:
        return
    shown = [name for name in MEASURES if name in rows[0]]
    size = (3.2 * len(shown), 3.0)
    figure, axes = plt.subplots(1, len(shown), figsize=size, layout="constrained", squeeze=False)
    for name, one in zip(shown, axes[0], strict=True):
        one.plot(steps, [row[name] for row in rows], marker="o")
        one.set(xlabel="step", ylabel=MEASURES[name])
    figure.savefig(folder / "series.png", dpi=120)
    plt.close(figure)
