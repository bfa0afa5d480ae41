"""What fitted priors are worth, measured without labels on faces that they have not seen.

Each number has a partner that a trivial solution fails: a stable parse must also follow the
colours, stable points must also move, a predicted code must beat the mean code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from priors.dictionary import CODE_DIM
from priors.lessons import as_input
from priors.record import FittedPriors

EYE_DISTANCE = 124 / 512
"""Distance of the eye centres of an aligned face as a share of the side."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One measured number and what it is held against."""

    name: str
    value: float
    partner: float
    """The same number of the trivial solution: template, mean shape, mean code."""
    bar: str


def check(fitted: FittedPriors, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Check]:
    """Checks of every fitted prior on (LQ, HQ) pairs, uint8 RGB."""
    lq = torch.cat([as_input(lq, fitted.info.size) for lq, _ in pairs])
    hqs = [hq for _, hq in pairs]
    with torch.no_grad():
        seen = {p: s.numpy() for p, s in predict(fitted, lq).items()}
    checks: list[Check] = []
    if fitted.teachers.parse is not None:
        checks += parse_checks(fitted, seen["parse"], hqs)
    if fitted.teachers.heat is not None:
        checks += heat_checks(fitted, seen["heat"], hqs)
    if fitted.teachers.dict is not None:
        checks += code_checks(fitted, seen["dict"], hqs)
    return checks


def predict(fitted: FittedPriors, lq: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the student says of (B, 3, S, S): class ids, points as shares, codes at half size."""
    scores = fitted.student.logits(lq)
    heads = fitted.student.heads
    told = {}
    if "parse" in scores:
        told["parse"] = heads["parse"].maps(scores["parse"]).argmax(1)  # type: ignore[operator]
    if "heat" in scores:
        told["heat"] = heads["heat"].points(scores["heat"])  # type: ignore[operator]
    if "dict" in scores:
        told["dict"] = heads["dict"].codes(scores["dict"])[:, :CODE_DIM]  # type: ignore[operator]
    return told


def parse_checks(fitted: FittedPriors, student: np.ndarray, hqs: list[np.ndarray]) -> list[Check]:
    """Agreement with the teacher, and whether the teacher's classes follow the colours."""
    atlas, size = fitted.teachers.parse, fitted.info.size
    assert atlas is not None
    teacher = np.stack([atlas.maps(hq[None], size)[0].argmax(0) for hq in hqs])
    chance = cv2.resize(atlas.chance.transpose(1, 2, 0), (size, size))
    template = np.broadcast_to(chance.argmax(2), teacher.shape)
    classes = len(atlas.chance)
    agree, usual = (overlap(p, teacher, classes) for p in (student, template))
    explained, by_template = (
        float(np.mean([colour_r2(hq, p) for hq, p in zip(hqs, parse, strict=True)]))
        for parse in (teacher, template)
    )
    moved = float((teacher != template).mean())
    return [
        _line(
            "parse: mean IoU of student(LQ) and teacher(HQ)", agree.mean(), usual.mean(), ">= .88"
        ),
        _line("parse: worst class's IoU", agree.min(), usual.min(), ">= .75"),
        _line("parse: colour R2 of the teacher", explained, by_template, ">= template + .15"),
        _line("parse: pixels that differ from the template", moved, 0.0, ".15 to .40"),
    ]


def overlap(one: np.ndarray, other: np.ndarray, classes: int) -> np.ndarray:
    """Intersection over union of each class (K,) over all pixels of two label arrays."""
    both = np.array([((one == k) & (other == k)).sum() for k in range(classes)])
    either = np.array([((one == k) | (other == k)).sum() for k in range(classes)])
    return both / np.maximum(either, 1)


def colour_r2(hq: np.ndarray, labels: np.ndarray) -> float:
    """Share of a face's colour variance that classes (S, S) explain."""
    small = cv2.resize(hq, labels.shape[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    ids = labels.ravel()
    count = np.maximum(np.bincount(ids), 1)
    means = np.stack([np.bincount(ids, lab[:, d]) / count for d in range(3)], 1)
    total = ((lab - lab.mean(0)) ** 2).sum()
    return float(1 - ((lab - means[ids]) ** 2).sum() / max(total, 1e-9))


def heat_checks(fitted: FittedPriors, student: np.ndarray, hqs: list[np.ndarray]) -> list[Check]:
    """Distance of the points from the teacher's, in per cent of the eye distance."""
    model = fitted.teachers.heat
    assert model is not None
    teacher = np.concatenate([model.points(hq[None]) for hq in hqs])
    mean = (model.mean + 0.5) / 128
    error, unmoved = (
        100 * float(np.linalg.norm(points - teacher, axis=-1).mean()) / EYE_DISTANCE
        for points in (student, mean[None])
    )
    return [_line("heat: NME of student(LQ) to teacher(HQ), %", error, unmoved, "<= 1.5")]


def code_checks(fitted: FittedPriors, student: np.ndarray, hqs: list[np.ndarray]) -> list[Check]:
    """Distance of the expected code from the HQ code over that of the mean code, and usage."""
    codes = fitted.teachers.dict
    assert codes is not None
    ids = np.concatenate([codes.ids(hq[None], fitted.info.size) for hq in hqs])
    vectors = codes.codebook[ids]
    said = student.transpose(0, 2, 3, 1)
    error, flat = (
        float(np.linalg.norm(code - vectors, axis=-1).mean())
        for code in (said, vectors.mean((0, 1, 2)))
    )
    share = np.bincount(ids.ravel(), minlength=len(codes.codebook)) / ids.size
    used = share[share > 0]
    perplexity = float(np.exp(-(used * np.log(used)).sum()))
    return [
        _line("dict: L2 to the HQ code over that of the mean code", error / flat, 1.0, "< .8"),
        _line("dict: share of codes in use", (share > 0).mean(), 1 / len(share), "> .8"),
        _line("dict: perplexity", perplexity, 1.0, "> 200"),
    ]


def _line(name: str, value: float, partner: float, bar: str) -> Check:
    return Check(name=name, value=float(value), partner=float(partner), bar=bar)


def table(checks: Sequence[Check]) -> str:
    """The checks as text, one line each."""
    lines = [f"{'check':<52}{'value':>9}{'trivial':>9}  bar"]
    lines += [f"{c.name:<52}{c.value:>9.3f}{c.partner:>9.3f}  {c.bar}" for c in checks]
    return "\n".join(lines)
