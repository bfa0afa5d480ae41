"""From probabilities to the most probable genotype under the cap, exactly.

The probability of a genotype is that of its paths under the exits rule (log p + log(k / 3) per
exit) times that of its cells, its weighting and its frame. Its size is a sum too: fixed parts, and
per module the edges of the path, the cell's operations at every level of the path and the end. So
each module has an exact Pareto front of (log-probability, size), and the fronts are merged.

Whether there is an SR trellis is decided before all else: a genotype without one makes fewer
decisions, so probabilities of genotypes with and without one cannot be compared.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product as combinations_of

from models.size import CapError
from models.space import CAP, TRANSITIONS, Decision, Space
from search.fronts import Choices, Front, best_pair, leaf, product, union
from search.prices import ModulePrices, prices_of, singles

Probabilities = Mapping[str, Sequence[float]]
SMALLEST = 1e-30
"""Probabilities are taken to be at least this, so that their logarithm is finite."""


class DeriveError(CapError):
    """No genotype of the space fits under the cap."""


@dataclass(frozen=True)
class Path:
    """One path: its choices, score, size (edges and end), and the trellis nodes of its cells."""

    choices: Choices
    score: float
    size: int
    nodes: tuple[tuple[int, int], ...]


def derive(space: Space, probabilities: Probabilities, cap: int = CAP) -> Choices:
    """The choices of the most probable genotype of at most `cap` parameters and learned buffers.

    A pure function. probabilities: by decision name over its open options (`logits.plain`);
    decisions with one open option may be missing. Raises DeriveError when nothing fits.
    """
    uses = space.framed("sr/use")
    logs = _log(probabilities, "sr/use", uses)
    failed: list[DeriveError] = []
    for _, use in sorted(zip(logs, uses, strict=True), key=lambda pair: -pair[0]):
        try:
            inside = _derive_inside(_with_use(space, use), probabilities, cap)
        except DeriveError as error:
            failed.append(error)
        else:
            several = len(space.frame.sr) > 1
            return {"sr/use": use, **inside} if several else inside
    raise failed[0]


def _with_use(space: Space, use: str) -> Space:
    return space.restrict({"sr/use": use}) if len(space.framed("sr/use")) > 1 else space


def _derive_inside(space: Space, probabilities: Probabilities, cap: int) -> Choices:
    """`derive` in a space that surely has an SR trellis, or surely has none."""
    prices = prices_of(space)
    fronts = [
        module_front(space, module, probabilities, prices.modules[module])
        for module in space.modules
    ]
    fronts += [_single_front(d, probabilities, prices.single[d.name]) for d in singles(space)]
    smallest = sum(int(front.size[0]) for front in fronts) + prices.fixed
    if smallest > cap:
        raise DeriveError(
            f"the smallest network of this space has {smallest:,} parameters, the cap is {cap:,}: "
            "narrow the width"
        )
    return _best(fronts, cap - prices.fixed)


def log_probability(
    space: Space, probabilities: Probabilities, choices: Mapping[str, str]
) -> float:
    """What `derive` maximises: the (unnormalised) log-probability of a genotype of `space`.

    That of `sr/use` is not part of it: it is decided before, by its own probabilities alone.
    """
    chosen = space.restrict(choices).choices()
    open_now = {d.name: d.options for d in space.decisions()}
    total = 0.0
    for name, option in chosen.items():
        options = open_now[name]
        if name == "sr/use":
            continue
        total += _log(probabilities, name, options)[options.index(option)]
        if name.endswith("/exit"):
            total += math.log(len(options) / len(TRANSITIONS))
    return total


def size_of(space: Space, choices: Mapping[str, str]) -> int:
    """Size of a genotype of `space` as the sum of its prices; equals the count of its network."""
    derived = space.restrict(choices)
    space = _with_use(space, derived.framed("sr/use")[0])
    prices = prices_of(space)
    chosen, open_now = derived.choices(), {d.name: d.options for d in space.decisions()}
    total = prices.fixed
    for module in space.modules:
        own = prices.modules[module]
        (path,) = paths_of(derived, module, {}, own)
        total += path.size
        for node in path.nodes:
            for name, by_option in own.operations[node].items():
                if name in chosen:
                    total += by_option[open_now[name].index(chosen[name])]
    return total + sum(prices.single[d.name][chosen[d.name]] for d in singles(space))


def module_front(
    space: Space, module: str, probabilities: Probabilities, prices: ModulePrices
) -> Front:
    """Pareto front of one module: paths with equal prices of operations share a cell front."""
    groups: dict[tuple[tuple[int, ...], ...], list[Path]] = defaultdict(list)
    names = list(next(iter(prices.operations.values())))
    for path in paths_of(space, module, probabilities, prices):
        along = [prices.operations[node] for node in path.nodes]
        summed = tuple(
            tuple(sum(column) for column in zip(*(cell[name] for cell in along), strict=True))
            for name in names
        )
        groups[summed].append(path)
    fronts = []
    for summed, paths in groups.items():
        by_path = leaf(
            [p.score for p in paths], [p.size for p in paths], [p.choices for p in paths]
        )
        by_cell = cell_front(space, module, probabilities, dict(zip(names, summed, strict=True)))
        fronts.append(product(by_path, by_cell, CAP))
    return union(fronts)


def paths_of(
    space: Space, module: str, probabilities: Probabilities, prices: ModulePrices
) -> Iterator[Path]:
    """Every open path of a module, depth first."""
    trellis = space.trellis(module)

    def walk(node: int, path: Path) -> Iterator[Path]:
        layer = len(path.nodes)
        if layer == trellis.layers:
            yield Path(path.choices, path.score, path.size + prices.ends[node], path.nodes)
            return
        name = space.exit_name(module, layer, node)
        options = space.exits(module, layer, node)
        known = name in probabilities or len(options) == 1
        logs = _log(probabilities, name, options) if known else [0.0] * len(options)
        rule = math.log(len(options) / len(TRANSITIONS))
        for option, log in zip(options, logs, strict=True):
            after = trellis.target(node, option)
            yield from walk(
                after,
                Path(
                    {**path.choices, name: option},
                    path.score + log + rule,
                    path.size + prices.edges[layer, node, option],
                    (*path.nodes, (layer + 1, after)),
                ),
            )

    return walk(trellis.start, Path({}, 0.0, 0, ()))


def cell_front(
    space: Space,
    module: str,
    probabilities: Probabilities,
    operation_prices: Mapping[str, Sequence[int]],
) -> Front:
    """Pareto front of a module's cell, given what each operation costs along a whole path."""
    return reduce(
        lambda a, b: product(a, b, CAP),
        (
            _node_front(space, module, node, probabilities, operation_prices)
            for node in range(space.cell.nodes)
        ),
    )


