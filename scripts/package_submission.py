"""Restore the test faces and pack them with a report: submission.zip, report, bundle.zip.

    python scripts/package_submission.py --checkpoint runs/train_derived-001/best.safetensors \\
        --inputs DIR

A network that breaks a rule (see scripts/audit.py) is not packed. The zip is reopened and checked:
count, names, sizes, RGB, 8 bit.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import itertools  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import zipfile  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from data.errors import DataError  # noqa: E402
from data.folders import by_name, image_name, list_images, read_rgb, write_png  # noqa: E402
from evaluation.document import to_html, to_markdown, to_pdf  # noqa: E402
from evaluation.files import decode  # noqa: E402
from evaluation.metrics import Image, MetricError  # noqa: E402
from evaluation.pictures import Row, sheet  # noqa: E402
from evaluation.report import enlarge  # noqa: E402
from evaluation.submission import (  # noqa: E402
    LAYOUTS,
    LONG_AGO,
    SubmissionError,
    check_zip,
    png_bytes,
    write_zip,
)
from evaluation.submission_report import SYNTHETIC, draw_curves, report_blocks  # noqa: E402
from models.artifact import ArtifactError, Loaded, load_network, newest_network  # noqa: E402
from models.device import choose_device  # noqa: E402
from models.restorer import restore_each  # noqa: E402
from models.rules import audit  # noqa: E402
from models.size import count, module_table  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.presets import trained_side  # noqa: E402
from train.run_folder import RUNS, RunFolder, RunFolderError, start_run  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
MOST_PAGES = 5
REPORT_WIDTH = 1800
"""Width of the report's pictures of faces in px."""
SHOWN = 4
"""Test faces in the report's picture."""
EXPECTED = (ArtifactError, DataError, MetricError, RunFolderError, SubmissionError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 where a rule or the size limit is broken, 2 on bad input."""
    flags = parse(argv)
    torch.manual_seed(flags.seed)
    return ended("package_submission", lambda: run(flags), EXPECTED)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags; argparse exits on an unknown one."""
    out_help = f"empty or new folder; left out: {RUNS}/submission-NNN"
    parser = network_parser(__doc__ or "", out_help)
    add = parser.add_argument
    add("--inputs", type=Path, required=True, help="folder of the LQ to restore")
    add("--real", type=Path, help="folder of real LQ faces for the report's pictures")
    add("--layout", choices=LAYOUTS, default="subfolder", help="where the PNGs lie in the zip")
    add("--max-mb", type=float, default=500.0, help="largest submission.zip")
    add("--name", default="", help="your name, for the report and Readme.txt")
    add("--id", default="", help="your id and user name, for Readme.txt")
    return parser.parse_args(argv)


def run(flags: argparse.Namespace) -> int:
    """Audit, restore, pack, check, report."""
    path = flags.checkpoint or newest_network(RUNS)
    device = choose_device(flags.device)
    loaded = load_network(path, device)
    broken = [finding.text for finding in audit(loaded.net, loaded.metadata) if not finding.kept]
    if broken:
        print(f"{path} breaks the rules, nothing is packed:", *broken, sep="\n  ", file=sys.stderr)
        return 1
    inputs = read_inputs(flags.inputs)
    print(f"{path}: {count(loaded.net).total:,} parameters, every rule is kept")
    print(f"{len(inputs)} faces to restore on {device}")
    for warning in doubts(loaded, inputs):
        print(f"warning: {warning}")
    if flags.dry_run:
        return 0
    folder = start_run("submission", flags.out)
    out = folder.path
    restored = restore_all(loaded, inputs, flags.flip_ensemble, device)
    write_zip(out / "submission.zip", restored, flags.layout)
    size = check_zip(out / "submission.zip", set(inputs), sides_of(loaded, inputs)) / 1e6
    print(f"{out / 'submission.zip'}: {len(restored)} PNGs, {size:.1f} of {flags.max_mb:.0f} MB")
    first = dict(itertools.islice(inputs.items(), SHOWN))
    write_png(out / "examples.png", shown(first, restored))
    pictures = [(out / "examples.png", "Test faces: LQ, bicubic, restored.")]
    if flags.real is not None:
        real = read_inputs(flags.real)
        faces = restore_all(loaded, real, flags.flip_ensemble, device)
        write_png(out / "real.png", shown(real, faces))
        pictures.append((out / "real.png", "Real faces: LQ, bicubic, restored."))
    write_report(out, path, loaded, pictures, flags)
    bundle(out, path)
    print(f"{out / 'report.pdf'}, {out / 'bundle.zip'}\nnext: upload {out / 'submission.zip'}")
    return 0 if size <= flags.max_mb else 1


def read_inputs(folder: Path) -> dict[str, Image]:
    """Every LQ of a folder, uint8 RGB by name; all of one size."""
    paths = by_name(list_images(folder), folder)
    inputs = {image_name(path, folder): read_rgb(path) for path in paths.values()}
    sizes = {picture.shape[:2] for picture in inputs.values()}
    if len(sizes) != 1:
        shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:5])
        raise DataError(f"{folder}: LQ of several sizes ({shown} px); a submission has one size")
    return inputs


