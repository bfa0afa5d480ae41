"""Check fitted priors against the bars and against trivial rivals: `python priors/check_priors.py`.

Measured on validation faces and, for comparison, on training faces; on the embedded faces also
against the renderer's own regions and landmarks. Written into the run folder: checks.json and
pictures. The exit status is 1 where a check on validation faces fails.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.optimize import linear_sum_assignment  # noqa: E402

from data.folders import write_png  # noqa: E402
from data.sources import HELD_OUT, FaceSource, OpenedData  # noqa: E402
from data.synthetic import SyntheticFace, render_face  # noqa: E402
from data.validation import fixed_lq  # noqa: E402
from models.size import count  # noqa: E402
from models.space import PRIORS  # noqa: E402
from models.student import Student  # noqa: E402
from priors.checks import check, predict, template_parse  # noqa: E402
from priors.fitted import FittedPriors, choose_faces  # noqa: E402
from priors.galleries import codes_sheet, faces_sheet, sweep_sheet  # noqa: E402
from priors.lessons import as_input  # noqa: E402
from priors.schooling import SCHOOLING  # noqa: E402
from priors.tiers import TIERS, TeacherTask  # noqa: E402
from priors.truth import Said, truth_checks  # noqa: E402
from priors.verdict import Check, at_least, table  # noqa: E402
from train import ending, session  # noqa: E402
from train.prior_fit import PriorsConfig, told_fit  # noqa: E402

COMMAND = "check_priors"
CHECKED, LEARNED, PICTURED = 64, 60, 6
"""Faces of each table, training faces of the codes' decoder, faces in the pictures."""
TRUE_FACES = 120
"""Embedded faces whose truth is known; half of them match classes and landmarks."""
FIRST_TRUE = HELD_OUT + 500_000


def main(argv: Sequence[str]) -> int:
    """Check as the flags say; return 1 where a check on validation faces fails."""
    config, found = session.read_flags(PriorsConfig, COMMAND, argv, __doc__ or COMMAND)
    device = session.set_up_torch(config)
    preset = session.preset_of(config)
    priors = PRIORS if config.priors is None else config.priors
    if not priors:
        print("No priors asked for: nothing to check.")
        return 0
    data = session.open_faces(config, scale=preset.scale)
    size = count(Student(priors))
    print(f"student of {', '.join(priors)}: {size.total:,} parameters and learned buffers")
    print(f"{len(data.train)} training faces, {len(data.val)} pairs")
    if config.dry_run:
        return 0
    folder = session.open_folder(config, COMMAND, found)
    fitted = told_fit(config, priors, data, device)
    assert fitted is not None
    pairs = [data.val.pair(i) for i in range(min(CHECKED, len(data.val)))]
    tables = {"validation": validation_checks(fitted, data, pairs)}
    tables["training"] = check(fitted, training_pairs(data.train, config.degradation, preset.scale))
    if config.data is None:
        tables["embedded truth"] = truth(fitted, config.degradation, preset.scale)
    draw(fitted, pairs, folder.path, preset.scale, config.seed)
    return report(fitted, tables, folder.path)


def report(fitted: FittedPriors, tables: Mapping[str, Sequence[Check]], folder: Path) -> int:
    """Print and write every table; return the exit status. Training faces are for comparison."""
    for name, checks in tables.items():
        print(f"\n{name}, fit {fitted.fingerprint} of the tier {fitted.info.tier}\n{table(checks)}")
    content = {name: [asdict(one) for one in checks] for name, checks in tables.items()}
    about = {"fingerprint": fitted.fingerprint, "info": asdict(fitted.info), "checks": content}
    (folder / "checks.json").write_text(json.dumps(about, indent=2) + "\n")
    judged = [one for name, checks in tables.items() if name != "training" for one in checks]
    failed = sum(not one.passed for one in judged)
    print(f"\n{failed} of {len(judged)} checks fail" if failed else "\nevery check holds")
    print(f"{folder / 'checks.json'}, pictures in {folder}")
    return 1 if failed else 0


