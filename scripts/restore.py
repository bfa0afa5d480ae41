"""Restore faces: pictures, folders or patterns of them in, PNGs out.

    python scripts/restore.py face.png --checkpoint runs/train_derived-001/best.safetensors
    python scripts/restore.py 'photos/*.jpg' --average weights \\
        --checkpoint runs/train_derived-001/snapshots/*.safetensors

Without --checkpoint the newest run's network is used, and where nothing was trained yet the one
that comes with the project (examples/checkpoints); several are averaged. Any picture is restored;
one that does not look like an aligned face, or is far from the size the network knows, is named in
a warning.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import glob  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.errors import DataError, listing  # noqa: E402
from data.folders import image_name, list_images, read_rgb, write_png  # noqa: E402
from evaluation.alignment import ALIGNED, alignment  # noqa: E402
from evaluation.pictures import Row, sheet  # noqa: E402
from evaluation.report import enlarge  # noqa: E402
from evaluation.runs.diversity import diversity, restorations  # noqa: E402
from models.artifact import ArtifactError, newest_network  # noqa: E402
from models.device import choose_device  # noqa: E402
from models.ensemble import load_networks  # noqa: E402
from models.prior_source import LabelError, OracleError  # noqa: E402
from models.restorer import restore  # noqa: E402
from models.rules import noncompliant  # noqa: E402
from models.size import count  # noqa: E402
from train.flags import ConfigError  # noqa: E402
from train.labels import add_label_flags, options_of, restore_with_labels  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.presets import trained_side  # noqa: E402
from train.run_folder import RUNS, RunFolderError, start_run  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "examples" / "checkpoints" / "facesr-x4.safetensors"
"""The network that comes with the project; its card stands beside it."""
LONGEST_SIDE = 4096
"""px; a larger LQ would take tens of gigabytes, and is no LQ."""
EXPECTED = (ArtifactError, ConfigError, DataError, LabelError, OracleError, RunFolderError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    flags = parse(argv)
    torch.manual_seed(flags.seed)
    return ended("restore", lambda: run(flags), EXPECTED)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags; argparse exits on an unknown one."""
    out_help = f"empty or new folder; left out: {RUNS}/restore-NNN"
    parser = network_parser(__doc__ or "", out_help, several=True)
    add = parser.add_argument
    add("faces", nargs="+", help="pictures, folders or patterns of them (png, jpg, webp)")
    samples_help = "restorations per picture, with seeded input noise: NAME-1.png, NAME-2.png"
    add("--samples", type=int, default=1, help=samples_help)
    add("--sheet", type=Path, help="also write this PNG: LQ, bicubic and restored, a picture a row")
    add("--noise", type=float, default=5.0, help="deviation of that noise, in 8-bit steps")
    add_label_flags(parser)
    flags = parser.parse_args(argv)
    if flags.samples < 1 or (flags.samples > 1 and not flags.noise > 0):
        parser.error("--samples is at least 1, and with more --noise is above 0")
    if flags.sheet is not None and (flags.samples > 1 or flags.sheet.suffix != ".png"):
        parser.error("--sheet names a .png, of one restoration a picture: leave out --samples")
    return flags


def own_or_shipped() -> Path:
    """The newest run's network, or the one that comes with the project."""
    try:
        return newest_network(RUNS)
    except ArtifactError:
        if SHIPPED.is_file():
            return SHIPPED
        raise