def doubts(loaded: Loaded, inputs: Mapping[str, Image]) -> Iterator[str]:
    """What speaks against submitting this network for these LQ, though no rule forbids it."""
    config = loaded.metadata.get("config") or {}
    if config and config.get("data") is None:
        yield f"the network was trained on {SYNTHETIC}: train it on real ones with --data"
    known = trained_side(loaded.metadata, int(loaded.net.scale))  # type: ignore[arg-type]
    side = len(next(iter(inputs.values())))
    if side != known:
        yield f"the LQ are of {side} px, the network was trained on faces of {known} px"


def sides_of(loaded: Loaded, inputs: Mapping[str, Image]) -> tuple[int, int]:
    """(width, height) in px that every restored picture has."""
    height, width = next(iter(inputs.values())).shape[:2]
    scale = int(loaded.net.scale)  # type: ignore[arg-type]
    return width * scale, height * scale


def restore_all(
    loaded: Loaded, inputs: Mapping[str, Image], flip: bool, device: torch.device
) -> dict[str, bytes]:
    """PNG bytes of every restored picture by name."""
    each = restore_each(loaded.net, inputs.values(), flip_ensemble=flip, device=device)
    shown = tqdm(each, total=len(inputs), desc="restore", unit="face")
    return {name: png_bytes(passes[-1]) for name, passes in zip(inputs, shown, strict=True)}


def shown(inputs: Mapping[str, Image], restored: Mapping[str, bytes]) -> Image:
    """A picture of LQ, bicubic and restored, two faces a row."""
    rows = []
    for name, lq in inputs.items():
        picture = decode(restored[name], name)
        rows.append(Row(name, lq, enlarge(lq, picture), picture, None))
    drawn = sheet(rows, across=2)
    height = round(len(drawn) * REPORT_WIDTH / drawn.shape[1])
    return np.asarray(cv2.resize(drawn, (REPORT_WIDTH, height), interpolation=cv2.INTER_AREA))


def write_report(
    out: Path,
    checkpoint: Path,
    loaded: Loaded,
    pictures: list[tuple[Path, str]],
    flags: argparse.Namespace,
) -> None:
    """Write report.md, report.html, report.pdf and Readme.txt."""
    log = checkpoint.parent / "log.jsonl"
    rows = RunFolder(checkpoint.parent).rows() if log.is_file() else []
    if draw_curves(rows, out / "curves.png"):
        pictures = [(out / "curves.png", "Training loss and validation PSNR."), *pictures]
    blocks = report_blocks(
        loaded.metadata,
        modules=module_table(loaded.net),
        findings=[finding.text for finding in audit(loaded.net, loaded.metadata)],
        pictures=pictures,
    )
    title = "Blind face super-resolution" + (f", {flags.name}" if flags.name else "")
    (out / "report.md").write_text(to_markdown(title, blocks, out), encoding="utf-8")
    (out / "report.html").write_text(to_html(title, blocks), encoding="utf-8")
    pages = to_pdf(title, blocks, out / "report.pdf")
    if pages > MOST_PAGES:
        raise SubmissionError(f"the report has {pages} pages, {MOST_PAGES} are allowed")
    (out / "Readme.txt").write_text(readme(flags), encoding="utf-8")


def readme(flags: argparse.Namespace) -> str:
    """The text of Readme.txt: who, which files, which libraries, which script to run."""
    shipped = (ROOT / "requirements.txt").read_text().partition("# development")[0]
    libraries = [
        line.strip() for line in shipped.splitlines() if line.strip() and not line.startswith("#")
    ]
    return "\n".join(
        [
            f"Name: {flags.name}",
            f"Id and user name: {flags.id}",
            "",
            "submission.zip     the restored test faces",
            "report.pdf         the report (also report.md, report.html)",
            "code.zip           this repository's files",
            "best.safetensors   the network",
            "log.jsonl          the training's log",
            "",
            "To restore the test faces again, in the unpacked code:",
            "  python scripts/package_submission.py --checkpoint best.safetensors --inputs DIR",
            "",
            "Third-party libraries:",
            *(f"  {line}" for line in libraries),
            "",
        ]
    )


def bundle(out: Path, checkpoint: Path) -> None:
    """Write bundle.zip: report, results, code, log, checkpoint, Readme.txt."""
    with zipfile.ZipFile(out / "code.zip", "w") as archive:
        for name in tracked_files():
            data = (ROOT / name).read_bytes()
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    shutil.copyfile(checkpoint, out / checkpoint.name)
    names = ["Readme.txt", "report.md", "report.html", "report.pdf", "submission.zip", "code.zip"]
    names += sorted(path.name for path in out.glob("*.png"))
    with zipfile.ZipFile(out / "bundle.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in [*(out / name for name in names), out / checkpoint.name]:
            archive.writestr(zipfile.ZipInfo(path.name, LONG_AGO), path.read_bytes())
        for name in ("log.jsonl", "config.json"):
            if (checkpoint.parent / name).is_file():
                data = (checkpoint.parent / name).read_bytes()
                archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data)


def tracked_files() -> Iterator[str]:
    """Names of the repository's own files; without git every Python file and document."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    if not any(names):
        kinds = ("*.py", "*.md", "*.txt", "*.toml", "*.sh", "*.yaml")
        names = [p.relative_to(ROOT).as_posix() for kind in kinds for p in ROOT.rglob(kind)]
        names = [name for name in names if not name.startswith((".venv", RUNS.name, ".cache"))]
    yield from sorted(name for name in names if name and (ROOT / name).is_file())


if __name__ == "__main__":
    sys.exit(main())
