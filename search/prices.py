"""What every option costs in parameters, counted on one supernet that is never allocated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from models.fusion import Weighting
from models.network import FaceSR
from models.operations import Mixed
from models.size import count
from models.space import FRAME, Decision, Space, SpaceError
from models.trellis import EndMixer, TrellisNet

Node = tuple[int, int]
"""(layer, level or depth)."""


@dataclass(frozen=True)
class ModulePrices:
    """Parameters of the pieces of one trellis.

    edges: (layer, node, transition) -> the edge's convolutions;
    operations: cell node -> operation decision -> its parameters, option by option;
    ends: end level -> the convolutions that take the trellis' output elsewhere.
    """

    edges: Mapping[tuple[int, int, str], int]
    operations: Mapping[Node, Mapping[str, tuple[int, ...]]]
    ends: Mapping[int, int]


@dataclass(frozen=True)
class Prices:
    """A genotype's size = `fixed` + its pieces in every module + its `single` options.

    single: of the weighting and of every decision of the frame, option -> parameters.
    """

    fixed: int
    modules: Mapping[str, ModulePrices]
    single: Mapping[str, Mapping[str, int]]


@lru_cache(maxsize=8)
def prices_of(space: Space) -> Prices:
    """Prices of a space: its supernet is built on the meta device, its pieces are counted.

    Raises SpaceError while `sr/use` is open: with and without an SR trellis, pieces differ.
    """
    if len(space.framed("sr/use")) > 1:
        raise SpaceError("prices differ with and without an SR trellis: restrict 'sr/use' first")
    with torch.device("meta"):
        net = FaceSR(space)
        weighting = _weighting_prices(space)
    modules = {m: _module_prices(space, m, net) for m in space.modules}
    pieces = sum(_sum_of(prices) for prices in modules.values())
    single = {d.name: dict.fromkeys(d.options, 0) for d in singles(space)}
    if "tail/kind" in single:
        single["tail/kind"] = {k: sum(map(_size, net.tail.parts(k))) for k in net.tail.kinds}
        pieces += sum(single["tail/kind"].values())
    if "passes" in single:
        again = _size(net.feedback) if space.passes > 1 else 0
        single["passes"] = {o: 0 if o == "1" else again for o in single["passes"]}
        pieces += again
    if space.priors:
        single["fusion/weighting"] = weighting
        pieces += _size(net.fusion.weighting)
    return Prices(count(net).total - pieces, modules, single)


def singles(space: Space) -> list[Decision]:
    """Decisions that belong to no trellis or cell: the weighting, the frame but for `sr/use`."""
    names = {*FRAME, "fusion/weighting"} - {"sr/use"}
    return [d for d in space.decisions() if d.name in names]


def trellis_of(net: FaceSR, module: str) -> TrellisNet:
    """The trellis of a module: of sr, of a prior's branch or of the fusion."""
    path = {"sr": "sr", "fusion": "fusion.trellis"}.get(module, f"branches.{module}.trellis")
    part = net.get_submodule(path)
    assert isinstance(part, TrellisNet)
    return part


def _module_prices(space: Space, module: str, net: FaceSR) -> ModulePrices:
    trellis = trellis_of(net, module)
    edges: dict[tuple[int, int, str], int] = {}
    operations: dict[Node, dict[str, tuple[int, ...]]] = {}
    for layer in range(trellis.layers):
        for node in space.nodes(module, layer):
            for transition in space.exits(module, layer, node):
                edge = trellis.edges[f"layer{layer}_{node}_{transition}"]
                edges[layer, node, transition] = _size(edge)
        for node in space.nodes(module, layer + 1):
            cell = trellis.cells[f"layer{layer + 1}_{node}"]
            mixed = [part for part in cell.modules() if isinstance(part, Mixed)]
            operations[layer + 1, node] = {
                part.name: tuple(_size(part.options[o]) for o in part.operations) for part in mixed
            }
    mixers = [m for m in net.modules() if isinstance(m, EndMixer) and m.name == f"{module}/end"]
    ends = {
        end: sum(_size(mixer.convs[str(end)]) for mixer in mixers) for end in space.ends(module)
    }
    return ModulePrices(edges, operations, ends)


def _weighting_prices(space: Space) -> dict[str, int]:
    if not space.priors:
        return {}
    channels = space.filters("fusion", space.fusion_trellis.start)
    return {
        option: _size(Weighting((option,), len(space.priors), channels))
        for option in space.open_weightings()
    }


def _sum_of(prices: ModulePrices) -> int:
    cells = sum(sum(map(sum, cell.values())) for cell in prices.operations.values())
    return sum(prices.edges.values()) + cells + sum(prices.ends.values())


def _size(module: nn.Module) -> int:
    return count(module).total
