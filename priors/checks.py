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

from priors.decode import box_psnr
from priors.dictionary import CODE_DIM, Codes
from priors.geometry import Matrix, move_points, small_similarity, warp_image
from priors.lessons import as_input
from priors.record import FittedPriors
from priors.verdict import Check, ahead, at_least, at_most, between
from priors.vq import ReplacedCodes, VqCodes

EYE_DISTANCE = 124 / 512
"""Distance of the eye centres of an aligned face as a share of the side."""
PRESENT = 1e-3
"""Share of the pixels from which on a class counts as present in a face."""
SEED = 5


@dataclass(frozen=True)
class Seen:
    """What is known of the checked faces: HQ, student on the LQ and on the LQ moved a little."""

    hqs: list[np.ndarray]
    student: dict[str, np.ndarray]
    moves: list[Matrix]
    moved: dict[str, np.ndarray]
    sure: float
    """Mean confidence of the predicted codes; nan without a dictionary."""


def check(
    fitted: FittedPriors,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    faces: np.ndarray | None = None,
) -> list[Check]:
    """Checks of every fitted prior.

    Args:
        pairs: (LQ, HQ) of faces that were not fitted on, uint8 RGB.
        faces: (N, S, S, 3) uint8 RGB, training faces from which the codes' decoder is learned;
            without them that check is left out.
    """
    seen = look(fitted, pairs)
    checks: list[Check] = []
    if fitted.teachers.parse is not None:
        checks += parse_checks(fitted, seen)
    if fitted.teachers.heat is not None:
        checks += heat_checks(fitted, seen)
    if fitted.teachers.dict is not None:
        checks += code_checks(fitted, seen)
        if faces is not None:
            own, shuffled = box_psnr(fitted.teachers.dict, faces, seen.hqs)
            checks.append(ahead("dict: PSNR in part boxes, decoded HQ codes", own, shuffled, 1.0))
        checks += trial_checks(fitted.teachers.dict)
    return checks


