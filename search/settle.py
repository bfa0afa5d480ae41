"""What a search did not decide goes to the option that computes least.

Logits wander off in noise too, so the likeliest option alone says little. A decision counts as
made where the gradients of some option's logit kept asking for more of it: mean below 0 by at
least `STANDARD_ERRORS` standard errors. Every other decision is settled by cost: an option that
was not shown to help is not paid for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch

from models.macs import count_macs
from models.operations import build_operation
from models.space import Decision, Space

STANDARD_ERRORS = 2.0
STEP = 1e-3
"""Probability of an undecided option over that of the next cheaper one. Not 0: under the cap the
cheaper one in multiply-accumulates may be the larger one in parameters."""
EXITS = ("down", "same", "up")
"""Transitions by the size of the grid that they lead to, smallest first."""
PROBE_CHANNELS, PROBE_SIDE = 8, 16

Agreement = Mapping[str, Sequence[float]]


def undecided(space: Space, agreement: Agreement) -> list[Decision]:
    """The open decisions of which no option was asked for.

    agreement: decision name -> t of the gradient of every logit (`GradientSignal.each`); a
    decision that is missing was never asked about.
    """
    return [
        d
        for d in space.decisions()
        if len(d.options) > 1 and min(agreement.get(d.name, (0.0,))) > -STANDARD_ERRORS
    ]


def settled(
    space: Space, probabilities: Mapping[str, Sequence[float]], agreement: Agreement
) -> dict[str, list[float]]:
    """The probabilities, those of undecided decisions replaced: the cheaper, the likelier."""
    out = {name: list(chances) for name, chances in probabilities.items()}
    for decision in undecided(space, agreement):
        order = by_cost(decision)
        weights = [STEP ** order.index(option) for option in decision.options]
        out[decision.name] = [weight / sum(weights) for weight in weights]
    return out


def by_cost(decision: Decision) -> list[str]:
    """The options of a decision, the one that computes least first.

    Options of the frame and the weighting are declared in that order; what costs the same (inputs,
    where to join, slope) stays in the order of declaration, the plain stack's option first.
    """
    if decision.name.endswith("/exit"):
        return sorted(decision.options, key=EXITS.index)
    if decision.name.endswith("/op"):
        return sorted(decision.options, key=operation_macs)
    return list(decision.options)


@cache
def operation_macs(name: str) -> int:
    """Multiply-accumulates of an operation on a small probe; only comparisons mean something."""
    operation = build_operation(name, PROBE_CHANNELS).to("meta")
    probe = torch.nn.Sequential(torch.nn.Conv2d(3, PROBE_CHANNELS, 1, device="meta"), operation)
    return count_macs(probe, PROBE_SIDE)
