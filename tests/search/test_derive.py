"""Derive: exact under the cap, equal to brute force and to the real build."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.size import meta_count
from models.space import OPERATION_SETS, CellSpace, Space, Trellis, Width
from search.derive import DeriveError, derive, log_probability, size_of
from search.fronts import best_pair, leaf, product, unbeaten
from search.prices import prices_of

TINY = Width(channels=8, growth=4, blocks=1, sr=8, prior=2, fusion=2, tail=(8, 4, 4))
PLAIN = Space(
    priors=(),
    sr_trellis=Trellis(layers=3, levels=2, axis="level"),
    cell=CellSpace(nodes=2, operations=("skip", "conv3")),
    width=TINY,
)
FUSED = Space(
    priors=("heat",),
    sr_trellis=Trellis(layers=2, levels=2, axis="level"),
    prior_trellis=Trellis(layers=2, levels=2),
    fusion_trellis=Trellis(layers=2, levels=2),
    cell=CellSpace(nodes=1, operations=("skip", "conv5")),
    width=TINY,
)


def some_probabilities(space: Space, seed: int, spread: float = 1.5) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    found = {}
    for decision in space.decisions():
        weights = np.exp(rng.normal(0, spread, len(decision.options)))
        found[decision.name] = (weights / weights.sum()).tolist()
    return found


def every_genotype(space: Space) -> Iterator[dict[str, str]]:
    """All genotypes, by restricting one open decision after the other."""
    open_now = [d for d in space.decisions() if len(d.options) > 1]
    if not open_now:
        yield space.choices()
        return
    for option in open_now[0].options:
        yield from every_genotype(space.restrict({open_now[0].name: option}))


def test_prices_add_up_to_the_real_build_of_every_genotype() -> None:
    genotypes = list(every_genotype(PLAIN))
    assert len(genotypes) == 8 * 4 * 12
    for choices in genotypes[::3]:
        assert size_of(PLAIN, choices) == meta_count(PLAIN.restrict(choices)).total


@pytest.mark.parametrize("space", [PLAIN, FUSED], ids=["plain", "fused"])
def test_derive_equals_brute_force_under_any_cap(space: Space) -> None:
    if space is FUSED:  # too many for a walk through all: decide some of them
        space = space.restrict({f"{m}/cell/node0/s0/op": "conv5" for m in space.modules})
        space = space.restrict({"sr/cell/node0/s1/op": "skip", "fusion/cell/node0/s1/op": "skip"})
        space = space.restrict({f"fusion/layer{i}/depth0/exit": "same" for i in range(2)})
    genotypes = list(every_genotype(space))
    sizes = np.array([size_of(space, g) for g in genotypes])
    for seed in range(3):
        probabilities = some_probabilities(space, seed)
        scores = np.array([log_probability(space, probabilities, g) for g in genotypes])
        for cap in np.quantile(sizes, [0, 0.1, 0.5, 1]).astype(int):
            found = derive(space, probabilities, int(cap))
            best = scores[sizes <= cap].max()
            assert log_probability(space, probabilities, found) == pytest.approx(best, abs=1e-9)
            assert size_of(space, found) <= cap


def test_no_genotype_under_the_cap_is_said() -> None:
    probabilities = some_probabilities(PLAIN, 0)
    smallest = min(size_of(PLAIN, g) for g in every_genotype(PLAIN))
    assert size_of(PLAIN, derive(PLAIN, probabilities, smallest)) == smallest
    with pytest.raises(DeriveError, match=f"smallest .* {smallest:,}"):
        derive(PLAIN, probabilities, smallest - 1)


def test_uniform_probabilities_do_not_prefer_border_paths() -> None:
    uniform = {d.name: [1 / len(d.options)] * len(d.options) for d in PLAIN.decisions()}
    scores = {round(log_probability(PLAIN, uniform, g), 9) for g in every_genotype(PLAIN)}
    assert len(scores) == 1


@pytest.mark.parametrize("operations", ["paper", "default"])
def test_the_full_space_is_derived_in_seconds_and_fits(operations: str) -> None:
    space = Space(cell=CellSpace(operations=OPERATION_SETS[operations]))
    started = time.monotonic()
    for seed, cap in ((0, 2_276_355), (1, 1_900_000)):
        choices = derive(space, some_probabilities(space, seed, 0.3), cap)
        derived = space.restrict(choices)
        assert derived.is_genotype
        assert size_of(space, choices) == meta_count(derived).total <= cap
    assert time.monotonic() - started < 30


def test_derive_in_a_restricted_space_keeps_what_was_chosen() -> None:
    narrowed = PLAIN.restrict({"sr/layer0/level0/exit": "up", "sr/cell/node1/inputs": "s0+n0"})
    probabilities = {
        d.name: p
        for d in narrowed.decisions()
        for p in [some_probabilities(narrowed, 2)[d.name]]
        if len(d.options) > 1
    }
    found = derive(narrowed, probabilities)
    assert found["sr/layer0/level0/exit"] == "up"
    assert found["sr/cell/node1/inputs"] == "s0+n0"


def test_open_decision_without_probabilities_is_refused() -> None:
    with pytest.raises(KeyError, match="no probabilities"):
        derive(PLAIN, {})


def test_fronts_keep_only_unbeaten_points() -> None:
    score, size = np.array([1.0, 2.0, 0.5, 2.0, 3.0]), np.array([5, 7, 9, 6, 8])
    assert unbeaten(score, size).tolist() == [0, 3, 4]


def test_product_and_best_pair_equal_all_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = (
        leaf(
            rng.normal(size=40).tolist(),
            rng.integers(1, 100, 40).tolist(),
            [{n: str(i)} for i in range(40)],
        )
        for n in "ab"
    )
    limit = 70
    pairs = [
        (a.score[i] + b.score[j], a.size[i] + b.size[j])
        for i, j in itertools.product(range(len(a)), range(len(b)))
    ]
    best = max(score for score, size in pairs if size <= limit)
    merged = product(a, b, limit)
    assert merged.score[-1] == pytest.approx(best)
    pair = best_pair(a, b, limit)
    assert pair is not None
    assert a.score[pair[0]] + b.score[pair[1]] == pytest.approx(best)
    assert merged.choose(len(merged) - 1) == a.choose(pair[0]) | b.choose(pair[1])
    assert best_pair(a, b, 0) is None


def test_prices_are_cached() -> None:
    assert prices_of(PLAIN) is prices_of(PLAIN)
