"""What a search chooses between: decisions, the trellis and the cell as data. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

TRANSITIONS = ("same", "up", "down")
"""Trellis edges by what they do to the resolution: keep it, double it, halve it."""

PAPER_OPERATIONS = ("skip", "conv3", "conv5", "conv7")
OPERATION_SETS: dict[str, tuple[str, ...]] = {
    "paper": PAPER_OPERATIONS,
    "default": (*PAPER_OPERATIONS, "dilated3", "channel_attention"),
}


class SpaceError(ValueError):
    """A space, decision or option that does not exist; the message names it and what does."""


@dataclass(frozen=True)
class Decision:
    """One named question with the options that are still open (in their canonical order)."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Trellis:
    """Layers x levels with edges between neighbours.

    Layer 0 holds only the start node; layers 1..`layers` hold a cell at every reachable node.
    `axis` is "level" (one step of the index up doubles the resolution) or "depth" (halves it).
    """

    layers: int = 6
    levels: int = 4
    start: int = 0
    axis: str = "depth"
    transitions: tuple[str, ...] = TRANSITIONS

    def __post_init__(self) -> None:
        if self.axis not in ("level", "depth"):
            raise SpaceError(f"trellis axis is 'level' or 'depth', not {self.axis!r}")
        if self.layers < 1 or self.levels < 1 or not 0 <= self.start < self.levels:
            raise SpaceError(
                f"trellis needs layers >= 1 and 0 <= start < levels: {self.layers} layers, "
                f"start {self.start}, {self.levels} levels"
            )
        unknown = set(self.transitions) - set(TRANSITIONS)
        if unknown or "same" not in self.transitions:
            raise SpaceError(
                f"transitions {self.transitions}: 'same' is required, {TRANSITIONS} exist"
            )

    def target(self, node: int, transition: str) -> int:
        """Index of the level (or depth) that `transition` leads to from `node`."""
        finer = 1 if self.axis == "level" else -1
        return node + {"same": 0, "up": finer, "down": -finer}[transition]

    def exits(self, node: int) -> tuple[str, ...]:
        """Legal transitions from a node, in canonical order."""
        return tuple(
            t
            for t in TRANSITIONS
            if t in self.transitions and 0 <= self.target(node, t) < self.levels
        )

    def reachable(self, layer: int) -> tuple[int, ...]:
        """Levels that some path can be at in `layer` (0 = the start)."""
        nodes = {self.start}
        for _ in range(layer):
            nodes = {self.target(n, t) for n in nodes for t in self.exits(n)}
        return tuple(sorted(nodes))

    def edges(self, layer: int) -> Iterator[tuple[int, str, int]]:
        """(source level, transition, target level) of the edges from `layer` to `layer` + 1."""
        for node in self.reachable(layer):
            for transition in self.exits(node):
                yield node, transition, self.target(node, transition)

    def paths(self) -> Iterator[tuple[str, ...]]:
        """Every path, as its transitions layer by layer."""

        def walk(node: int, left: int) -> Iterator[tuple[str, ...]]:
            if left == 0:
                yield ()
                return
            for transition in self.exits(node):
                for rest in walk(self.target(node, transition), left - 1):
                    yield (transition, *rest)

        return walk(self.start, self.layers)


@dataclass(frozen=True)
class CellSpace:
    """A cell's DAG: each node keeps `inputs_kept` of (s0 two back, s1 one back, earlier nodes)."""

    nodes: int = 3
    operations: tuple[str, ...] = OPERATION_SETS["default"]
    inputs_kept: int = 2

    def __post_init__(self) -> None:
        if self.nodes < 1 or not self.operations or not 1 <= self.inputs_kept <= 2:
            raise SpaceError(
                "a cell needs at least one node, one operation and 1 or 2 inputs kept, not "
                f"nodes={self.nodes}, operations={self.operations}, inputs_kept={self.inputs_kept}"
            )

    def sources(self, node: int) -> tuple[str, ...]:
        return ("s0", "s1", *(f"n{i}" for i in range(node)))

    def input_options(self, node: int) -> tuple[str, ...]:
        return tuple("+".join(c) for c in combinations(self.sources(node), self.inputs_kept))


FRAME_OPTIONS: dict[str, tuple[str, ...]] = {
    "sr": ("none", "trellis"),
    "tail": ("shuffle", "resize"),
    "slope": ("0.1", "0.2"),
    "skip": ("bilinear", "bicubic"),
    "passes": ("1", "2", "3"),
}
"""Options of the frame, of each decision the one that computes least first."""
PLACES = tuple(str(number) for number in range(513))
"""Numbers of dense blocks that trellis or priors may join after."""


@dataclass(frozen=True)
class FrameSpace:
    """What stands around the trellises and cells; one option each is the published network.

    sr: `trellis`, or `none`: the features stay on the base grid and fused priors join them there.
    join: dense blocks passed before trellis or priors join; () is `Width.blocks`.
    tail: `resize` (enlarge, convolve) or `shuffle` (convolve, pixel-shuffle); slope: of its
    LeakyReLU; skip: the enlarged LQ that is added; passes: restorations of one LQ, if priors.
    """

    sr: tuple[str, ...] = ("trellis",)
    join: tuple[str, ...] = ()
    tail: tuple[str, ...] = ("resize",)
    slope: tuple[str, ...] = ("0.2",)
    skip: tuple[str, ...] = ("bicubic",)
    passes: tuple[str, ...] = ("2",)

    def __post_init__(self) -> None:
        for key, known in FRAME_OPTIONS.items():
            given = getattr(self, key)
            if not given or set(given) - set(known) or len(set(given)) != len(given):
                raise SpaceError(f"frame.{key}: {given}, one or more of {known} expected")
            object.__setattr__(self, key, tuple(o for o in known if o in given))
        if bad := [place for place in self.join if place not in PLACES]:
            raise SpaceError(f"frame.join: {bad[0]!r} is not from '0' to {PLACES[-1]!r}")
        if self.join != tuple(str(n) for n in sorted({int(place) for place in self.join})):
            raise SpaceError(f"frame.join: {self.join} must be numbers of blocks that rise")


def checked_fields(
    cls: type, data: Mapping[str, Any], where: str, skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Keyword arguments of a dataclass from JSON; every key present, known and of its type."""
    if not isinstance(data, Mapping):
        raise SpaceError(f"{where} must be an object, not {type(data).__name__}")
    expected = {f.name: str(f.type) for f in fields(cls) if f.name not in skip}
    for problem, keys in (
        ("unknown", set(data) - set(expected)),
        ("missing", set(expected) - set(data)),
    ):
        if keys:
            raise SpaceError(f"{where}: {problem} key {sorted(keys)[0]!r}")
    values: dict[str, Any] = {}
    for key, kind in expected.items():
        value = data[key]
        if kind == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise SpaceError(f"{where}.{key} must be a whole number >= 0, not {value!r}")
        if kind == "str" and not isinstance(value, str):
            raise SpaceError(f"{where}.{key} must be a string, not {value!r}")
        if kind.startswith("tuple"):
            item = int if "int" in kind else str
            if not isinstance(value, list | tuple) or not all(type(v) is item for v in value):
                raise SpaceError(f"{where}.{key} must be a list of {item.__name__}, not {value!r}")
            value = tuple(value)
        values[key] = value
    return values
