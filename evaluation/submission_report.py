"""What the report of a submission says, from the metadata and the log of the run behind it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from evaluation.document import Block, Heading, Paragraph, Picture, Table

REFERENCES = (
    "X. Wang et al., Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic "
    "Data, ICCVW 2021.",
    "C. Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative "
    "Adversarial Network, CVPR 2017.",
    "X. Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCVW "
    "2018.",
    "H. Liu, K. Simonyan, Y. Yang, DARTS: Differentiable Architecture Search, ICLR 2019.",
    "X. Dong, Y. Yang, Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019.",
)
ROUNDED = 6
SYNTHETIC = "the embedded synthetic faces"
SMOOTHED = 20
"""The loss is averaged over one part in so many of the run."""


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draw training loss and validation PSNR of a run's log to `path`; False without any."""
    losses = [(row["step"], row["loss"]) for row in rows if row.get("kind") == "train"]
    scores = [
        (row["step"], row["subset_psnr"])
        for row in rows
        if row.get("kind") in ("validate", "final") and "subset_psnr" in row
    ]
    if not losses:
        return False
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    steps, values = zip(*losses, strict=True)
    left.plot(steps, values, linewidth=0.5, alpha=0.3)
    width = max(1, len(values) // SMOOTHED)
    smooth = np.convolve(values, np.full(width, 1 / width), mode="valid")
    left.plot(steps[width - 1 :], smooth, linewidth=1.5)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    if scores:
        right.plot(*zip(*scores, strict=True), marker="o")
    right.set(xlabel="step", ylabel="validation PSNR (dB)")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def report_blocks(
    metadata: Mapping[str, Any],
    *,
    modules: Sequence[tuple[str, int]],
    findings: Sequence[str],
    pictures: Sequence[tuple[Path, str]],
) -> list[Block]:
    """The report's sections: model, losses, training, result, rules, machine, pictures, sources.

    metadata: of the network's file; modules: (name, parameters); findings: of the audit, in words;
    pictures: (PNG file, caption).
    """
    config = metadata.get("config", {})
    counted = [*modules, ("total", sum(size for _, size in modules))]
    return [
        Heading("Model"),
        Paragraph(_model(metadata)),
        Table([("part", "parameters"), *((name, f"{size:,}") for name, size in counted)]),
        Heading("Losses and training"),
        Table([("setting", "value"), *_settings(config)]),
        Heading("Result on the validation faces"),
        Table([("measure", "value"), *_scores(metadata.get("training", {}))]),
        Heading("Rules"),
        Paragraph("; ".join(findings) + "."),
        Heading("Machine"),
        Paragraph(machine(metadata)),
        Heading("Pictures"),
        *(Picture(path, caption) for path, caption in pictures),
        Heading("References"),
        *(Paragraph(f"[{i}] {text}") for i, text in enumerate(REFERENCES, start=1)),
    ]


def machine(metadata: Mapping[str, Any]) -> str:
    """The machine that packed this, and the software that trained."""
    return (
        f"Packed on {platform.machine()} with {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}. Trained with torch {metadata.get('torch', 'unknown')}, "
        f"commit {metadata.get('commit', 'unknown')}."
    )


def _model(metadata: Mapping[str, Any]) -> str:
    if metadata.get("kind") == "zoo":
        return f"{metadata.get('model')}, x{metadata.get('scale')}, trained from scratch."
    space = metadata.get("space", {})
    priors = ", ".join(space.get("priors", ())) or "none"
    return (
        f"FaceSR, x{space.get('scale')}: a searched network of residual dense blocks and trellises "
        f"of cells. Facial priors, learned from the training faces alone and predicted from the LQ "
        f"by a part of the network: {priors}. The genotype of "
        f"{len(metadata.get('genotype', {}))} decisions is in the checkpoint."
    )


def _settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    faces = [("training faces", _words(config.get("data") or SYNTHETIC))] if config else []
    names = ("loss", "optimizer", "lr", "schedule", "ema", "faces", "crops", "lq_crop", "seed")
    chosen = [*names, "degradation", "augment", "target", "dropout", "first_pass_share"]
    return faces + [(name, _words(config[name])) for name in chosen if name in config]


def _scores(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    kept = ("step", "psnr", "ssim", "images")
    return [(name, _words(training[name])) for name in kept if name in training]


def _words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.{ROUNDED}g}"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)
