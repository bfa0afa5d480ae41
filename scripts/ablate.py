"""Train several arms that differ in a few flags, and compare them pair by pair.

    python scripts/ablate.py --study examples/studies/losses.yaml --out runs/losses
    python scripts/ablate.py --entry train_derived --vary priors parse,heat,dict heat,dict none \\
        --vary optimizer adam sgd --seeds 0 1 --out runs/priors -- --genotype found.json --steps 500

A study is a YAML file: `entry`, `flags` (of every arm), `arms` (a name and its own flags each; its
own `entry` where arms differ in it, `seeds: 1` where the first seed is enough), `grid` (a flag and
its values each, all combined). What follows `--` goes to every arm. Arms of one seed start alike
and see the same faces in the same order. The same command again goes on where it
stopped. Written into --out: a run folder per arm and seed, table.md, table.json, curves.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from types import FrameType  # noqa: E402
from typing import Any  # noqa: E402

import yaml  # noqa: E402

from evaluation.runs.ablation import (  # noqa: E402
    UnequalRunsError,
    draw_curves,
    is_finished,
    markdown,
    read_arm,
    summary,
)
from train.checkpoint import write_bytes  # noqa: E402
from train.config import BaselineConfig, DerivedConfig  # noqa: E402
from train.flags import ConfigError, FlagParser, from_dict, read_recipe  # noqa: E402
from train.leaf import ended  # noqa: E402
from train.run_folder import CONFIG  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = {"train_baseline": BaselineConfig, "train_derived": DerivedConfig}
KEYS = {"entry", "flags", "arms", "grid"}
NONE = "none"
"""On the command line: a flag with nothing after it."""


@dataclass(frozen=True)
class Study:
    """What is compared: of every arm, by its name, the training entry and the flags."""

    entries: Mapping[str, str]
    arms: Mapping[str, Mapping[str, Any]]
    most_seeds: Mapping[str, int]
    """Of arms that take fewer seeds than the command's: how many, the first ones."""


@dataclass(frozen=True)
class Job:
    """One training: its folder and its whole command."""

    folder: Path
    command: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status, 1 where a training failed."""
    flags = parse(argv)
    expected = (ConfigError, UnequalRunsError, OSError)
    if not flags.dry_run:
        return ended("ablate", lambda: run(flags), expected)
    with tempfile.TemporaryDirectory() as scratch:
        flags.scratch = Path(scratch)
        return ended("ablate", lambda: run(flags), expected)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags; argparse exits on an unknown one."""
    given = list(sys.argv[1:] if argv is None else argv)
    cut = given.index("--") if "--" in given else len(given)
    parser = FlagParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--study", type=Path, help="YAML file of the study")
    add("--entry", choices=ENTRIES, help="what trains; left out: the study's, else train_derived")
    vary_help = f"a flag and its values, lists with commas, {NONE!r} for nothing; may be repeated"
    add("--vary", nargs="+", action="append", default=[], metavar=("FLAG", "VALUE"), help=vary_help)
    add("--seeds", type=int, nargs="+", default=[0], help="every arm is trained with each")
    add("--out", type=Path, required=True, help="folder of the study; resumed if it is there")
    add("--jobs", type=int, default=1, help="trainings at once; the cores are shared among them")
    add("--dry-run", action="store_true", help="print the commands, build the first arm, stop")
    flags = parser.parse_args(given[:cut])
    flags.scratch = None
    flags.rest = [word for word in given[cut + 1 :] if word != "--dry-run"]
    flags.dry_run = flags.dry_run or len(flags.rest) < len(given[cut + 1 :])
    return flags


def run(flags: argparse.Namespace) -> int:
    """Train what is not finished, then compare all."""
    study = open_study(flags.study, flags.entry, flags.vary)
    for name, own in study.arms.items():
        check_flags(study.entries[name], own)
    seeds = {name: flags.seeds[: study.most_seeds.get(name)] for name in study.arms}
    jobs = {name: [job(study, name, seed, flags) for seed in seeds[name]] for name in study.arms}
    everything = list(itertools.chain.from_iterable(jobs.values()))
    if flags.dry_run:
        return dry_run(everything)
    failed = train_all([one for one in everything if not is_finished(one.folder)], flags.jobs)
    finished = {
        name: [one.folder for one in some]
        for name, some in jobs.items()
        if all(is_finished(one.folder) for one in some)
    }
    if finished:
        compare(finished, flags.out)
    for one in failed:
        print(f"failed: {one.folder}, see {log_of(one.folder)}", file=sys.stderr)
    return 1 if failed else 0


def dry_run(jobs: Sequence[Job]) -> int:
    """Print every command, and let the first one build and check all without training."""
    for one in jobs:
        print(" ".join(one.command), flush=True)
    done = subprocess.run([*jobs[0].command, "--dry-run"], check=False)
    if done.returncode == 0:
        print(f"{len(jobs)} trainings; the first one's parameters stand above")
    return done.returncode


