"""A searched cell: a small DAG whose edges carry operations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.mixing import MixWeights, coefficients, scaled, total
from models.operations import Mixed
from models.space import Space


class Cell(nn.Module):
    """(s0, s1), each (B,F,h,w) -> the nodes concatenated (B,nodes*F,h,w).

    Each node sums its kept inputs over sqrt(inputs kept), so that magnitudes neither grow nor
    vanish along a trellis without normalisation.
    """

    def __init__(self, space: Space, module: str, filters: int) -> None:
        super().__init__()
        self.module = module
        self.inputs = {n: space.cell_inputs(module, n) for n in range(space.cell.nodes)}
        self.scale = 1 / math.sqrt(space.cell.inputs_kept)
        self.edges = nn.ModuleDict()
        for node in self.inputs:
            for source in space.cell_sources(module, node):
                name = f"{module}/cell/node{node}/{source}/op"
                operations = space.cell_operations(module, node, source)
                self.edges[f"node{node}_{source}"] = Mixed(name, operations, filters, space.norm)

    def forward(self, s0: Tensor, s1: Tensor, weights: MixWeights | None = None) -> Tensor:
        states = {"s0": s0, "s1": s1}
        for node, options in self.inputs.items():
            kept = _edge_coefficients(f"{self.module}/cell/node{node}/inputs", options, weights)
            terms = [
                scaled(self.edges[f"node{node}_{source}"](states[source], weights), coefficient)
                for source, coefficient in kept.items()
            ]
            states[f"n{node}"] = self.scale * total(terms)
        return torch.cat([states[f"n{node}"] for node in self.inputs], 1)


def _edge_coefficients(
    name: str, options: tuple[str, ...], weights: MixWeights | None
) -> dict[str, Tensor | None]:
    """Per source, the summed coefficient of the open sets of inputs that keep it."""
    edges: dict[str, Tensor | None] = {}
    for option, coefficient in coefficients(name, options, weights):
        for source in option.split("+"):
            before = edges.get(source)
            if before is None or coefficient is None:
                edges[source] = coefficient
            else:
                edges[source] = before + coefficient
    return edges
