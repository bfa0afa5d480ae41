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

import dataclasses  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.degradation import DEGRADATIONS  # noqa: E402
from data.errors import DataError  # noqa: E402
from data.folders import list_images, read_rgb, write_png  # noqa: E402
from data.sources import open_pairs, resize_area  # noqa: E402
from data.validation import Validation, fixed_lq  # noqa: E402
from evaluation.files import decode, list_pictures, scored_pairs  # noqa: E402
from evaluation.metrics import MetricError  # noqa: E402
from evaluation.niqe import BLOCK, fit_niqe, niqe  # noqa: E402
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
from models.device import choose_device  # noqa: E402
from models.restorer import restore  # noqa: E402
from models.size import count, format_table  # noqa: E402
from models.space import CAP  # noqa: E402
from train.config import CommonConfig  # noqa: E402
from train.flags import from_dict  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.presets import PRESETS  # noqa: E402
from train.run_folder import RUNS, RunFolderError, start_run  # noqa: E402
from train.session import open_faces, preset_of  # noqa: E402

NIQE_FACES = 200
"""Faces that NIQE's model is fitted on, at most."""
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
    lq: str | None
    niqe_faces: Path | None
    cache: Path
    seed: int
    out: Path | None
    device: str
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other."""
        if (self.pred is None) != (self.gt is None):
            raise ValueError("--pred and --gt belong together: restored files and their HQ")
        network_only = (self.checkpoint, self.data, self.flip_ensemble, self.niqe_faces, self.lq)
        if self.pred is not None and any(network_only):
            raise ValueError(
                "--pred scores files that are there; leave out --checkpoint, --data, --lq, "
                "--niqe-faces and --flip-ensemble, or leave out --pred and --gt"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return ended("evaluate", lambda: run(argv), USABLE)


def run(argv: Sequence[str] | None) -> int:
    """Score files or a network, as the flags say."""
    config = parse(argv)
    torch.manual_seed(config.seed)
    return score_files(config) if config.pred else score_network(config)


def parse(argv: Sequence[str] | None) -> EvaluateConfig:
    """The flags; argparse exits on an unknown one. Raises `ValueError` on a contradiction."""
    parser = network_parser(__doc__ or "", f"empty or new folder; left out: {RUNS}/evaluate-NNN")
    add = parser.add_argument
    add("--data", type=Path, help="folder with GT/ and LQ/; left out: the run's own validation set")
    add("--pred", type=Path, help="folder or zip of restored pictures")
    add("--gt", type=Path, help="folder of their HQ")
    add("--lq", choices=DEGRADATIONS, help="make the LQ anew from the HQ, in this way (seed 2024)")
    add("--niqe-faces", type=Path, help="HQ faces to fit NIQE on; left out: no NIQE")
    add("--cache", type=Path, default=Path(".cache"), help="folder of packed faces")
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
    if config.lq is not None:
        where, validation = f"{where}, {config.lq} LQ", remade(validation, config.lq, net)
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
        **niqe_means(config, validation, out / "restored"),
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


def niqe_means(
    config: EvaluateConfig, validation: Validation, restored: Path
) -> dict[str, dict[str, object]]:
    """Mean NIQE of the restored files, of bicubic and of the HQ; nothing without --niqe-faces.

    The model is fitted on the first `NIQE_FACES` faces of the folder, at the size of the HQ.
    """
    if config.niqe_faces is None:
        return {}
    pairs = [validation.pair(number) for number in range(len(validation))]
    side = pairs[0][1].shape[0]
    paths = list_images(config.niqe_faces)[:NIQE_FACES]
    block = min(BLOCK, side // 4)
    model = fit_niqe((resize_area(read_rgb(path), side) for path in paths), block=block)
    pictures = {
        "restored": [read_rgb(restored / f"{name}.png") for name in validation.names],
        "bicubic": [enlarge(lq, hq) for lq, hq in pairs],
        "hq": [hq for _, hq in pairs],
    }
    means = {
        kind: float(np.mean([niqe(p, model) for p in some])) for kind, some in pictures.items()
    }
    about = f"fitted on {model.faces} faces of {config.niqe_faces.as_posix()}, blocks of {block} px"
    words = ", ".join(f"{kind} {value:.3f}" for kind, value in means.items())
    print(f"NIQE ({about}; lower is more natural): {words}")
    return {"niqe": {**means, "model": about}}


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


def remade(validation: Validation, kind: str, net: torch.nn.Module) -> Validation:
    """The same faces with LQ of another degradation, made with the seed of all validation LQ."""
    scale = int(getattr(net, "scale", 4))
    pairs = []
    for number in range(len(validation)):
        hq = validation.pair(number)[1]
        pairs.append((fixed_lq(hq, number, degradation=kind, scale=scale), hq))
    return Validation(validation.names, pairs, f"{validation.fingerprint}-{kind}")


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
