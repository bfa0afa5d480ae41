"""Score a network, or restored files, exactly as the challenge does.

    python evaluation/evaluate.py                                      the newest run
    python evaluation/evaluate.py --checkpoint F [--data DIR]          DIR has GT/ and LQ/
    python evaluation/evaluate.py --checkpoint RUN                     every snapshot of a run
    python evaluation/evaluate.py --lq nearest bilinear bicubic        one network on other LQ
    python evaluation/evaluate.py --pred DIR --gt DIR                  files against files

Without --data, a run's network is scored on that run's own validation set. Written into --out:
results.json, per_image.csv, faces.png and, of a network, restored/NAME.png; of several evaluations
a folder each, series.json and, by step, series.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import dataclasses  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.degradation import DEGRADATIONS  # noqa: E402
from data.errors import DataError  # noqa: E402
from data.folders import write_png  # noqa: E402
from data.validation import Validation  # noqa: E402
from evaluation.files import decode, list_pictures, scored_pairs  # noqa: E402
from evaluation.metrics import MetricError  # noqa: E402
from evaluation.pictures import Row, sheet  # noqa: E402
from evaluation.report import (  # noqa: E402
    ImageScores,
    Report,
    enlarge,
    score,
    table,
    write_results,
)
from evaluation.runs import series  # noqa: E402
from evaluation.runs.networks import (  # noqa: E402
    Measures,
    fitted_niqe,
    remade,
    score_network,
    validation_of,
)
from models.artifact import ArtifactError, Loaded, newest_network  # noqa: E402
from models.device import choose_device  # noqa: E402
from models.ensemble import load_networks  # noqa: E402
from models.restorer import restore  # noqa: E402
from models.rules import noncompliant  # noqa: E402
from models.size import count, format_table  # noqa: E402
from models.space import CAP  # noqa: E402
from priors.external import LabelOptions  # noqa: E402
from train.labels import add_label_flags, options_of, restore_with_labels  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.run_folder import RUNS, RunFolderError, start_run  # noqa: E402

USABLE = (ArtifactError, DataError, MetricError, RunFolderError, ValueError)
"""Errors that a person can mend: told in one message, without a traceback."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The flags of this command."""

    checkpoint: tuple[Path, ...]
    average: str
    data: Path | None
    pred: Path | None
    gt: Path | None
    flip_ensemble: bool
    lq: tuple[str, ...]
    niqe_faces: Path | None
    diversity: int
    noise: float
    cache: Path
    labels: LabelOptions
    prior_source: str
    allow_noncompliant: bool
    seed: int
    out: Path | None
    device: str
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other."""
        if (self.pred is None) != (self.gt is None):
            raise ValueError("--pred and --gt belong together: restored files and their HQ")
        network_only = (self.checkpoint, self.data, self.flip_ensemble, self.niqe_faces)
        if self.pred is not None and any((*network_only, self.lq, self.diversity)):
            raise ValueError(
                "--pred scores files that are there; leave out --checkpoint, --data, --lq, "
                "--niqe-faces, --diversity and --flip-ensemble, or leave out --pred and --gt"
            )
        if self.diversity and (self.diversity < 2 or not self.noise > 0):
            raise ValueError("--diversity takes 2 restorations or more, --noise more than 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return ended("evaluate", lambda: run(argv), USABLE)


def run(argv: Sequence[str] | None) -> int:
    """Score files or a network, as the flags say."""
    config = parse(argv)
    torch.manual_seed(config.seed)
    return score_files(config) if config.pred else score_networks(config)


def parse(argv: Sequence[str] | None) -> EvaluateConfig:
    """The flags; argparse exits on an unknown one. Raises `ValueError` on a contradiction."""
    parser = network_parser(
        __doc__ or "", f"empty or new folder; left out: {RUNS}/evaluate-NNN", several=True
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder with GT/ and LQ/; left out: the run's own validation set")
    add("--pred", type=Path, help="folder or zip of restored pictures")
    add("--gt", type=Path, help="folder of their HQ")
    lq_help = "make the LQ anew from the HQ, in each of these ways (seed 2024)"
    add("--lq", nargs="+", default=[], choices=DEGRADATIONS, help=lq_help)
    add("--niqe-faces", type=Path, help="HQ faces to fit NIQE on; left out: no NIQE")
    samples_help = "restorations per face with seeded input noise, for the diversity score; 0: none"
    add("--diversity", type=int, default=0, metavar="N", help=samples_help)
    add("--noise", type=float, default=5.0, help="deviation of that noise, in 8-bit steps")
    add("--cache", type=Path, default=Path(".cache"), help="folder of packed faces")
    add_label_flags(parser)
    values = vars(parser.parse_args(argv))
    changed: dict[str, Any] = {name: tuple(values[name] or ()) for name in ("checkpoint", "lq")}
    changed["labels"] = options_of(values)
    known = {field.name for field in dataclasses.fields(EvaluateConfig)}
    return EvaluateConfig(**{k: v for k, v in (values | changed).items() if k in known})


def score_files(config: EvaluateConfig) -> int:
    """Score `--pred` against `--gt`."""
    assert config.pred is not None
    assert config.gt is not None
    truth = list_pictures(config.gt)
    print(f"{config.pred} against {config.gt}: {len(truth)} pictures")
    if config.dry_run:
        return 0
    images = []
    for name, restored, hq in tqdm(scored_pairs(config.pred, config.gt), total=len(truth)):
        images.append(ImageScores(name, (score(restored, hq),)))
    report = Report(
        tuple(images), None, {"pred": config.pred.as_posix(), "gt": config.gt.as_posix()}
    )
    pictures = list_pictures(config.pred)
    rows = []
    for number in worst_median_best(report):
        name = report.images[number].name
        both = [decode(side[name](), name) for side in (pictures, truth)]
        rows.append(Row(_label(report, number), None, None, *both))
    finish(report, start_run("evaluate", config.out).path, rows)
    print("next: python evaluation/evaluate.py --checkpoint FILE, to score a network")
    return 0


def score_networks(config: EvaluateConfig) -> int:
    """Score one network, the average of several, or every snapshot of a run folder."""
    given = config.checkpoint or (newest_network(RUNS),)
    device = choose_device(config.device)
    if len(given) == 1 and given[0].is_dir():
        networks = {path.stem: [path] for path in series.snapshots(given[0])}
    else:
        networks = {"": list(given)}
    first = load_networks(next(iter(networks.values())), config.average, device)
    size = count(first.net).total
    print(f"{', '.join(map(str, given))}\n{format_table(first.net)}")
    if size > CAP:
        print(f"over the cap: {size:,} parameters, at most {CAP:,} may enter the challenge")
    inputs = inputs_of(config, first)
    give_labels(config, first, inputs, device)
    for said in noncompliant(first.net, first.metadata):
        print(f"NOT COMPLIANT, never to be submitted: {said}")
    for where, validation in inputs.values():
        print(f"{where}: {len(validation)} pairs, device {device}")
    if config.dry_run:
        return 0
    measures = measures_of(config, next(iter(inputs.values()))[1])
    out = start_run("evaluate", config.out).path
    reports: dict[str, Report] = {}
    for name, paths in networks.items():
        loaded = load_networks(paths, config.average, device)
        give_labels(config, loaded, inputs, device)
        for kind, (where, validation) in inputs.items():
            label = "-".join(filter(None, (name, kind)))
            about = {
                "checkpoint": ", ".join(path.as_posix() for path in paths),
                "average": config.average if len(paths) > 1 else None,
                "data": where,
                **outside_rules(loaded),
                "niqe_faces": config.niqe_faces.as_posix() if config.niqe_faces else None,
            }
            place = out / label if len(networks) * len(inputs) > 1 else out
            report = score_network(loaded.net, validation, place, measures, device, about)
            finish(report, place, shown_rows(report, loaded, validation, config, device))
            reports[label] = report
    if len(reports) > 1:
        rows = series.summary(reports)
        series.write_series(rows, out)
        print(f"\n{series.table(rows)}\nseries:  {out / 'series.json'}")
    last = next(reversed(networks.values()))
    print(f"next: python scripts/restore.py FACE.png --checkpoint {last[-1]}")
    return 0


def give_labels(
    config: EvaluateConfig,
    loaded: Loaded,
    inputs: Mapping[str, tuple[str, Validation]],
    device: torch.device,
) -> None:
    """Give a network of external labels those of the faces; nothing else changes."""
    validation = next(iter(inputs.values()))[1]
    restore_with_labels(
        loaded.net,
        config.labels,
        validation.names,
        source=config.prior_source,
        allowed=config.allow_noncompliant,
        device=device,
    )


def outside_rules(loaded: Loaded) -> dict[str, list[str]]:
    """What a report says of a network that is outside the rules on purpose; of others nothing."""
    said = noncompliant(loaded.net, loaded.metadata)
    return {"noncompliant": said} if said else {}


def inputs_of(config: EvaluateConfig, loaded: Loaded) -> dict[str, tuple[str, Validation]]:
    """By label, in words where the pairs are from and the pairs: as they are, or by `--lq`."""
    where, validation = validation_of(config.data, config.cache, loaded)
    if not config.lq:
        return {"": (where, validation)}
    scale = int(getattr(loaded.net, "scale", 4))
    return {kind: (f"{where}, {kind} LQ", remade(validation, kind, scale)) for kind in config.lq}


def measures_of(config: EvaluateConfig, validation: Validation) -> Measures:
    """What is measured; NIQE's model is fitted at the size of the HQ."""
    faces = config.niqe_faces
    return Measures(
        flip_ensemble=config.flip_ensemble,
        niqe=None if faces is None else fitted_niqe(faces, len(validation.pair(0)[1])),
        samples=config.diversity,
        sigma=config.noise,
        seed=config.seed,
    )


