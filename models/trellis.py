"""A searched trellis of cells: one class for the supernet and for the derived path."""

from __future__ import annotations

from torch import Tensor, nn

from models.blocks import resample
from models.cell import Cell
from models.mixing import MixWeights, coefficients, scaled, total
from models.space import Space

State = tuple[Tensor, Tensor]
"""What a cell hands on: its output and its mixed input (the next cell's two-back input)."""


class TrellisEdge(nn.Module):
    """One trellis edge: 1x1 convolutions to the target's filters, resampled by 1, 2 or 1/2."""

    def __init__(self, source: int, mixed: int, target: int, transition: str) -> None:
        super().__init__()
        self.output = nn.Conv2d(source, target, 1)
        self.mixed = nn.Conv2d(mixed, target, 1)
        self.transition = transition

    def forward(self, state: State) -> State:
        return self._move(state[0], self.output), self._move(state[1], self.mixed)

    def _move(self, x: Tensor, conv: nn.Module) -> Tensor:
        # bilinear resampling and 1x1 convolutions commute: convolve on the coarser grid
        if self.transition == "down":
            return conv(resample(x, 0.5))
        return resample(conv(x), 2.0 if self.transition == "up" else 1.0)


class TrellisNet(nn.Module):
    """Features (B,F_start,h,w) on the start's grid -> {end level: (B,nodes*F_end,h',w')}.

    Every incoming state of a node is mixed first, then its cell runs once.
    """

    def __init__(self, space: Space, module: str) -> None:
        super().__init__()
        self.space = space
        self.module = module
        self.layers = space.trellis(module).layers
        self.edges = nn.ModuleDict()
        self.cells = nn.ModuleDict()
        for layer in range(self.layers):
            for node in space.nodes(module, layer):
                for transition in space.exits(module, layer, node):
                    key = _edge_key(layer, node, transition)
                    self.edges[key] = self._edge(layer, node, transition)
            for node in space.nodes(module, layer + 1):
                filters = space.filters(module, node)
                self.cells[f"layer{layer + 1}_{node}"] = Cell(space, module, filters)

    def _edge(self, layer: int, node: int, transition: str) -> TrellisEdge:
        space, module = self.space, self.module
        mixed = space.filters(module, node)
        source = mixed if layer == 0 else space.cell.nodes * mixed
        target = space.filters(module, space.trellis(module).target(node, transition))
        return TrellisEdge(source, mixed, target, transition)

    def forward(self, x: Tensor, weights: MixWeights | None = None) -> dict[int, Tensor]:
        states: dict[int, State] = {self.space.trellis(self.module).start: (x, x)}
        for layer in range(self.layers):
            arriving = self._arriving(layer, states, weights)
            states = {}
            for node, (outputs, mixed) in arriving.items():
                s1, s0 = total(outputs), total(mixed)
                cell = self.cells[f"layer{layer + 1}_{node}"]
                states[node] = (cell(s0, s1, weights), s1)
        return {node: output for node, (output, _) in states.items()}

    def _arriving(
        self, layer: int, states: dict[int, State], weights: MixWeights | None
    ) -> dict[int, tuple[list[Tensor], list[Tensor]]]:
        """Per target node, the weighted states of the edges that lead to it."""
        arriving: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        trellis = self.space.trellis(self.module)
        for node, state in states.items():
            name = self.space.exit_name(self.module, layer, node)
            exits = self.space.exits(self.module, layer, node)
            for transition, coefficient in coefficients(name, exits, weights):
                moved = self.edges[_edge_key(layer, node, transition)](state)
                outputs, mixed = arriving.setdefault(trellis.target(node, transition), ([], []))
                outputs.append(scaled(moved[0], coefficient))
                mixed.append(scaled(moved[1], coefficient))
        return arriving


def _edge_key(layer: int, node: int, transition: str) -> str:
    return f"layer{layer}_{node}_{transition}"


class EndMixer(nn.Module):
    """One 1x1 convolution per open end of a trellis, mixed by the weights of the ends."""

    def __init__(self, space: Space, module: str, channels_in: dict[int, int], out: int) -> None:
        super().__init__()
        self.name = f"{module}/end"
        self.ends = tuple(str(end) for end in space.ends(module))
        self.convs = nn.ModuleDict(
            {str(end): nn.Conv2d(channels, out, 1) for end, channels in channels_in.items()}
        )

    def forward(self, features: dict[int, Tensor], weights: MixWeights | None) -> Tensor:
        terms = []
        for end, coefficient in coefficients(self.name, self.ends, weights):
            if int(end) in features:
                terms.append(scaled(self.convs[end](features[int(end)]), coefficient))
        return total(terms)
