"""Run the main job on the embedded faces: priors, search, derive, train, evaluate.

Calls the entry scripts of the README one after the other in one fresh run folder, and ends with
a table of their results and the paths of their pictures. `scripts/quickstart.sh` makes the
environment first.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import json  # noqa: E402
import resource  # noqa: E402
import shlex  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

from train.flags import FlagParser  # noqa: E402
from train.run_folder import RunFolderError, start_run  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the main job."""

    title: str
    command: tuple[str, ...]


def steps(out: Path, *, seed: int, device: str, dry_run: bool, threads: int = 0) -> list[Step]:
    """Return the commands of the main job, each with its own folder in `out`."""
    placed = ("--seed", str(seed), "--device", device)
    common = (*placed, "--threads", str(threads)) if threads else placed
    quick = ("--preset", "quick")
    found, network = out / "search" / "found.json", out / "train" / "best.safetensors"
    derived = ("train/train_derived.py", "--genotype", str(found), *quick)
    listed = [
        Step(
            title="search: the architecture of the network",
            command=(
                *("search/run_search.py", *quick, "--priors", "parse", "heat", "dict"),
                *("--out", str(out / "search")),
                *common,
                *(("--dry-run",) if dry_run else ()),
            ),
        ),
    ]
    if dry_run:
        return listed
    return [
        Step(
            title="priors: parse, heat and dict from the faces alone",
            command=("priors/fit_priors.py", *quick, "--out", str(out / "priors"), *common),
        ),
        *listed,
        Step(
            title="derive: one network under the cap, by module",
            command=(*derived, "--out", str(out / "derive"), *common, "--dry-run"),
        ),
        Step(
            title="train: the derived network from scratch",
            command=(*derived, "--out", str(out / "train"), *common),
        ),
        Step(
            title="evaluate: every pass on the held-out faces",
            command=(
                *("evaluation/evaluate.py", "--checkpoint", str(network)),
                *("--out", str(out / "evaluate")),
                *placed,
            ),
        ),
    ]


def run(step: Step, number: int, total: int) -> float:
    """Run one command, its output passed through; return its seconds, or exit with its status.

    A signal to stop ends the command too: it saves what it can, and none is left behind.
    """
    print(f"\n== {number}/{total} {step.title}", flush=True)
    print(f"   python {shlex.join(step.command)}", flush=True)
    begun = time.monotonic()
    # a session of its own: Ctrl-C reaches it once, from here
    child = subprocess.Popen([sys.executable, *step.command], cwd=ROOT, start_new_session=True)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        passed_on = signal.SIGINT if stop == signal.SIGINT else signal.SIGTERM
        signal.signal(stop, partial(_pass_on, child, passed_on))
    status = child.wait()
    if status != 0:
        print(f"quickstart: this command ended with status {status}:", file=sys.stderr)
        print(f"  python {shlex.join(step.command)}", file=sys.stderr)
        if status in (130, 143):
            print("it goes on with the same command and --resume", file=sys.stderr)
        raise SystemExit(status if status > 0 else 128 - status)
    return time.monotonic() - begun


def _pass_on(child: subprocess.Popen[bytes], number: int, *_: object) -> None:
    child.send_signal(number)


def peak_memory() -> float:
    """Return the largest memory that any one finished command held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9


def table(results: Mapping[str, Any]) -> str:
    """Return the results as a text table: bicubic and every pass, PSNR, SSIM, parameters."""
    rows = [("bicubic", results["bicubic_psnr"], results["bicubic_ssim"], 0)]
    for index, scores in enumerate(results["passes"], start=1):
        rows.append((f"pass {index}", scores["psnr"], scores["ssim"], results["parameters"]))
    lines = [f"{'':<10}{'PSNR (dB)':>10}{'SSIM':>9}{'parameters':>13}"]
    lines += [f"{name:<10}{psnr:>10.3f}{ssim:>9.4f}{n:>13,}" for name, psnr, ssim, n in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the main job and print its table, pictures and times."""
    parser = FlagParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice")
    parser.add_argument("--out", type=Path, help="run folder; left out: runs/quickstart-NNN")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--dry-run", action="store_true", help="build the search, then stop")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: every core")
    options = parser.parse_args(arguments)
    try:
        folder = start_run("quickstart", options.out)
    except RunFolderError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 2
    listed = steps(
        folder.path.resolve(),
        seed=options.seed,
        device=options.device,
        dry_run=options.dry_run,
        threads=options.threads,
    )
    seconds = [run(step, number, len(listed)) for number, step in enumerate(listed, start=1)]
    folder.close()
    if options.dry_run:
        return 0
    results = json.loads((folder.path / "evaluate" / "results.json").read_text())
    print(f"\nHeld-out embedded faces: {results['images']}, seed {options.seed}\n")
    print(table(results))
    print("\npictures")
    for picture in sorted(folder.path.rglob("*.png")):
        if "restored" not in picture.parts:
            print(f"  {picture}")
    print("\nseconds")
    for step, taken in zip(listed, seconds, strict=True):
        print(f"  {taken:6.0f}  {step.title.split(':')[0]}")
    print(f"  {sum(seconds):6.0f}  in all, {peak_memory():.1f} GB of memory at most")
    print(f"\nnext: python train/train_derived.py --genotype {folder.path}/search/found.json \\")
    print("        --data YOUR_FACES --preset cpu --max-minutes 30")
    return 0


if __name__ == "__main__":
    sys.exit(main())
