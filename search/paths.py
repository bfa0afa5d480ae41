"""Probabilities of whole paths through a trellis, from the probabilities of its exits.

A plain softmax over the exits of every node prefers paths along the border, whose nodes have
fewer exits. The exits rule gives an exit of a node with k exits the weight ``softmax * k / 3``:
at uniform logits every exit of the trellis then weighs 1/3, and all paths are equally likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.space import TRANSITIONS, Space


@dataclass(frozen=True)
class Exits:
    """The open exits of one trellis node: decision name, options and where each leads."""

    name: str
    layer: int
    node: int
    options: tuple[str, ...]
    targets: tuple[int, ...]

    @property
    def factor(self) -> float:
        """k / 3 of the exits rule."""
        return len(self.options) / len(TRANSITIONS)


def exits_of(space: Space, module: str) -> tuple[Exits, ...]:
    """Every node with exits in the module's trellis, layer by layer from the start node."""
    trellis = space.trellis(module)
    found = []
    for layer in range(trellis.layers):
        for node in space.nodes(module, layer):
            options = space.exits(module, layer, node)
            targets = tuple(trellis.target(node, option) for option in options)
            name = space.exit_name(module, layer, node)
            found.append(Exits(name, layer, node, options, targets))
    return tuple(found)


def edge_weights(space: Space, module: str, probabilities: Mapping[str, Tensor]) -> Tensor:
    """Weights w of the exits rule, (layers, levels, levels): [L, a, b] from node a of layer L to b.

    probabilities: softmax of each exit decision by name, each (k,); a decision that is missing
        must have one open option. Edges that do not exist weigh 0. Differentiable.
    """
    trellis = space.trellis(module)
    indices: list[tuple[int, int, int]] = []
    weights: list[Tensor] = []
    for exits in exits_of(space, module):
        indices += [(exits.layer, exits.node, target) for target in exits.targets]
        weights.append(_of(probabilities, exits) * exits.factor)
    flat = torch.cat(weights)
    where = tuple(torch.tensor(index, device=flat.device) for index in zip(*indices, strict=True))
    empty = flat.new_zeros(trellis.layers, trellis.levels, trellis.levels)
    return empty.index_put(where, flat)


def exit_chances(weights: Tensor) -> Tensor:
    """Markov chain q(b | layer L, a) of the path distribution P(path) ~ product of its weights.

    weights: (layers, levels, levels) of `edge_weights`; the answer has the same shape, its rows
    sum to 1 where a node has exits and to 0 elsewhere. Exact, by backward messages:
    q = w(a, b) m(b) / sum over b' of w(a, b') m(b').
    """
    message = torch.ones_like(weights[0, 0])
    tiny = torch.finfo(weights.dtype).tiny
    rows: list[Tensor] = []
    for layer in reversed(range(len(weights))):
        through = weights[layer] * message
        message = through.sum(dim=1)
        rows.append(through / message.clamp_min(tiny).unsqueeze(1))
    return torch.stack(rows[::-1])


def node_chances(chances: Tensor, start: int) -> Tensor:
    """Chance that a path visits each node, (layers + 1, levels); row 0 is the start node.

    The last row is the distribution of the end. chances: `exit_chances`.
    """
    at = torch.zeros_like(chances[0, 0])
    at[start] = 1.0
    rows = [at]
    for layer in chances:
        rows.append(rows[-1] @ layer)
    return torch.stack(rows)


def incoming_shares(weights: Tensor) -> Tensor:
    """Weights divided by the sum that arrives at their target node, (layers, levels, levels).

    The coefficients of the full mixture: they sum to 1 over the incoming edges of every node that
    can be reached, and a one-hot stays a one-hot.
    """
    arriving = weights.sum(dim=1, keepdim=True)
    return weights / arriving.clamp_min(torch.finfo(weights.dtype).tiny)


def exit_rows(space: Space, module: str, table: Tensor) -> dict[str, Tensor]:
    """Entries of a (layers, levels, levels) table by decision name, in the order of its options."""
    return {
        exits.name: table[exits.layer, exits.node, list(exits.targets)]
        for exits in exits_of(space, module)
    }


def _of(probabilities: Mapping[str, Tensor], exits: Exits) -> Tensor:
    found = probabilities.get(exits.name)
    if found is not None:
        return found
    if len(exits.options) > 1:
        raise KeyError(f"no probabilities for {exits.name}")
    like = next(iter(probabilities.values()), torch.ones(1))
    return like.new_ones(1)
