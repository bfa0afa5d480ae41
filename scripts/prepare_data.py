"""Make a clean folder of faces: HQ of any size to 512 px, and fixed LQ for a validation set.

    python scripts/prepare_data.py --data photos --out faces --hq-only
    python scripts/prepare_data.py --data held-out --out val --degradation second-order

The first writes `faces/NAME.png` to train on. The second writes `val/GT/NAME.png` and
`val/LQ/NAME.png`: the LQ of the n-th face (sorted by name) depends on the face, the preset, the
seed and n alone, so the same command makes the same files. Without --data, held-out embedded faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import json  # noqa: E402
import shlex  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from dataclasses import asdict, dataclass, fields  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.degradation import PRESETS  # noqa: E402
from data.errors import DataError, Problem, listing  # noqa: E402
from data.folders import (  # noqa: E402
    by_name,
    check_depth,
    collect,
    fingerprint,
    image_name,
    list_images,
    read_rgb,
    write_png,
)
from data.headers import Header, map_file, parse_header  # noqa: E402
from data.sources import HELD_OUT, SyntheticSource, resize_area  # noqa: E402
from data.validation import SEED, fixed_lq  # noqa: E402


@dataclass(frozen=True)
class Settings:
    """The flags of this command."""

    data: Path | None
    out: Path
    side: int
    scale: int
    degradation: str
    seed: int
    count: int
    hq_only: bool
    crop: bool
    device: str
    dry_run: bool


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings of a command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder of HQ faces, read recursively (default: embedded faces)")
    add("--out", type=Path, default=Path("prepared"), help="folder to write (default: prepared)")
    add("--side", type=int, default=512, help="side of the HQ in px (default: 512)")
    add("--scale", type=int, default=4, help="HQ side / LQ side (default: 4)")
    add("--degradation", choices=sorted(PRESETS), default="second-order", help="preset of the LQ")
    add("--seed", type=int, default=SEED, help=f"seed of the LQ (default: {SEED})")
    add("--count", type=int, default=20, help="embedded faces, without --data (default: 20)")
    add("--hq-only", action="store_true", help="a training folder: HQ alone, no GT/ and LQ/")
    add(
        "--crop", action="store_true", help="cut the centre square out of faces that are not square"
    )
    add("--device", default="auto", help="accepted like everywhere; this command needs no GPU")
    add("--dry-run", action="store_true", help="check everything, write nothing")
    flags = vars(parser.parse_args(arguments))
    return Settings(**{field.name: flags[field.name] for field in fields(Settings)})


class PhotoFolder:
    """Faces of any size in a folder, brought to `side`; every bad header is listed at once."""

    def __init__(self, root: Path, side: int, *, crop: bool) -> None:
        self.side, self._crop = side, crop
        self._paths = list_images(root)
        by_name(self._paths, root)
        self.names = [image_name(path, root) for path in self._paths]
        headers, problems = collect(self._paths, self._check)
        if problems:
            summary = f"{root}: {len(problems)} of {len(self._paths)} images cannot be used:"
            fix = "Repair or remove these files; --crop cuts the centre square of the others"
            raise listing(summary, problems, fix)
        self.fingerprint = fingerprint(self._paths, root)
        self.enlarged = sum(min(header.width, header.height) < side for header in headers)

    def _check(self, path: Path) -> Header:
        header = parse_header(map_file(path))
        check_depth(header)
        if header.width != header.height and not self._crop:
            raise DataError(f"is {header.width}x{header.height} px, not square")
        return header

    def __len__(self) -> int:
        return len(self._paths)

    def image(self, i: int) -> np.ndarray:
        """Return face `i`, RGB uint8 `(side,side,3)`."""
        return to_side(read_rgb(self._paths[i]), self.side)


def to_side(image: np.ndarray, side: int) -> np.ndarray:
    """Return the centre square of `image` at `side` px: area reduced, or bicubically enlarged."""
    height, width = image.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    square = np.ascontiguousarray(image[top : top + size, left : left + size])
    if size >= side:
        return resize_area(square, side)
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_CUBIC)


def outputs(settings: Settings, names: Sequence[str]) -> list[tuple[Path, Path | None]]:
    """Return (HQ file, LQ file or None) to write for every name.

    Raises `DataError` if the folder already holds other images: two sets would be mixed.
    """
    out = settings.out
    hq = out if settings.hq_only else out / "GT"
    files: list[tuple[Path, Path | None]] = [
        (hq / f"{name}.png", None if settings.hq_only else out / "LQ" / f"{name}.png")
        for name in names
    ]
    ours = {path for pair in files for path in pair}
    others = [path for path in list_images(out) if path not in ours] if _has_images(out) else []
    if others:
        raise DataError(
            f"{out} holds {len(others)} other images ({others[0]}, ...): choose another --out"
        )
    return files


def _has_images(folder: Path) -> bool:
    try:
        return bool(list_images(folder))
    except DataError:
        return False


def write(
    settings: Settings, source: PhotoFolder | SyntheticSource, files: list[tuple[Path, Path | None]]
) -> None:
    """Write all files; raises `DataError` listing every face that could not be decoded."""
    problems: list[Problem] = []
    for i, (hq_path, lq_path) in enumerate(tqdm(files, unit="face")):
        try:
            hq = source.image(i)
        except DataError as error:
            problems.append((source.names[i], str(error)))
            continue
        write_png(hq_path, hq)
        if lq_path is not None:
            preset, scale = settings.degradation, settings.scale
            write_png(lq_path, fixed_lq(hq, i, degradation=preset, scale=scale, seed=settings.seed))
    if problems:
        summary = (
            f"{len(problems)} of {len(files)} faces could not be decoded, all others are there:"
        )
        raise listing(summary, problems, "Repair or remove these files and run this again")
    record = {"fingerprint": source.fingerprint, "faces": len(files)}
    record |= {key: str(value) for key, value in asdict(settings).items() if key not in HIDDEN}
    (settings.out / "prepared.json").write_text(json.dumps(record, indent=2) + "\n")


HIDDEN = ("data", "out", "device", "dry_run")
"""Settings that do not change what is written."""


def report(settings: Settings, source: PhotoFolder | SyntheticSource) -> Iterator[str]:
    """Yield lines about what is going to be written."""
    lq = "" if settings.hq_only else f", LQ {settings.side // settings.scale} px"
    preset = "" if settings.hq_only else f" ({settings.degradation}, seed {settings.seed})"
    yield f"{len(source)} faces -> {settings.out}: HQ {settings.side} px{lq}{preset}"
    enlarged = getattr(source, "enlarged", 0)
    if enlarged:
        yield (
            f"warning: {enlarged} of {len(source)} faces are smaller than {settings.side} px and "
            "are enlarged: they teach a network to be blurry"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    settings = parse(arguments)
    try:
        if settings.side % settings.scale:
            raise DataError(f"--side {settings.side} is not a multiple of --scale {settings.scale}")
        if settings.data and settings.out.resolve().is_relative_to(settings.data.resolve()):
            raise DataError(f"--out {settings.out} lies in --data: originals could be overwritten")
        source: PhotoFolder | SyntheticSource = (
            SyntheticSource(settings.count, settings.side, first=HELD_OUT)
            if settings.data is None
            else PhotoFolder(settings.data, settings.side, crop=settings.crop)
        )
        files = outputs(settings, source.names)
        print("\n".join(report(settings, source)))
        if settings.dry_run:
            print("dry run: everything checked, nothing written")
        else:
            write(settings, source, files)
    except DataError as error:
        raise SystemExit(f"error: {error}") from error
    out = shlex.quote(str(settings.out))
    following = (
        f"python search/run_search.py --priors parse heat dict --data {out}"
        if settings.hq_only
        else f"python evaluation/evaluate.py --data {out}"
    )
    print(f"next: {following}")


if __name__ == "__main__":
    main()
