"""A picture of a genotype: every trellis with its path, its cell, and the probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.space import FRAME, Decision, Space
from search.paths import edge_weights, exit_chances, exits_of, node_chances

COLOURS = (
    "#7a7a7a",
    "#1f77b4",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#ff7f0e",
    "#8c564b",
    "#17becf",
)
PATH_COLOUR = "#c2185b"


def draw_genotype(
    path: Path,
    space: Space,
    choices: Mapping[str, str],
    probabilities: Mapping[str, Sequence[float]],
    title: str,
) -> None:
    """Write a PNG: one row per module with trellis, cell and probabilities of the operations.

    Modules that the genotype leaves out (the SR trellis may be one) have no row; decisions of the
    frame have one together, the last.

    space: the searched space, all options open; choices: the derived genotype; probabilities: by
    decision name over its options.
    """
    derived = space.restrict(choices)
    framed = [d for d in space.decisions() if d.name in FRAME]
    rows = len(derived.modules) + bool(framed)
    figure = Figure(figsize=(15, 3.3 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(rows, 3, squeeze=False, width_ratios=(1.1, 1.2, 1.0))
    if framed:
        draw_frame(axes[-1], framed, derived.choices(), probabilities)
    for row, module in zip(axes, derived.modules, strict=False):
        draw_trellis(row[0], space, derived, module, probabilities)
        draw_cell(row[1], derived, module)
        draw_operations(row[2], space, derived, module, probabilities)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def draw_frame(
    row: Sequence[Axes],
    framed: Sequence[Decision],
    chosen: Mapping[str, str],
    probabilities: Mapping[str, Sequence[float]],
) -> None:
    """Probabilities of the decisions of the frame as bars, on the first axes of a row."""
    axes = row[0]
    labels: list[str] = []
    for decision in framed:
        chances = probabilities.get(decision.name, [1.0] * len(decision.options))
        for option, chance in zip(decision.options, chances, strict=True):
            colour = PATH_COLOUR if chosen.get(decision.name) == option else "#bbbbbb"
            axes.barh(len(labels), chance, color=colour)
            labels.append(f"{decision.name} {option}")
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_title("frame: probabilities, the chosen ones coloured", fontsize=10)
    for empty in row[1:]:
        empty.axis("off")


def draw_trellis(
    axes: Axes,
    space: Space,
    derived: Space,
    module: str,
    probabilities: Mapping[str, Sequence[float]],
) -> None:
    """Layers x levels: every edge, darker the likelier a path takes it, and the chosen path."""
    trellis = space.trellis(module)
    tensors = {n: torch.tensor(p, dtype=torch.float64) for n, p in probabilities.items()}
    chances = exit_chances(edge_weights(space, module, tensors))
    visits = node_chances(chances, trellis.start)
    for exits in exits_of(space, module):
        for target in exits.targets:
            chance = float(
                visits[exits.layer, exits.node] * chances[exits.layer, exits.node, target]
            )
            axes.plot(
                (exits.layer, exits.layer + 1),
                (exits.node, target),
                color="black",
                linewidth=0.6 + 2.5 * chance,
                alpha=0.15 + 0.75 * chance,
                zorder=1,
            )
    for layer in range(trellis.layers + 1):
        nodes = space.nodes(module, layer)
        axes.scatter([layer] * len(nodes), nodes, s=28, color="black", zorder=2)
    chosen = (trellis.start, *derived.path(module))
    axes.plot(range(len(chosen)), chosen, color=PATH_COLOUR, linewidth=3.5, zorder=3)
    axes.scatter(range(len(chosen)), chosen, s=60, color=PATH_COLOUR, zorder=4)
    axes.set_title(f"{module}: path {'-'.join(map(str, chosen))}", fontsize=10)
    axes.set_xlabel("layer")
    axes.set_ylabel("level (finer up)" if trellis.axis == "level" else "depth (coarser down)")
    axes.set_xticks(range(trellis.layers + 1))
    axes.set_yticks(range(trellis.levels))
    axes.set_ylim(-0.4, trellis.levels - 0.6)
    if trellis.axis == "depth":
        axes.invert_yaxis()


def draw_cell(axes: Axes, derived: Space, module: str) -> None:
    """The cell as a graph from left to right, edges coloured and named by their operation."""
    nodes = derived.cell.nodes
    places = {"s0": (0.0, 0.9), "s1": (0.0, 0.1), "out": (nodes + 1.0, 0.5)}
    places |= {f"n{i}": (i + 1.0, (0.75, 0.2, 0.6)[i % 3]) for i in range(nodes)}
    for node in range(nodes):
        for source in derived.cell_sources(module, node):
            (operation,) = derived.cell_operations(module, node, source)
            colour = _colour(derived.cell.operations, operation)
            _arrow(axes, places[source], places[f"n{node}"], colour, 2.0)
            x = 0.6 * places[source][0] + 0.4 * places[f"n{node}"][0]
            y = 0.6 * places[source][1] + 0.4 * places[f"n{node}"][1]
            axes.text(
                x,
                y,
                operation,
                color=colour,
                fontsize=8,
                ha="center",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
                zorder=4,
            )
        _arrow(axes, places[f"n{node}"], places["out"], "#cccccc", 1.0)
    for name, (x, y) in places.items():
        axes.text(
            x,
            y,
            name,
            ha="center",
            va="center",
            fontsize=9,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "black"},
            zorder=5,
        )
    axes.set_xlim(-0.4, nodes + 1.4)
    axes.set_ylim(-0.1, 1.1)
    axes.set_title("cell (s0 two back, s1 one back)", fontsize=10)
    axes.axis("off")


def draw_operations(
    axes: Axes,
    space: Space,
    derived: Space,
    module: str,
    probabilities: Mapping[str, Sequence[float]],
) -> None:
    """Probabilities of the operations on every edge of the cell; a square marks a chosen one."""
    operations = space.cell.operations
    labels: list[str] = []
    rows: list[Sequence[float]] = []
    marks: list[tuple[int, int]] = []
    chosen = derived.choices()
    for node in range(space.cell.nodes):
        for source in space.cell_sources(module, node):
            name = f"{module}/cell/node{node}/{source}/op"
            if name not in probabilities:
                continue
            if name in chosen:
                marks.append((operations.index(chosen[name]), len(rows)))
            labels.append(f"{source} to n{node}")
            rows.append(probabilities[name])
    axes.set_title("probability of each operation", fontsize=10)
    if not rows:
        axes.axis("off")
        return
    table = np.asarray(rows)
    axes.imshow(table, cmap="Blues", vmin=0.0, vmax=max(float(table.max()), 0.5), aspect="auto")
    for y, row in enumerate(table):
        for x, value in enumerate(row):
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7)
    axes.scatter(
        [x for x, _ in marks],
        [y for _, y in marks],
        s=380,
        marker="s",
        facecolors="none",
        edgecolors=PATH_COLOUR,
        linewidths=1.8,
    )
    axes.set_xticks(range(len(operations)), operations, fontsize=7, rotation=20)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, width: float
) -> None:
    bend = 0.0 if abs(end[0] - start[0]) < 1.5 else 0.18
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "linewidth": width,
            "shrinkA": 11,
            "shrinkB": 11,
            "connectionstyle": f"arc3,rad={bend}",
        },
    )


def _colour(operations: Sequence[str], operation: str) -> str:
    return COLOURS[operations.index(operation) % len(COLOURS)]
