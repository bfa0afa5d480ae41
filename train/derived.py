"""The network of a genotype file, ready to train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.genotype import Genotype, load_genotype
from models.size import fit_width, meta_count


def chosen_genotype(
    path: Path, *, priors: tuple[str, ...] | None, refit_width: bool, cap: int
) -> Genotype:
    """Return the genotype of `path`, with only `priors` and, with `refit_width`, made wider.

    What it counts is counted anew: a file may be older than a module's size.

    priors: None keeps those of the file; () keeps none. Raises GenotypeError, SpaceError, CapError.
    """
    genotype = load_genotype(path)
    space = genotype.space
    if priors is not None:
        space = space.with_priors(priors)
    if refit_width:
        space = fit_width(space, cap)
    kept = {name: mark for name, mark in genotype.priors.items() if name in space.priors}
    return replace(genotype, space=space, counts=meta_count(space).named(), priors=kept)