def run(flags: argparse.Namespace) -> int:
    """Check every picture, restore all, tell where they are."""
    paths = flags.checkpoint or [own_or_shipped()]
    device = choose_device(flags.device)
    loaded = load_networks(paths, flags.average, device)
    print(f"{', '.join(map(str, paths))}: {count(loaded.net).total:,} parameters, device {device}")
    pictures = open_pictures(flags.faces)
    restore_with_labels(
        loaded.net,
        options_of(vars(flags)),
        list(pictures),
        source=flags.prior_source,
        allowed=flags.allow_noncompliant,
        device=device,
    )
    for said in noncompliant(loaded.net, loaded.metadata):
        print(f"NOT COMPLIANT, never to be submitted: {said}")
    known = trained_side(loaded.metadata, int(getattr(loaded.net, "scale", 4)))
    for name, lq in pictures.items():
        for warning in doubts(lq, known):
            print(f"warning: {name} {warning}")
    if flags.dry_run:
        print(f"{len(pictures)} pictures to restore")
        return 0
    out = start_run("restore", flags.out).path
    rows: list[Row] = []
    for name, lq in tqdm(pictures.items(), desc="restore", unit="face"):
        if flags.samples == 1:
            flip = flags.flip_ensemble
            passes = restore(loaded.net, lq, name=name, flip_ensemble=flip, device=device)
            write_png(out / f"{name}.png", passes[-1])
            if flags.sheet is not None:
                rows.append(Row(name, lq, enlarge(lq, passes[-1]), passes[-1], None))
        else:
            told = write_samples(loaded.net, name, lq, out, flags, device)
            tqdm.write(f"{name}: diversity {told:.3f}")
    if flags.sheet is not None:
        write_png(flags.sheet, sheet(rows))
        print(f"sheet: {flags.sheet}")
    print(f"{len(pictures)} restored in {out}")
    print(f"next: python evaluation/evaluate.py --pred {out} --gt DIR, where their HQ are known")
    return 0


def write_samples(
    net: torch.nn.Module,
    name: str,
    lq: NDArray[np.uint8],
    out: Path,
    flags: argparse.Namespace,
    device: torch.device,
) -> float:
    """Write several restorations of one picture; returns how much they differ, in 8-bit steps."""
    samples = list(
        restorations(
            net,
            lq,
            name=name,
            samples=flags.samples,
            sigma=flags.noise,
            seed=flags.seed,
            device=device,
            flip_ensemble=flags.flip_ensemble,
        )
    )
    for number, sample in enumerate(samples, start=1):
        write_png(out / f"{name}-{number}.png", sample)
    return diversity(samples)


def named_pictures(given: Sequence[str]) -> dict[str, Path]:
    """The files that were named, by the name of what is written.

    given: pictures, folders, or patterns such as `photos/*.jpg` (`**` for folders in folders).
    Raises `DataError` where one names nothing, or two pictures share a name.
    """
    found: dict[str, Path] = {}
    for text in given:
        source = Path(text)
        matches = map(Path, sorted(glob.glob(text, recursive=True)))
        paths = [source] if source.exists() else list(matches)
        if not paths:
            raise DataError(f"{text} does not exist: give pictures, folders or patterns of them")
        for path in paths:
            root = path if path.is_dir() else path.parent
            for picture in list_images(path) if path.is_dir() else [path]:
                first = found.setdefault(image_name(picture, root), picture)
                if first != picture:
                    raise DataError(f"{first} and {picture} have one name: restore them apart")
    return found


def open_pictures(given: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Every picture uint8 RGB `(H, W, 3)` by name; `DataError` lists all that are unusable."""
    paths = named_pictures(given)
    pictures, problems = {}, []
    for name, path in paths.items():
        try:
            picture = read_rgb(path, convert=True)
        except DataError as error:
            problems.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        height, width = picture.shape[:2]
        if max(height, width) > LONGEST_SIDE or min(height, width) < 2:
            problems.append((path, f"is {width}x{height} px, sides from 2 to {LONGEST_SIDE} work"))
        pictures[name] = picture
    if problems:
        fix = "Give pictures, each with the face cut out and reduced to the LQ's size"
        raise listing(f"{len(problems)} of {len(paths)} pictures cannot be used:", problems, fix)
    return pictures


def doubts(lq: NDArray[np.uint8], known: int) -> Iterator[str]:
    """What speaks against a good restoration of a picture uint8 `(H, W, 3)`, in words."""
    height, width = lq.shape[:2]
    if height != width:
        yield f"is {width}x{height} px, not square: it is probably not an aligned face"
    elif not known / 2 <= height <= known * 2:
        yield f"is {width}x{height} px; the network was trained on faces of {known}x{known}"
    if alignment(lq) < ALIGNED:
        yield (
            "does not look like an aligned face (upright, eyes at 47 % of the height, "
            "24 % of the width apart): the network was trained on such faces only"
        )


if __name__ == "__main__":
    sys.exit(main())
