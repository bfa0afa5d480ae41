"""Several finished runs side by side: scores, paired differences to the first, curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from models.artifact import load_network
from models.rules import noncompliant
from models.size import count
from train.run_folder import RunFolder


@dataclass(frozen=True)
class ArmScores:
    """One arm: its runs (one per seed), scored on the same pairs after the last step."""

    name: str
    steps: int
    parameters: int
    psnr: NDArray[np.float64]
    """dB, `(seeds, passes, pairs)`."""
    ssim: NDArray[np.float64]
    """`(seeds, passes, pairs)`."""
    box: NDArray[np.float64]
    """PSNR of the face box in dB, `(seeds, passes, pairs)`."""
    pairs: tuple[str, ...]
    curves: tuple[tuple[tuple[int, float], ...], ...]
    """Of every seed (step, PSNR of the pairs that are validated during training)."""
    noncompliant: tuple[str, ...] = ()
    """What is outside the challenge's rules on purpose, see `models.rules.noncompliant`."""


class UnequalRunsError(ValueError):
    """Runs that cannot be compared; the message names them."""


def is_finished(run: Path) -> bool:
    """Whether a run folder holds the scores that its last step writes."""
    return RunFolder(run).scores.is_file()


def read_arm(name: str, runs: Sequence[Path]) -> ArmScores:
    """The scores of one arm's finished runs, a seed each. Raises `UnequalRunsError`."""
    contents = [json.loads(RunFolder(run).scores.read_text()) for run in runs]
    pairs = {tuple(one["names"]) for one in contents}
    passes = {len(one["psnr"]) for one in contents}
    if len(pairs) != 1 or len(passes) != 1:
        raise UnequalRunsError(f"{name}: its seeds were scored on other pairs or passes")
    loaded = load_network(RunFolder(runs[0]).last)
    return ArmScores(
        name=name,
        steps=int(np.mean([one["step"] for one in contents])),
        parameters=count(loaded.net).total,
        psnr=np.array([one["psnr"] for one in contents]),
        ssim=np.array([one["ssim"] for one in contents]),
        box=np.array([one["psnr_box"] for one in contents]),
        pairs=pairs.pop(),
        curves=tuple(_curve(RunFolder(run).rows()) for run in runs),
        noncompliant=tuple(noncompliant(loaded.net, loaded.metadata)),
    )


def _curve(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, float], ...]:
    return tuple(
        (row["step"], row["subset_psnr"]) for row in rows if row["kind"] in ("validate", "final")
    )


def paired_difference(
    arm: ArmScores, other: ArmScores, measure: str = "psnr"
) -> tuple[float, float]:
    """Mean difference of the last passes, `arm` minus `other`, and its standard error, in dB.

    measure: `psnr`, or `box` for the face box alone.

    The same seed is compared with the same seed, the same face with the same face; an arm of fewer
    seeds has the first ones of the other. With several seeds the error is that of the seeds' means,
    with one that of the faces. Raises `UnequalRunsError` where the faces are not the same.
    """
    one, two = getattr(arm, measure)[:, -1], getattr(other, measure)[:, -1]
    if arm.pairs != other.pairs:
        raise UnequalRunsError(f"{arm.name} and {other.name} were scored on other faces")
    common = min(len(one), len(two))
    difference = one[:common] - two[:common]
    values = difference[0] if len(difference) == 1 else difference.mean(1)
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(difference.mean()), error


def summary(arms: Sequence[ArmScores]) -> list[dict[str, Any]]:
    """One JSON object per arm; `difference` and `error` (dB) are against the first arm."""
    rows = []
    for arm in arms:
        difference, error = paired_difference(arm, arms[0])
        box, box_error = paired_difference(arm, arms[0], "box")
        rows.append(
            {
                "arm": arm.name,
                "seeds": len(arm.psnr),
                "pairs": len(arm.pairs),
                "steps": arm.steps,
                "parameters": arm.parameters,
                "psnr": [float(v) for v in arm.psnr.mean((0, 2))],
                "ssim": [float(v) for v in arm.ssim.mean((0, 2))],
                "difference": difference,
                "error": None if math.isnan(error) else error,
                "psnr_box": [float(v) for v in arm.box.mean((0, 2))],
                "difference_box": box,
                "error_box": None if math.isnan(box_error) else box_error,
                **({"noncompliant": list(arm.noncompliant)} if arm.noncompliant else {}),
            }
        )
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as a Markdown table; of two passes both stand in a cell."""
    first = rows[0]["arm"]
    header = ["arm", "parameters", "steps", "PSNR (dB)", "SSIM", "face box (dB)"]
    header += [f"against {first} (dB)", "face box"]
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    for row in rows:
        cells = [
            row["arm"] + (" (not compliant)" if "noncompliant" in row else ""),
            f"{row['parameters']:,}",
            f"{row['steps']:,}",
            " / ".join(f"{value:.3f}" for value in row["psnr"]),
            " / ".join(f"{value:.4f}" for value in row["ssim"]),
            " / ".join(f"{value:.3f}" for value in row["psnr_box"]),
            *(_signed(row, part) if row["arm"] != first else "" for part in ("", "_box")),
        ]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _signed(row: Mapping[str, Any], part: str) -> str:
    error = row[f"error{part}"]
    return f"{row[f'difference{part}']:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def draw_curves(arms: Sequence[ArmScores], path: Path) -> None:
    """Draw validation PSNR against steps, one colour per arm, one line per seed."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    colours = plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(arms)))
    for arm, colour in zip(arms, colours, strict=True):
        for number, curve in enumerate(arm.curves):
            label = arm.name if number == 0 else None
            axes.plot(*zip(*curve, strict=True), color=colour, label=label, marker=".", lw=1)
    axes.set(xlabel="step", ylabel="validation PSNR (dB)")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)
    plt.close(figure)
