"""The space as data: closed under restriction, paths, JSON."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace

import pytest

from models.space import PRIORS, CellSpace, Space, SpaceError, Trellis
from search.sample import random_genotype
from tests.models.helpers import SMALL, published_choices


def test_reachable_climbs_one_level_a_layer() -> None:
    trellis = Trellis(layers=6, levels=4, axis="level")
    assert [trellis.reachable(i) for i in range(4)] == [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)]


def test_up_is_finer_on_both_axes() -> None:
    assert Trellis(axis="level").target(1, "up") == 2
    assert Trellis(axis="depth").target(1, "up") == 0


def test_paths_are_all_walks_between_neighbours() -> None:
    trellis = Trellis(layers=5, levels=3)
    walks = [
        w
        for w in itertools.product(range(3), repeat=5)
        if all(abs(a - b) <= 1 for a, b in itertools.pairwise((0, *w)))
    ]
    assert len(list(trellis.paths())) == len(walks)


def test_restrict_drops_what_is_no_longer_reached() -> None:
    space = Space(priors=())
    narrowed = space.restrict({"sr/layer0/level0/exit": "same"})
    names = {d.name for d in narrowed.decisions()}
    assert "sr/layer1/level1/exit" in {d.name for d in space.decisions()}
    assert "sr/layer1/level1/exit" not in names
    assert narrowed.nodes("sr", 1) == (0,)


def test_restrict_drops_edges_that_no_kept_input_uses() -> None:
    narrowed = Space(priors=()).restrict({"sr/cell/node1/inputs": "s0+s1"})
    names = {d.name for d in narrowed.decisions()}
    assert "sr/cell/node1/n0/op" not in names
    assert "sr/cell/node1/s0/op" in names


def test_restrict_is_closed_and_order_free() -> None:
    genotype = random_genotype(Space(), random.Random(3))
    choices = list(genotype.choices().items())
    random.Random(1).shuffle(choices)
    step_by_step = Space()
    for name, option in choices:
        step_by_step = step_by_step.restrict({name: option})
    assert step_by_step == genotype
    assert genotype.restrict(genotype.choices()) == genotype


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"sr/layer9/level0/exit": "same"}, "no decision"),
        ({"sr/layer0/level0/exit": "down"}, "open are"),
        ({"sr/layer0/level0/exit": []}, "nothing"),
    ],
)
def test_restrict_names_what_is_wrong(choices: dict[str, str], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space().restrict(choices)


@pytest.mark.parametrize("subset", [c for n in range(4) for c in itertools.combinations(PRIORS, n)])
def test_any_subset_of_priors_is_a_space(subset: tuple[str, ...]) -> None:
    genotype = random_genotype(Space(), random.Random(0)).with_priors(subset)
    assert genotype.priors == subset
    assert genotype.is_genotype
    assert genotype.passes == (2 if subset else 1)
    assert {d.name.split("/")[0] for d in genotype.decisions()} == set(genotype.modules)


def test_published_paths_are_points_of_the_space() -> None:
    genotype = Space().restrict(published_choices())
    assert genotype.is_genotype
    assert genotype.path("sr") == (1, 2, 2, 2, 3, 2)
    assert genotype.path("fusion") == (0, 1, 2, 1, 1, 2)


def test_json_round_trip() -> None:
    space = replace(SMALL, priors=("heat",), cell=CellSpace(nodes=2))
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", 3, "scale 3"),
        ("scale", "4", "space.scale"),
        ("priors", ["nose"], "unknown priors"),
        ("cell", {"nodes": 3}, "space.cell: missing"),
        ("width", 64, "space.width"),
        ("colour", 1, "unknown key 'colour'"),
        ("norm", "group", "norm"),
    ],
)
def test_from_dict_says_which_key_is_wrong(key: str, value: object, message: str) -> None:
    data = {**Space().to_dict(), key: value}
    with pytest.raises(SpaceError, match=message):
        Space.from_dict(data)
