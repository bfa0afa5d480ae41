"""Priors of embedded faces against what the renderer knows: true regions, true landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthetic import PARSE_CLASSES, SyntheticFace
from priors.checks import nme
from priors.verdict import Check, at_least, at_most

LARGE = 0.01
"""Share of the pixels from which on a true region is scored."""
RIDGE = 1e-2
"""Of the linear map, as a share of the mean variance of the points."""


@dataclass(frozen=True)
class Said:
    """What a method says of some embedded faces: classes (N,S,S), points (N,P,2) as shares."""

    parse: np.ndarray | None
    points: np.ndarray | None


def truth_checks(faces: list[SyntheticFace], said: Said, template: Said, who: str) -> list[Check]:
    """Matched IoU and landmark error of one method, beside its template's.

    The first half of the faces fixes which true region each class stands for and the linear map
    from points to landmarks; the second half is scored.
    """
    checks = []
    if said.parse is not None and template.parse is not None:
        truth = np.stack([face.parse for face in faces])
        own, usual = (matched_iou(parse, truth) for parse in (said.parse, template.parse))
        checks.append(at_least(f"parse of {who}: matched IoU with the truth", own, 0.60, usual))
    if said.points is not None and template.points is not None:
        side = faces[0].image.shape[0]
        landmarks = np.stack([(face.landmarks + 0.5) / side for face in faces])
        own, usual = (mapped_nme(points, landmarks) for points in (said.points, template.points))
        checks.append(at_most(f"heat of {who}: NME of true landmarks, %", own, 3.0, usual))
    return checks


def matched_iou(parse: np.ndarray, truth: np.ndarray) -> float:
    """Mean IoU of the large true regions, each class (N,S,S) standing for one of them.

    A class stands for the true region that it covers most of on the first half of the faces; where
    several stand for one they are merged.
    """
    middle, regions = len(parse) // 2, len(PARSE_CLASSES)
    classes = int(parse.max()) + 1
    counts = np.zeros((classes, regions), np.int64)
    np.add.at(counts, (parse[:middle].ravel(), truth[:middle].ravel()), 1)
    stands_for = counts.argmax(1)
    renamed, wanted = stands_for[parse[middle:]], truth[middle:]
    scores = []
    for region in range(regions):
        one, other = renamed == region, wanted == region
        if other.mean() > LARGE:
            scores.append((one & other).sum() / (one | other).sum())
    return float(np.mean(scores))


def mapped_nme(points: np.ndarray, landmarks: np.ndarray) -> float:
    """NME (per cent of the eye distance) of landmarks (N,M,2) made of points by a linear map."""
    middle = len(points) // 2
    inputs, wanted = points.reshape(len(points), -1), landmarks.reshape(len(landmarks), -1)
    place, goal = inputs[:middle].mean(0), wanted[:middle].mean(0)
    first = inputs[:middle] - place
    gram = first.T @ first
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.lstsq(gram, first.T @ (wanted[:middle] - goal), rcond=None)[0]
    mapped = goal + (inputs[middle:] - place) @ weights
    return nme(mapped.reshape(-1, *landmarks.shape[1:]), landmarks[middle:])