@torch.no_grad()
def look(fitted: FittedPriors, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Seen:
    """Everything that the checks need to know about the faces."""
    rng, size = np.random.default_rng(SEED), fitted.info.size
    lqs, hqs = [lq for lq, _ in pairs], [hq for _, hq in pairs]
    moves = [small_similarity(rng) for _ in lqs]
    student = predict(fitted, torch.cat([as_input(lq, size) for lq in lqs]))
    warped = [as_input(warp_image(lq, move), size) for lq, move in zip(lqs, moves, strict=True)]
    moved = predict(fitted, torch.cat(warped))
    sure = float(student.pop("sure").mean()) if "sure" in student else float("nan")
    moved.pop("sure", None)
    as_arrays = ({p: v.numpy() for p, v in told.items()} for told in (student, moved))
    return Seen(hqs, next(as_arrays), moves, next(as_arrays), sure)


def predict(fitted: FittedPriors, lq: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the student says of (B, 3, S, S): class ids, points as shares, codes at half size."""
    scores, size = fitted.student.logits(lq), fitted.info.size
    heads = fitted.student.heads
    told = {}
    if "parse" in scores:
        told["parse"] = heads["parse"].maps(scores["parse"], size).argmax(1)  # type: ignore[operator]
    if "heat" in scores:
        told["heat"] = scores["heat"]
    if "dict" in scores:
        codes = heads["dict"].codes(scores["dict"])  # type: ignore[operator]
        told["dict"], told["sure"] = codes[:, :CODE_DIM], codes[:, CODE_DIM:]
    return told


def parse_checks(fitted: FittedPriors, seen: Seen) -> list[Check]:
    """Agreement with the teacher, whether classes follow colours and move, and their health."""
    atlas, size = fitted.teachers.parse, fitted.info.size
    assert atlas is not None
    teacher = np.stack([atlas.maps(hq[None], size)[0].argmax(0) for hq in seen.hqs])
    template = np.broadcast_to(template_parse(fitted), teacher.shape)
    classes, student = len(atlas.chance), seen.student["parse"]
    agree, usual = (overlap(p, teacher, classes) for p in (student, template))
    explained, by_template = (
        float(np.mean([colour_r2(hq, p) for hq, p in zip(seen.hqs, parse, strict=True)]))
        for parse in (teacher, template)
    )
    follows, stays = (
        overlap(_warped(before, seen.moves), after, classes).mean()
        for before, after in ((student, seen.moved["parse"]), (template, template))
    )
    areas = np.stack([(teacher == k).mean((1, 2)) for k in range(classes)])
    return [
        at_least("parse: mean IoU, student(LQ) and teacher(HQ)", agree.mean(), 0.88, usual.mean()),
        at_least("parse: worst class's IoU", agree.min(), 0.75, usual.min()),
        ahead("parse: colour R2 of the teacher", explained, by_template, 0.15),
        between(
            "parse: pixels that differ from the template",
            (teacher != template).mean(),
            0.15,
            0.40,
            0.0,
        ),
        at_least("parse: IoU after moving the LQ by up to 5 degrees", follows, 0.80, stays),
        at_least("parse: smallest class's mean area", areas.mean(1).min(), 0.005),
        at_most("parse: largest class's mean area", areas.mean(1).max(), 0.35),
        at_least("parse: rarest class's share of faces", (areas > PRESENT).mean(1).min(), 0.90),
    ]


def template_parse(fitted: FittedPriors) -> np.ndarray:
    """The parse (S, S) that is most probable without looking at a face."""
    assert fitted.teachers.parse is not None
    chance = fitted.teachers.parse.chance.transpose(1, 2, 0)
    return np.asarray(cv2.resize(chance, (fitted.info.size,) * 2).argmax(2))


def _warped(parse: np.ndarray, moves: Sequence[Matrix]) -> np.ndarray:
    moved = [
        warp_image(one.astype(np.uint8), move, labels=True)
        for one, move in zip(parse, moves, strict=True)
    ]
    return np.stack(moved)


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


def heat_checks(fitted: FittedPriors, seen: Seen) -> list[Check]:
    """Distances of points in per cent of the eye distance: to the teacher's, and when moved."""
    model = fitted.teachers.heat
    assert model is not None
    teacher = np.concatenate([model.points(hq[None]) for hq in seen.hqs])
    mean = np.broadcast_to((model.mean + 0.5) / 128, teacher.shape)
    student = seen.student["heat"]
    error, unmoved = (nme(points, teacher) for points in (student, mean))
    follows, stays = (
        nme(np.stack([move_points(p, m) for p, m in zip(before, seen.moves, strict=True)]), after)
        for before, after in ((student, seen.moved["heat"]), (mean, mean))
    )
    return [
        at_most("heat: NME of student(LQ) to teacher(HQ), %", error, 1.5, unmoved),
        at_most("heat: equivariance error, %", follows, 2.5, stays),
        at_most("heat: equivariance error over the template's", follows / stays, 0.4, 1.0),
        at_least("heat: how far points are from their mean, %", nme(student, mean), 2.0, 0.0),
    ]


def nme(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of points (..., 2) in per cent of the eye distance."""
    return 100 * float(np.linalg.norm(points - others, axis=-1).mean()) / EYE_DISTANCE


def trial_checks(codes: Codes) -> list[Check]:
    """Whether the better of autoencoder and patch codes was kept, with the same decoder."""
    if isinstance(codes, VqCodes):
        own, _, rival, _ = codes.trial
        return [ahead("dict: PSNR of held-out faces, VQ over PCA", own, rival, 0.0)]
    if isinstance(codes, ReplacedCodes):
        own, _, rival, _ = codes.trial
        return [ahead("dict: VQ replaced by PCA, PSNR of held-out faces", rival, own, 0.0)]
    return []


def code_checks(fitted: FittedPriors, seen: Seen) -> list[Check]:
    """Distance of the expected code from the HQ code over that of the mean code, and usage."""
    codes = fitted.teachers.dict
    assert codes is not None
    ids = np.concatenate([codes.ids(hq[None], fitted.info.size) for hq in seen.hqs])
    vectors = codes.codebook[ids]
    said = seen.student["dict"].transpose(0, 2, 3, 1)
    error, flat = (
        float(np.linalg.norm(code - vectors, axis=-1).mean())
        for code in (said, vectors.mean((0, 1, 2)))
    )
    share = np.bincount(ids.ravel(), minlength=len(codes.codebook)) / ids.size
    used = share[share > 0]
    perplexity = float(np.exp(-(used * np.log(used)).sum()))
    return [
        at_most("dict: L2 to the HQ code over that of the mean code", error / flat, 0.8, 1.0),
        at_least("dict: share of codes in use", (share > 0).mean(), 0.8, 1 / len(share)),
        at_least("dict: perplexity", perplexity, 200, 1.0),
        at_most("dict: mean entropy of a prediction over log K", 1 - seen.sure, 0.8, 1.0),
    ]