def shown_rows(
    report: Report,
    loaded: Loaded,
    validation: Validation,
    config: EvaluateConfig,
    device: torch.device,
) -> list[Row]:
    """The rows of the picture: the worst, the median and the best face."""
    rows = []
    for number in worst_median_best(report):
        lq, hq = validation.pair(number)
        name, flip = validation.names[number], config.flip_ensemble
        restored = restore(loaded.net, lq, name=name, flip_ensemble=flip, device=device)[-1]
        rows.append(Row(_label(report, number), lq, enlarge(lq, hq), restored, hq))
    return rows


def worst_median_best(report: Report) -> list[int]:
    """Numbers of the faces with the lowest, the median and the highest PSNR, each once."""
    order = report.ranked()
    return list(dict.fromkeys([order[0], order[len(order) // 2], order[-1]]))


def _label(report: Report, number: int) -> str:
    image = report.images[number]
    return f"{image.name} {image.passes[-1].psnr:.2f} dB"


def finish(report: Report, out: Path, rows: Sequence[Row]) -> None:
    """Write the results and tell where they are."""
    write_png(out / "faces.png", sheet(rows))
    json_path, csv_path = write_results(report, out)
    print(table(report))
    for said in report.about.get("noncompliant", ()):
        print(f"NOT COMPLIANT, never to be submitted: {said}")
    if "niqe" in report.about:
        words = {k: round(v, 3) if k != "model" else v for k, v in report.about["niqe"].items()}
        print(f"NIQE (lower is more natural): {words}")
    if "diversity" in report.about:
        print(f"diversity, mean deviation in 8-bit steps: {report.about['diversity']}")
    print(f"results: {json_path}, {csv_path}\npicture: {out / 'faces.png'}")


if __name__ == "__main__":
    sys.exit(main())