def validation_checks(
    fitted: FittedPriors, data: OpenedData, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Check]:
    """Every check on validation faces, with the decoder and the second seed of training faces."""
    learned = [data.train.image(i) for i in range(min(LEARNED, len(data.train)))]
    checks = check(fitted, pairs, np.stack(learned))
    if fitted.teachers.parse is not None:
        checks.append(other_seed(fitted, data.train, [hq for _, hq in pairs]))
    return checks


def training_pairs(
    train: FaceSource, degradation: str, scale: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(LQ, HQ) of the first training faces."""
    hqs = [train.image(i) for i in range(min(CHECKED, len(train)))]
    made = [fixed_lq(hq, i, degradation=degradation, scale=scale) for i, hq in enumerate(hqs)]
    return list(zip(made, hqs, strict=True))


def other_seed(fitted: FittedPriors, train: FaceSource, hqs: Sequence[np.ndarray]) -> Check:
    """How well the regions agree with those that another seed finds, matched one to one."""
    own, info = fitted.teachers.parse, fitted.info
    assert own is not None
    task = TeacherTask(
        source=choose_faces(train, info.seed, SCHOOLING[info.tier].faces),
        size=info.size,
        seed=info.seed + 1,
        device=torch.device("cpu"),
    )
    other = TIERS[info.tier]["parse"](task)
    first, second = (
        np.stack([atlas.maps(hq[None], info.size)[0].argmax(0) for hq in hqs])
        for atlas in (own, other)
    )
    classes = len(own.chance)
    both = np.zeros((classes, classes))
    np.add.at(both, (first.ravel(), second.ravel()), 1)
    iou = both / np.maximum(both.sum(1)[:, None] + both.sum(0) - both, 1)
    rows, columns = linear_sum_assignment(-iou)
    return at_least("parse: matched IoU with another seed's", iou[rows, columns].mean(), 0.7)


def truth(fitted: FittedPriors, degradation: str, scale: int) -> list[Check]:
    """Teachers (from the HQ) and student (from the LQ) against what the renderer knows."""
    size = fitted.info.size
    faces = [render_face(FIRST_TRUE + i, 4 * size) for i in range(TRUE_FACES)]
    hqs = [face.image for face in faces]
    lqs = [fixed_lq(hq, i, degradation=degradation, scale=scale) for i, hq in enumerate(hqs)]
    small = [_at(face, size) for face in faces]
    with torch.no_grad():
        told = predict(fitted, torch.cat([as_input(lq, size) for lq in lqs]))
    teachers = fitted.teachers
    parse, heat = teachers.parse, teachers.heat
    by_teacher = Said(
        None
        if parse is None
        else np.stack([parse.maps(hq[None], size)[0].argmax(0) for hq in hqs]),
        None if heat is None else heat.points(np.stack(hqs)),
    )
    by_student = Said(
        told["parse"].numpy() if "parse" in told else None,
        told["heat"].numpy() if "heat" in told else None,
    )
    template = Said(
        None if parse is None else np.stack([template_parse(fitted)] * len(faces)),
        None if heat is None else np.stack([(heat.mean + 0.5) / 128] * len(faces)),
    )
    return [
        *truth_checks(small, by_teacher, template, "the teacher"),
        *truth_checks(small, by_student, template, "the student"),
    ]


def _at(face: SyntheticFace, size: int) -> SyntheticFace:
    """The face with its truth at another side."""
    side = face.image.shape[0]
    parse = cv2.resize(face.parse, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    image = cv2.resize(face.image, (size, size), interpolation=cv2.INTER_AREA)
    marks = (face.landmarks + 0.5) * size / side - 0.5
    return SyntheticFace(np.asarray(image), np.asarray(parse), marks.astype(np.float32))


def draw(
    fitted: FittedPriors,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    folder: Path,
    scale: int,
    seed: int,
) -> None:
    """Write the pictures."""
    teachers = fitted.teachers
    if teachers.parse is not None or teachers.heat is not None:
        write_png(folder / "faces.png", faces_sheet(fitted, pairs[:PICTURED]))
        write_png(folder / "sweep.png", sweep_sheet(fitted, pairs[0][1], scale, seed))
    if teachers.dict is not None:
        write_png(folder / "codes.png", codes_sheet(fitted, [hq for _, hq in pairs[:16]]))


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
