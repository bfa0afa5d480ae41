"""Scores of a set of images: means, a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evaluation.metrics import METRIC_DEFINITION, Image, psnr, ssim


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM of one restored image, or their means over a set."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class ImageScores:
    """One image: the scores of every pass, first to last, and of bicubic where the LQ is known."""

    name: str
    passes: tuple[Score, ...]
    bicubic: Score | None = None


@dataclass(frozen=True)
class Report:
    """All images of an evaluation, in order, and what was evaluated (`about`: JSON values)."""

    images: tuple[ImageScores, ...]
    parameters: int | None
    about: Mapping[str, Any]

    @property
    def passes(self) -> tuple[Score, ...]:
        """Mean scores of every pass, first to last."""
        return tuple(_mean(column) for column in zip(*(i.passes for i in self.images), strict=True))

    @property
    def bicubic(self) -> Score | None:
        """Mean scores of bicubic; None where an image has none."""
        known = [image.bicubic for image in self.images if image.bicubic is not None]
        return _mean(known) if known and len(known) == len(self.images) else None

    def ranked(self) -> list[int]:
        """Numbers of the images from the lowest to the highest PSNR of the last pass."""
        return sorted(range(len(self.images)), key=lambda i: self.images[i].passes[-1].psnr)


def score(restored: Image, hq: Image) -> Score:
    """PSNR and SSIM of one image; raises `evaluation.metrics.MetricError`."""
    return Score(psnr(restored, hq), ssim(restored, hq))


def enlarge(lq: Image, hq: Image) -> Image:
    """The 8-bit bicubic enlargement of `lq` `(h, w, 3)` to the size of `hq`: the floor to beat."""
    return cv2.resize(lq, (hq.shape[1], hq.shape[0]), interpolation=cv2.INTER_CUBIC).astype(
        np.uint8, copy=False
    )


def results(report: Report) -> dict[str, Any]:
    """The content of `results.json`; an infinite PSNR (equal images) becomes null.

    `psnr` and `ssim` are those of the last pass, `passes` lists every pass.
    """
    last, floor = report.passes[-1], report.bicubic
    values = {
        "psnr": last.psnr,
        "ssim": last.ssim,
        "bicubic_psnr": floor.psnr if floor else None,
        "bicubic_ssim": floor.ssim if floor else None,
        "images": len(report.images),
        "parameters": report.parameters,
        "passes": [{"psnr": one.psnr, "ssim": one.ssim} for one in report.passes],
        "metric": METRIC_DEFINITION,
        **report.about,
    }
    cleaned: dict[str, Any] = _finite(values)
    return cleaned


def table(report: Report) -> str:
    """The means as text, one line for bicubic and one per pass."""
    rows: list[tuple[str, Score]] = []
    if report.bicubic:
        rows.append(("bicubic", report.bicubic))
    several = len(report.passes) > 1
    for number, one in enumerate(report.passes, start=1):
        rows.append((f"pass {number}" if several else "restored", one))
    lines = [f"{'':<10}{'PSNR (dB)':>12}{'SSIM':>10}{'gain (dB)':>12}"]
    for name, one in rows:
        gain = one.psnr - report.bicubic.psnr if report.bicubic and name != "bicubic" else math.nan
        told = "" if math.isnan(gain) else f"{gain:+.3f}"
        lines.append(f"{name:<10}{one.psnr:>12.4f}{one.ssim:>10.5f}{told:>12}".rstrip())
    size = f", {report.parameters:,} parameters" if report.parameters is not None else ""
    lines.append(f"mean of {len(report.images)} images{size}")
    return "\n".join(lines)


def write_results(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `results.json` and `per_image.csv` into `folder`; returns their paths."""
    text = json.dumps(results(report), indent=2, allow_nan=False) + "\n"
    json_path, csv_path = folder / "results.json", folder / "per_image.csv"
    _write_whole(json_path, text)
    _write_whole(csv_path, _csv(report))
    return json_path, csv_path


def _csv(report: Report) -> str:
    """One line per image: name, bicubic, then every pass."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    has_floor = report.bicubic is not None
    names = ["bicubic"] if has_floor else []
    names += [f"pass{number + 1}" for number in range(len(report.passes))]
    writer.writerow(["name", *(f"{kind}_{name}" for name in names for kind in ("psnr", "ssim"))])
    for image in report.images:
        scores = [image.bicubic, *image.passes] if image.bicubic and has_floor else image.passes
        writer.writerow([image.name, *(repr(v) for s in scores for v in (s.psnr, s.ssim))])
    return stream.getvalue()


def _mean(scores: Sequence[Score]) -> Score:
    return Score(
        float(np.mean([one.psnr for one in scores])), float(np.mean([one.ssim for one in scores]))
    )


def _finite(value: Any) -> Any:
    """The value with null in place of numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
