"""Draw architectures at random, the control of every search: `python search/draw.py --count 8`.

Each is drawn as uniformly as `search.sample` can, again until it fits under the cap, and widened to
the cap as what a search finds is. Written into --out: draw-N.json for `train/train_derived.py`, and
study.yaml for `scripts/ablate.py`, which trains them alike and compares them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import yaml  # noqa: E402

from models.genotype import Genotype, save_genotype  # noqa: E402
from models.size import CapError, fit_width, meta_count  # noqa: E402
from models.space import Space  # noqa: E402
from search.config import SearchConfig, space_of  # noqa: E402
from search.sample import random_genotype  # noqa: E402
from train import ending, session  # noqa: E402
from train.checkpoint import write_bytes  # noqa: E402
from train.flags import flag  # noqa: E402
from train.run_folder import provenance  # noqa: E402

COMMAND = "draw"
MOST_TRIES = 1000
"""Draws in a row that do not fit under the cap before the space is given up."""


@dataclass(frozen=True, kw_only=True)
class DrawConfig(SearchConfig):
    """Flags of this command: those of the search say what the space is."""

    count: int = flag(8, "how many architectures")


def main(argv: Sequence[str]) -> int:
    """Draw as the flags say; return the exit status."""
    config, _ = session.read_flags(DrawConfig, COMMAND, argv, __doc__ or COMMAND)
    space = space_of(config)
    print(f"{len([d for d in space.decisions() if len(d.options) > 1])} open decisions")
    if config.dry_run:
        first = next(draws(space, config.seed, config.cap))
        print(f"Dry run: the first one has {meta_count(first).total:,} parameters.")
        return 0
    folder = session.open_folder(config, COMMAND, None).path
    drawn = draws(space, config.seed, config.cap)
    arms = {}
    for i in range(config.count):
        arms[f"draw-{i}"] = write(folder / f"draw-{i}.json", next(drawn), config, i)
    study = {"entry": "train_derived", "flags": {"preset": config.preset}, "arms": arms}
    write_bytes(folder / "study.yaml", yaml.safe_dump(study, sort_keys=False).encode())
    print(f"next: python scripts/ablate.py --study {folder}/study.yaml --out {folder}/trained")
    return 0


def draws(space: Space, seed: int, cap: int) -> Iterator[Space]:
    """Genotypes under the cap, widened to it, without end. Raises CapError if none fits."""
    rng = random.Random(seed)
    tries = 0
    while tries < MOST_TRIES:
        tries += 1
        drawn = random_genotype(space, rng)
        if meta_count(drawn).total <= cap:
            tries = 0
            yield fit_width(drawn, cap)
    raise CapError(f"none of {MOST_TRIES} draws has at most {cap:,} parameters: a narrower space")


def write(path: Path, space: Space, config: DrawConfig, number: int) -> dict[str, str]:
    """Write a genotype file; return the flags of its arm."""
    size = meta_count(space)
    origin = {"strategy": "random", "draw": number, "seed": config.seed, "preset": config.preset}
    genotype = Genotype(
        space=space,
        counts=size.named(),
        priors=dict.fromkeys(space.priors, ""),
        provenance={**origin, **{name: str(value) for name, value in provenance().items()}},
    )
    save_genotype(path, genotype)
    print(f"{path}: {size.total:,} parameters")
    return {"genotype": path.as_posix()}


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
