"""Logits and what the two relaxations make of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from models.space import CellSpace, Space, SpaceError, Trellis
from search.logits import Logits, mean_entropy, plain, uniform_distance
from search.relaxations import gumbel, softmax

SPACE = Space(
    priors=("parse",),
    sr_trellis=Trellis(layers=3, levels=3, axis="level"),
    prior_trellis=Trellis(layers=2, levels=2),
    fusion_trellis=Trellis(layers=2, levels=2),
    cell=CellSpace(nodes=2, operations=("skip", "conv3")),
)


def some_rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_logits_have_one_vector_per_open_decision_and_start_nearly_uniform() -> None:
    logits = Logits(SPACE, seed=1)
    expected = {d.name: len(d.options) for d in SPACE.decisions() if len(d.options) > 1}
    assert {n: len(v) for n, v in logits.vectors.items()} == expected
    # node 0 of a cell has two sources and keeps both: nothing to decide
    assert "sr/cell/node0/inputs" not in logits.vectors
    chances = plain(logits.probabilities())
    assert 0 < uniform_distance(chances) < 2e-3
    assert mean_entropy(chances) == pytest.approx(1.0, abs=1e-5)
    again = Logits(SPACE, seed=1)
    assert all(torch.equal(v, again.vectors[n]) for n, v in logits.vectors.items())


def test_distance_and_entropy_of_a_decided_choice() -> None:
    assert uniform_distance({"a": [1.0, 0.0, 0.0, 0.0], "b": [0.5, 0.5]}) == pytest.approx(0.375)
    assert mean_entropy({"a": [1.0, 0.0], "b": [0.5, 0.5]}) == pytest.approx(0.5)


def test_logits_of_another_space_are_refused() -> None:
    logits = Logits(SPACE, seed=1)
    state = logits.state()
    logits.load(state)
    with pytest.raises(SpaceError, match="extra"):
        logits.load({**state, "extra": torch.zeros(2)})
    name = next(iter(state))
    with pytest.raises(SpaceError, match="options stored"):
        logits.load({**state, name: torch.zeros(9)})


def test_mixture_is_normalised_and_leaves_nothing_out() -> None:
    weights = softmax(SPACE, Logits(SPACE, seed=2), some_rng())
    assert weights.active == {}
    for name, values in weights.values.items():
        if not name.endswith("/exit"):
            assert float(values.detach().sum()) == pytest.approx(1.0, abs=1e-6), name
    for module in SPACE.modules:
        assert len(weights.values[f"{module}/end"]) == len(SPACE.ends(module))


def test_sample_computes_one_path_and_one_cell_with_coefficient_exactly_one() -> None:
    logits = Logits(SPACE, seed=2)
    weights = gumbel(SPACE, logits, some_rng(5), 1.0)
    for module in SPACE.modules:
        node = SPACE.trellis(module).start
        alive = set()
        for layer in range(SPACE.trellis(module).layers):
            name = SPACE.exit_name(module, layer, node)
            (index,) = weights.active[name]
            assert weights.values[name][index].item() == 1.0
            alive.add(name)
            option = SPACE.exits(module, layer, node)[index]
            node = SPACE.trellis(module).target(node, option)
        assert weights.active[f"{module}/end"] == (SPACE.ends(module).index(node),)
        dead = [n for n in weights.active if n.startswith(f"{module}/layer") and n not in alive]
        assert dead
        assert all(weights.active[n] == () for n in dead)
        for cell_node in range(SPACE.cell.nodes):
            (kept,) = weights.active[f"{module}/cell/node{cell_node}/inputs"]
            sources = SPACE.cell_inputs(module, cell_node)[kept].split("+")
            for source in SPACE.cell_sources(module, cell_node):
                chosen = weights.active[f"{module}/cell/node{cell_node}/{source}/op"]
                assert len(chosen) == (1 if source in sources else 0)


def test_sampled_gradient_reaches_the_drawn_decisions_only() -> None:
    logits = Logits(SPACE, seed=2)
    weights = gumbel(SPACE, logits, some_rng(5), 1.0)
    used = [weights.values[n][i] for n, kept in weights.active.items() for i in kept]
    torch.stack(used).sum().backward()
    for name, vector in logits.vectors.items():
        if name.endswith("/op"):
            drawn = len(weights.active[name]) == 1
            assert (vector.grad is not None and bool(vector.grad.abs().sum() > 0)) == drawn


def test_paths_are_sampled_equally_often_at_uniform_logits() -> None:
    logits = Logits(SPACE, seed=0)
    for vector in logits.parameters():
        vector.data.zero_()
    rng = some_rng(1)
    seen: Counter[tuple[tuple[str, tuple[int, ...]], ...]] = Counter()
    for _ in range(300):
        weights = gumbel(SPACE, logits, rng, 1.0)
        seen[
            tuple(
                (
                    SPACE.exit_name("sr", layer, node),
                    weights.active[SPACE.exit_name("sr", layer, node)],
                )
                for layer in range(3)
                for node in SPACE.nodes("sr", layer)
            )
        ] += 1
    count = len(list(SPACE.sr_trellis.paths()))
    assert len(seen) == count
    expected = 300 / count
    chi2 = sum((n - expected) ** 2 / expected for n in seen.values())
    assert chi2 < 3 * count


def test_low_temperature_does_not_change_what_is_sampled() -> None:
    logits = Logits(SPACE, seed=2)
    warm = gumbel(SPACE, logits, some_rng(5), 5.0)
    cold = gumbel(SPACE, logits, some_rng(5), 0.1)
    assert warm.active == cold.active
