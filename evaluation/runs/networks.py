"""What a network is worth on pairs: restored, written, scored, pass by pass."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from data.folders import list_images, read_rgb, write_png
from data.sources import open_pairs, resize_area
from data.validation import Validation, fixed_lq
from evaluation.runs.diversity import diversity, restorations
from evaluation.metrics import Image
from evaluation.niqe import BLOCK, NiqeModel, fit_niqe, niqe
from evaluation.report import ImageScores, Report, enlarge, score
from models.artifact import Loaded
from models.restorer import restore_each
from models.size import count
from train.config import CommonConfig
from train.flags import from_dict
from train.presets import PRESETS
from train.session import open_faces, preset_of
from train.validate import told_pair

NIQE_FACES = 200
"""Faces that NIQE's model is fitted on, at most."""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """How a network restores, and what is measured besides PSNR and SSIM."""

    flip_ensemble: bool = False
    niqe: NiqeModel | None = None
    samples: int = 0
    """Restorations per face for the diversity score; 0: none."""
    sigma: float = 5.0
    """Deviation of the input noise of these, in 8-bit steps."""
    seed: int = 0


def score_network(
    net: nn.Module,
    validation: Validation,
    folder: Path,
    measures: Measures,
    device: torch.device,
    about: Mapping[str, Any],
) -> Report:
    """Restore every pair, write the last pass to `folder/restored/NAME.png`, score every pass.

    `about` (JSON values) goes into the report, with what was measured besides.
    """
    begun = time.perf_counter()
    restored = folder / "restored"
    images = tuple(_restore_all(net, validation, restored, measures, device))
    seconds = round(time.perf_counter() - begun, 2)
    more: dict[str, Any] = {"seconds": seconds}
    if measures.niqe is not None:
        more["niqe"] = niqe_means(measures.niqe, validation, restored)
    if measures.samples:
        more["diversity"] = _mean_diversity(net, validation, measures, device)
    common = {
        "data_fingerprint": validation.fingerprint,
        "flip_ensemble": measures.flip_ensemble,
        "device": device.type,
    }
    return Report(images, count(net).total, {**about, **common, **more})


def _restore_all(
    net: nn.Module,
    validation: Validation,
    folder: Path,
    measures: Measures,
    device: torch.device,
) -> Iterator[ImageScores]:
    """Scores of every pair; the last pass is written under the pair's own name."""
    numbers = range(len(validation))
    lqs = (told_pair(net, validation, number, device)[0] for number in numbers)
    names = validation.names
    restored = restore_each(
        net, lqs, names=names, flip_ensemble=measures.flip_ensemble, device=device
    )
    shown = tqdm(restored, total=len(validation), desc="restore", unit="face")
    for number, passes in enumerate(shown):
        lq, hq = validation.pair(number)
        name = validation.names[number]
        write_png(folder / f"{name}.png", passes[-1])
        floor = score(enlarge(lq, hq), hq)
        yield ImageScores(name, tuple(score(image, hq) for image in passes), floor)


def _mean_diversity(
    net: nn.Module, validation: Validation, measures: Measures, device: torch.device
) -> dict[str, Any]:
    """Mean diversity over the faces, and how it was measured."""
    values = []
    for number in tqdm(range(len(validation)), desc="diversity", unit="face"):
        lq, _ = validation.pair(number)
        some = restorations(
            net,
            lq,
            name=validation.names[number],
            samples=measures.samples,
            sigma=measures.sigma,
            seed=measures.seed,
            device=device,
            flip_ensemble=measures.flip_ensemble,
        )
        values.append(diversity(list(some)))
    how = {"samples": measures.samples, "sigma": measures.sigma, "seed": measures.seed}
    return {"mean": float(np.mean(values)), **how}


def fitted_niqe(folder: Path, side: int) -> NiqeModel:
    """NIQE's model of the first `NIQE_FACES` faces of a folder, reduced to `side` px."""
    paths = list_images(folder)[:NIQE_FACES]
    faces = (resize_area(read_rgb(path), side) for path in paths)
    return fit_niqe(faces, block=min(BLOCK, side // 4))


def niqe_means(model: NiqeModel, validation: Validation, restored: Path) -> dict[str, Any]:
    """Mean NIQE of the restored files, of bicubic and of the HQ, and what the model is of."""

    def pictures(number: int) -> dict[str, Image]:
        lq, hq = validation.pair(number)
        file = restored / f"{validation.names[number]}.png"
        return {"restored": read_rgb(file), "bicubic": enlarge(lq, hq), "hq": hq}

    rows = [
        {kind: niqe(one, model) for kind, one in pictures(number).items()}
        for number in range(len(validation))
    ]
    means = {kind: float(np.mean([row[kind] for row in rows])) for kind in rows[0]}
    return {**means, "model": f"fitted on {model.faces} faces, blocks of {model.block} px"}


def validation_of(data: Path | None, cache: Path, loaded: Loaded) -> tuple[str, Validation]:
    """In words where the pairs are from, and the pairs: those of `data`, or the run's own.

    Raises `ValueError` where the network's file does not record its run's data.
    """
    scale = int(getattr(loaded.net, "scale", 4))
    if data is not None:
        return data.as_posix(), open_pairs(data, scale=scale, cache_dir=cache / "faces")
    run = loaded.metadata.get("config")
    if not isinstance(run, Mapping) or run.get("preset") not in PRESETS:
        raise ValueError("the network's file does not name its validation set: give --data DIR")
    return _run_validation(run, scale, cache)


def _run_validation(run: Mapping[str, Any], scale: int, cache: Path) -> tuple[str, Validation]:
    """The validation set of a run with this configuration, opened as training opens it."""
    common = {field.name for field in dataclasses.fields(CommonConfig)}
    known = from_dict(CommonConfig, {key: run[key] for key in common & run.keys()})
    known = dataclasses.replace(known, cache=cache)
    held_out = f"5 % of {known.data}" if known.data else "held-out embedded faces"
    where = known.val.as_posix() if known.val else held_out
    preset = preset_of(known)
    if preset.remake_val_lq or not known.val:
        where += f", HQ {preset.hq_side} px, {known.degradation} LQ"
    return where, open_faces(known, scale=scale).val


def remade(validation: Validation, kind: str, scale: int) -> Validation:
    """The same faces with LQ of another degradation, made with the seed of all validation LQ."""
    pairs = []
    for number in range(len(validation)):
        hq = validation.pair(number)[1]
        pairs.append((fixed_lq(hq, number, degradation=kind, scale=scale), hq))
    return Validation(validation.names, pairs, f"{validation.fingerprint}-{kind}")