def _node_front(
    space: Space,
    module: str,
    node: int,
    probabilities: Probabilities,
    operation_prices: Mapping[str, Sequence[int]],
) -> Front:
    """Front of one cell node: which inputs it keeps, and the operation on each of these."""
    name = f"{module}/cell/node{node}/inputs"
    options = space.cell_inputs(module, node)
    scores, sizes, choices = [], [], []
    for kept, log in zip(options, _log(probabilities, name, options), strict=True):
        edges = []
        for source in kept.split("+"):
            edge = f"{module}/cell/node{node}/{source}/op"
            operations = space.cell_operations(module, node, source)
            logs = _log(probabilities, edge, operations)
            edges.append(
                [
                    (edge, *option)
                    for option in zip(operations, logs, operation_prices[edge], strict=True)
                ]
            )
        for picked in combinations_of(*edges):
            scores.append(log + sum(edge[2] for edge in picked))
            sizes.append(sum(edge[3] for edge in picked))
            choices.append({name: kept} | {edge[0]: edge[1] for edge in picked})
    return leaf(scores, sizes, choices)


def _single_front(
    decision: Decision, probabilities: Probabilities, prices: Mapping[str, int]
) -> Front:
    """Front of a decision that belongs to no trellis or cell."""
    logs = _log(probabilities, decision.name, decision.options)
    sizes = [prices[option] for option in decision.options]
    return leaf(logs, sizes, [{decision.name: option} for option in decision.options])


def _best(fronts: Sequence[Front], limit: int) -> Choices:
    """Choices of the best sum of one point per front, at most `limit` parameters in all."""
    if sum(int(front.size[-1]) for front in fronts) <= limit:
        chosen = [front.choose(len(front) - 1) for front in fronts]
        return {name: option for part in chosen for name, option in part.items()}
    ordered = sorted(fronts, key=len)
    least = sum(int(front.size[0]) for front in fronts)
    halves: list[Front] = []
    for half in (ordered[0::2], ordered[1::2]):
        spare = limit - least + sum(int(front.size[0]) for front in half)
        halves.append(reduce(lambda a, b: product(a, b, spare), half) if half else _nothing())
    first, second = halves
    pair = best_pair(first, second, limit)
    if pair is None:
        raise DeriveError("no genotype of this space fits under the cap: narrow the width")
    return first.choose(pair[0]) | second.choose(pair[1])


def _nothing() -> Front:
    return leaf([0.0], [0], [{}])


def _log(probabilities: Probabilities, name: str, options: Sequence[str]) -> list[float]:
    values = probabilities.get(name)
    if values is None:
        if len(options) > 1:
            raise KeyError(f"no probabilities for {name}, which has {len(options)} open options")
        return [0.0]
    if len(values) != len(options):
        raise ValueError(f"{name}: {len(values)} probabilities for {len(options)} open options")
    return [math.log(max(value, SMALLEST)) for value in values]
