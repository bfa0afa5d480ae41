"""Genotypes drawn at random: the control that a search must beat."""

from __future__ import annotations

import random

from models.space import Space


def random_genotype(space: Space, rng: random.Random) -> Space:
    """One open option drawn uniformly for every decision, in the order in which they are reached.

    Not uniform over genotypes: a trellis node with fewer exits gives each of them more chance.
    """
    while not space.is_genotype:
        decision = next(d for d in space.decisions() if len(d.options) > 1)
        space = space.restrict({decision.name: rng.choice(decision.options)})
    return space