def open_study(path: Path | None, entry: str | None, vary: Sequence[Sequence[str]]) -> Study:
    """The study of a file, of `--vary`, or of both combined. Raises `ConfigError`."""
    content = read_recipe(path, "--study") if path is not None else {}
    unknown = sorted(set(content) - KEYS)
    if unknown:
        raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}; known: {sorted(KEYS)}")
    grid = dict(content.get("grid") or {})
    for flag, *values in vary:
        if not values:
            raise ConfigError(f"--vary {flag}: give at least one value")
        grid[flag.lstrip("-").replace("-", "_")] = [from_text(value) for value in values]
    common, arms = dict(content.get("flags") or {}), dict(content.get("arms") or {"": {}})
    usual = entry or content.get("entry") or "train_derived"
    entries, combined, most = {}, {}, {}
    for (name, given), point in itertools.product(arms.items(), points(grid)):
        own = dict(given or {})
        words = [str(name)] * bool(name) + [f"{k}-{to_text(v)}" for k, v in point.items()]
        plain = re.sub(r"[^\w.=+-]+", "-", "_".join(words)) or "only"
        entries[plain] = own.pop("entry", usual)
        if "seeds" in own:
            most[plain] = max(1, int(own.pop("seeds")))
        if entries[plain] not in ENTRIES:
            chosen = entries[plain]
            raise ConfigError(f"{path}: entry {chosen!r} is not one of {', '.join(ENTRIES)}")
        combined[plain] = {**common, **own, **point}
    return Study(entries, combined, most)


def check_flags(entry: str, flags: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a flag that the entry does not take, before anything is trained."""
    from_dict(ENTRIES[entry], flags)


def points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the grid's values; one empty point of an empty grid."""
    return [dict(zip(grid, some, strict=True)) for some in itertools.product(*grid.values())]


def from_text(text: str) -> Any:
    """The value that a word of the command line stands for, in YAML's types."""
    if text == NONE:
        return []
    parts = [_value(part) for part in text.split(",")]
    return parts if "," in text else parts[0]


def _value(text: str) -> Any:
    value = yaml.safe_load(text)
    try:
        return float(value) if isinstance(value, str) else value  # YAML takes 1e-3 for a word
    except ValueError:
        return value


def to_text(value: Any) -> str:
    """A value as a part of an arm's name."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or NONE
    return str(value)


def job(study: Study, name: str, seed: int, flags: argparse.Namespace) -> Job:
    """The training of one arm and seed; its flags are written as a recipe beside its folder."""
    folder = flags.out / f"{name}-seed{seed}"
    script = [sys.executable, str(ROOT / "train" / f"{study.entries[name]}.py")]
    if (folder / CONFIG).is_file():
        return Job(folder, (*script, "--resume", "--out", str(folder)))
    recipe = (flags.scratch or flags.out / "recipes") / f"{name}.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(recipe, yaml.safe_dump(dict(study.arms[name])).encode())
    threads = max(1, (os.cpu_count() or 1) // flags.jobs)
    own = ["--config", str(recipe), "--seed", str(seed), "--out", str(folder)]
    return Job(folder, (*script, *own, "--threads", str(threads), *flags.rest))


def log_of(folder: Path) -> Path:
    """The file that a training's output goes to."""
    return folder.with_name(folder.name + ".log")


def train_all(jobs: Sequence[Job], at_once: int) -> list[Job]:
    """Train, several at once; returns what failed.

    A signal ends all, each after its step is saved, and then the command (`SystemExit`).
    """
    running: list[subprocess.Popen[bytes]] = []
    stopped = 0

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = number
        for process in running:
            process.send_signal(number)

    def work(one: Job) -> bool:
        if stopped:
            return False
        print(f"training {one.folder}", flush=True)
        with log_of(one.folder).open("ab") as log:
            process = subprocess.Popen(one.command, stdout=log, stderr=log, start_new_session=True)
            running.append(process)
            return process.wait() == 0

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ThreadPoolExecutor(max(1, at_once)) as pool:
            good = list(pool.map(work, jobs))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        print("stopped: the same command goes on from there", file=sys.stderr)
        raise SystemExit(128 + stopped)
    return [one for one, fine in zip(jobs, good, strict=True) if not fine]


def compare(finished: Mapping[str, Sequence[Path]], out: Path) -> None:
    """Write and print the table, draw the curves."""
    arms = [read_arm(name, runs) for name, runs in finished.items()]
    rows = summary(arms)
    write_bytes(out / "table.json", (json.dumps(rows, indent=2) + "\n").encode())
    write_bytes(out / "table.md", markdown(rows).encode())
    draw_curves(arms, out / "curves.png")
    print(markdown(rows), end="")
    print(f"{len(arms)} arms: {out / 'table.md'}, {out / 'table.json'}, {out / 'curves.png'}")


if __name__ == "__main__":
    sys.exit(main())
