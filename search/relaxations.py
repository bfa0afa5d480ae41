"""Relaxations: functions from logits to the coefficients of a supernet.

`softmax` computes every option (for small networks and GPUs); `gumbel` computes one sampled path
and cell per step, with straight-through gradients (for CPUs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from models.mixing import MixWeights
from models.space import FRAME, Space
from search.logits import Logits
from search.paths import (
    edge_weights,
    exit_chances,
    exit_rows,
    incoming_shares,
    node_chances,
)

Relaxation = Callable[[Space, Logits, np.random.Generator, float], MixWeights]
"""(space, logits, randomness of this step, temperature) -> coefficients."""


def softmax(
    space: Space, logits: Logits, rng: np.random.Generator, temperature: float = 1.0
) -> MixWeights:
    """Every open option at once: the full mixture (DARTS; the exits rule on trellises).

    All decisions but exits take their softmax. An edge of a trellis takes its weight over the
    sum that arrives at its target; ends take the chance that a path ends there.
    `rng` is not used. Nothing is random, nothing is left out.
    """
    probabilities = {n: (v / temperature).softmax(dim=0) for n, v in logits.vectors.items()}
    values = {n: p for n, p in probabilities.items() if not n.endswith("/exit")}
    for module in space.modules:
        weights = edge_weights(space, module, probabilities)
        values.update(exit_rows(space, module, incoming_shares(weights)))
        nodes = node_chances(exit_chances(weights), space.trellis(module).start)
        values[f"{module}/end"] = nodes[-1, list(space.ends(module))]
    return MixWeights(values, {})


def gumbel(
    space: Space, logits: Logits, rng: np.random.Generator, temperature: float = 1.0
) -> MixWeights:
    """One frame, one path per trellis and one cell per module, sampled; only these are computed.

    Exits are drawn from the exact chain of the path distribution, so a path is sampled with its
    probability under the exits rule. Coefficients are exactly 1; their gradient is that of the
    Gumbel softmax at `temperature` (straight-through: Jang et al. 2017, eq. 2; Dong & Yang 2019).
    Decisions that the sample does not reach are not drawn and get no gradient from their own
    option, so they stay where they are.
    """
    draw = _Draw(logits, rng, temperature)
    probabilities = logits.probabilities()
    drawn = {d.name: draw.decide(d.name, d.options) for d in space.decisions() if d.name in FRAME}
    for module in space.modules:
        if module == "sr" and drawn.get("sr/use") == "none":
            draw.leave_out("sr/end", len(space.ends("sr")))
            continue
        _sample_path(space, module, probabilities, draw)
        _sample_cell(space, module, draw)
    if "fusion" in space.modules:
        draw.decide("fusion/weighting", space.open_weightings())
    for decision in space.decisions():
        draw.leave_out(decision.name, len(decision.options))
    return MixWeights(draw.values, draw.active)


STRATEGIES: dict[str, Relaxation] = {"darts": softmax, "gdas": gumbel}


class _Draw:
    """Collects straight-through one-hots, one decision after the other."""

    def __init__(self, logits: Logits, rng: np.random.Generator, temperature: float) -> None:
        self.logits = logits.vectors
        self.rng = rng
        self.temperature = temperature
        self.values: dict[str, Tensor] = {}
        self.active: dict[str, tuple[int, ...]] = {}

    def decide(self, name: str, options: tuple[str, ...], scores: Tensor | None = None) -> str:
        """Draw one option with chances softmax(scores), by default of the decision's logits."""
        if len(options) == 1:
            self.fix(name, 0, 1)
            return options[0]
        scores = self.logits[name] if scores is None else scores
        noise = torch.from_numpy(self.rng.gumbel(size=len(options))).to(scores)
        soft = ((scores + noise) / self.temperature).softmax(dim=0)
        index = int(soft.argmax())
        hard = torch.zeros_like(soft)
        hard[index] = 1.0
        self.values[name] = hard + (soft - soft.detach())
        self.active[name] = (index,)
        return options[index]

    def fix(self, name: str, index: int, count: int) -> None:
        """Coefficient 1 on one option, without a gradient."""
        self.values[name] = torch.eye(count)[index]
        self.active[name] = (index,)

    def leave_out(self, name: str, count: int) -> None:
        """Mark a decision that nothing in the sample reached."""
        if name not in self.active:
            self.values[name] = torch.zeros(count)
            self.active[name] = ()


def _sample_path(
    space: Space, module: str, probabilities: Mapping[str, Tensor], draw: _Draw
) -> None:
    trellis = space.trellis(module)
    chances = exit_chances(edge_weights(space, module, probabilities))
    rows = exit_rows(space, module, chances)
    node = trellis.start
    for layer in range(trellis.layers):
        name = space.exit_name(module, layer, node)
        scores = rows[name].clamp_min(1e-12).log()
        option = draw.decide(name, space.exits(module, layer, node), scores)
        node = trellis.target(node, option)
    ends = space.ends(module)
    draw.fix(f"{module}/end", ends.index(node), len(ends))


def _sample_cell(space: Space, module: str, draw: _Draw) -> None:
    for node in range(space.cell.nodes):
        inputs = f"{module}/cell/node{node}/inputs"
        kept = draw.decide(inputs, space.cell_inputs(module, node))
        for source in kept.split("+"):
            operations = space.cell_operations(module, node, source)
            draw.decide(f"{module}/cell/node{node}/{source}/op", operations)
