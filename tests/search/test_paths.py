"""The exits rule: paths equally likely at uniform logits, and an exact chain otherwise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from models.space import Space, Trellis
from search.paths import (
    edge_weights,
    exit_chances,
    exit_rows,
    exits_of,
    incoming_shares,
    node_chances,
)

SPACE = Space(
    priors=("heat",),
    sr_trellis=Trellis(layers=4, levels=3, axis="level"),
    prior_trellis=Trellis(layers=3, levels=4, start=1),
    fusion_trellis=Trellis(layers=3, levels=3, transitions=("same", "down")),
)


def random_probabilities(space: Space, module: str, seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {
        e.name: (2 * torch.randn(len(e.options), generator=rng, dtype=torch.float64)).softmax(0)
        for e in exits_of(space, module)
    }


def path_weights(space: Space, module: str, probabilities: dict[str, Tensor]) -> dict:
    """Every path with its unnormalised weight, by walking them all."""
    trellis = space.trellis(module)
    weights = {}
    for path in trellis.paths():
        node, weight = trellis.start, 1.0
        for layer, option in enumerate(path):
            options = space.exits(module, layer, node)
            p = float(probabilities[space.exit_name(module, layer, node)][options.index(option)])
            weight *= p * len(options) / 3
            node = trellis.target(node, option)
        weights[path] = (weight, node)
    return weights


@pytest.mark.parametrize("module", SPACE.modules)
def test_uniform_logits_make_all_paths_equally_likely(module: str) -> None:
    uniform = {
        e.name: torch.full((len(e.options),), 1 / len(e.options), dtype=torch.float64)
        for e in exits_of(SPACE, module)
    }
    chances = exit_chances(edge_weights(SPACE, module, uniform))
    trellis = SPACE.trellis(module)
    paths = list(trellis.paths())
    for path in paths:
        node, chance = trellis.start, 1.0
        for layer, option in enumerate(path):
            after = trellis.target(node, option)
            chance *= float(chances[layer, node, after])
            node = after
        assert chance == pytest.approx(1 / len(paths), rel=1e-12)


@pytest.mark.parametrize("module", SPACE.modules)
def test_chain_and_marginals_equal_the_sum_over_all_paths(module: str) -> None:
    probabilities = random_probabilities(SPACE, module, seed=3)
    chances = exit_chances(edge_weights(SPACE, module, probabilities))
    nodes = node_chances(chances, SPACE.trellis(module).start)
    by_path = path_weights(SPACE, module, probabilities)
    total = sum(weight for weight, _ in by_path.values())
    visits = np.zeros(tuple(nodes.shape))
    trellis = SPACE.trellis(module)
    for path, (weight, _) in by_path.items():
        node, chance = trellis.start, 1.0
        visits[0, node] += weight / total
        for layer, option in enumerate(path):
            after = trellis.target(node, option)
            chance *= float(chances[layer, node, after])
            node = after
            visits[layer + 1, node] += weight / total
        assert chance == pytest.approx(weight / total, rel=1e-9)
    np.testing.assert_allclose(nodes.numpy(), visits, rtol=1e-9, atol=1e-12)


def test_incoming_shares_sum_to_one_at_every_node_that_can_be_reached() -> None:
    weights = edge_weights(SPACE, "sr", random_probabilities(SPACE, "sr", seed=4))
    arriving = incoming_shares(weights).sum(dim=1)
    for layer in range(SPACE.sr_trellis.layers):
        for node in range(SPACE.sr_trellis.levels):
            reached = node in SPACE.nodes("sr", layer + 1)
            assert float(arriving[layer, node]) == pytest.approx(float(reached), abs=1e-12)


def test_every_exit_gets_a_gradient_of_the_end_distribution() -> None:
    probabilities = random_probabilities(SPACE, "heat", seed=5)
    for p in probabilities.values():
        p.requires_grad_()
    nodes = node_chances(exit_chances(edge_weights(SPACE, "heat", probabilities)), 1)
    (nodes[-1] * torch.tensor([1.0, 3.0, 2.0, 7.0])).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in probabilities.values())


def test_rows_follow_the_order_of_the_options() -> None:
    probabilities = random_probabilities(SPACE, "sr", seed=6)
    rows = exit_rows(SPACE, "sr", edge_weights(SPACE, "sr", probabilities))
    for exits in exits_of(SPACE, "sr"):
        expected = probabilities[exits.name] * len(exits.options) / 3
        torch.testing.assert_close(rows[exits.name], expected)


def test_restricted_space_with_one_exit_left_is_certain() -> None:
    narrowed = SPACE.restrict({"sr/layer0/level0/exit": "up"})
    probabilities = random_probabilities(narrowed, "sr", seed=7)
    del probabilities["sr/layer0/level0/exit"]
    nodes = node_chances(exit_chances(edge_weights(narrowed, "sr", probabilities)), 0)
    assert nodes[1].tolist() == pytest.approx([0.0, 1.0, 0.0])


def test_open_decision_without_probabilities_is_refused() -> None:
    with pytest.raises(KeyError, match="sr/layer0/level0/exit"):
        edge_weights(SPACE, "sr", {})


def test_level_counts_at_uniform_follow_the_paths_not_the_borders() -> None:
    uniform = {
        e.name: torch.full((len(e.options),), 1 / len(e.options), dtype=torch.float64)
        for e in exits_of(SPACE, "sr")
    }
    nodes = node_chances(exit_chances(edge_weights(SPACE, "sr", uniform)), 0)
    ends: Counter[int] = Counter()
    for path in SPACE.sr_trellis.paths():
        node = 0
        for option in path:
            node = SPACE.sr_trellis.target(node, option)
        ends[node] += 1
    share = [ends[node] / ends.total() for node in range(3)]
    assert nodes[-1].tolist() == pytest.approx(share, rel=1e-12)
