"""Score a network, or restored files, exactly as the challenge does.

    python evaluation/evaluate.py                                      the newest run
    python evaluation/evaluate.py --checkpoint F [--data DIR]          DIR has GT/ and LQ/
    python evaluation/evaluate.py --pred DIR --gt DIR                  files against files

Without --data, a run's network is scored on that run's own validation set. Written into --out:
results.json, per_image.csv, faces.png and, of a network, restored/NAME.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.errors import DataError  # noqa: E402
from data.folders import write_png  # noqa: E402
from data.sources import open_pairs  # noqa: E402
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
from models.artifact import ArtifactError, Loaded, load_network, newest_network  # noqa: E402
from models.device import DEVICES, choose_device  # noqa: E402
from models.restorer import restore  # noqa: E402
from models.size import count, format_table  # noqa: E402
from models.space import CAP  # noqa: E402
from train.config import CommonConfig, from_dict  # noqa: E402
from train.presets import PRESETS  # noqa: E402
from train.run_folder import RUNS, RunFolderError, start_run  # noqa: E402
from train.session import open_faces, preset_of  # noqa: E402

USABLE = (ArtifactError, DataError, MetricError, RunFolderError, ValueError)
"""Errors that a person can mend: told in one message, without a traceback."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The flags of this command."""

    checkpoint: Path | None
    data: Path | None
    pred: Path | None
    gt: Path | None
    flip_ensemble: bool
    cache: Path
    seed: int
    out: Path | None
    device: str
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other."""
        if (self.pred is None) != (self.gt is None):
            raise ValueError("--pred and --gt belong together: restored files and their HQ")
        if self.pred is not None and (self.checkpoint or self.data or self.flip_ensemble):
            raise ValueError(
                "--pred scores files that are there; leave out --checkpoint, --data and "
                "--flip-ensemble, or leave out --pred and --gt"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        config = parse(argv)
        torch.manual_seed(config.seed)
        return score_files(config) if config.pred else score_network(config)
    except USABLE as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str] | None) -> EvaluateConfig:
    """The flags; argparse exits on an unknown one. Raises `ValueError` on a contradiction."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="best.safetensors or best.pth; left out: the newest run's")
    add("--data", type=Path, help="folder with GT/ and LQ/; left out: the run's own validation set")
    add("--pred", type=Path, help="folder or zip of restored pictures")
    add("--gt", type=Path, help="folder of their HQ")
    add("--flip-ensemble", action="store_true", help="average with the mirrored face's restoration")
    add("--cache", type=Path, default=Path(".cache"), help="folder of packed faces")
    add("--seed", type=int, default=0, help="seed of torch; nothing here is drawn at random")
    add("--out", type=Path, help=f"empty or new folder; left out: {RUNS}/evaluate-NNN")
    add("--device", default="auto", choices=DEVICES, help="where to compute")
    add("--dry-run", action="store_true", help="open everything, print the sizes, score nothing")
    return EvaluateConfig(**vars(parser.parse_args(argv)))


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


def score_network(config: EvaluateConfig) -> int:
    """Restore and score a network's validation set, every pass."""
    path = config.checkpoint or newest_network(RUNS)
    device = choose_device(config.device)
    loaded = load_network(path, device)
    net, size = loaded.net, count(loaded.net).total
    print(f"{path}\n{format_table(net)}")
    if size > CAP:
        print(f"over the cap: {size:,} parameters, at most {CAP:,} may enter the challenge")
    where, validation = validation_of(config, loaded)
    print(f"{where}: {len(validation)} pairs, device {device}")
    if config.dry_run:
        return 0
    out = start_run("evaluate", config.out).path
    begun = time.perf_counter()
    images = tuple(restore_all(net, validation, out / "restored", config.flip_ensemble, device))
    about = {
        "checkpoint": path.as_posix(),
        "data": where,
        "data_fingerprint": validation.fingerprint,
        "flip_ensemble": config.flip_ensemble,
        "device": device.type,
        "seconds": round(time.perf_counter() - begun, 2),
    }
    report = Report(images, size, about)
    rows = []
    for number in worst_median_best(report):
        lq, hq = validation.pair(number)
        restored = restore(net, lq, flip_ensemble=config.flip_ensemble, device=device)[-1]
        rows.append(Row(_label(report, number), lq, enlarge(lq, hq), restored, hq))
    finish(report, out, rows)
    print(f"next: python scripts/restore.py FACE.png --checkpoint {path}")
    return 0


def restore_all(
    net: torch.nn.Module,
    validation: Validation,
    folder: Path,
    flip_ensemble: bool,
    device: torch.device,
) -> Iterator[ImageScores]:
    """Scores of every pair; the last pass is written to `folder` under the pair's own name."""
    for number in tqdm(range(len(validation)), desc="restore", unit="face"):
        lq, hq = validation.pair(number)
        passes = restore(net, lq, flip_ensemble=flip_ensemble, device=device)
        name = validation.names[number]
        write_png(folder / f"{name}.png", passes[-1])
        floor = score(enlarge(lq, hq), hq)
        yield ImageScores(name, tuple(score(image, hq) for image in passes), floor)


def validation_of(config: EvaluateConfig, loaded: Loaded) -> tuple[str, Validation]:
    """In words where the pairs are from, and the pairs: `--data`, or the run's own.

    Raises `ValueError` where the network's file does not record its run's data.
    """
    scale = int(getattr(loaded.net, "scale", 4))
    if config.data is not None:
        pairs = open_pairs(config.data, scale=scale, cache_dir=config.cache / "faces")
        return config.data.as_posix(), pairs
    run = loaded.metadata.get("config")
    if not isinstance(run, Mapping) or run.get("preset") not in PRESETS:
        raise ValueError("the network's file does not name its validation set: give --data DIR")
    return run_validation(run, scale, config.cache)


def run_validation(run: Mapping[str, Any], scale: int, cache: Path) -> tuple[str, Validation]:
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
    print(f"results: {json_path}, {csv_path}\npicture: {out / 'faces.png'}")


if __name__ == "__main__":
    sys.exit(main())
