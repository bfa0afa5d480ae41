"""The search space as data: decisions, trellises, cells, widths. No torch here.

A `Space` lists named decisions; `restrict` keeps some of their options and returns a `Space`
again, so a genotype is nothing but a space with one option left per decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from models.decisions import (
    OPERATION_SETS,
    TRANSITIONS,
    CellSpace,
    Decision,
    FrameSpace,
    SpaceError,
    Trellis,
    checked_fields,
)

__all__ = [
    "CAP",
    "OPERATION_SETS",
    "PRIORS",
    "PRIOR_CHANNELS",
    "TRANSITIONS",
    "CellSpace",
    "Decision",
    "FrameSpace",
    "Space",
    "SpaceError",
    "Trellis",
    "Width",
]

CAP = 2_276_355
"""Most parameters (learned buffers included) that any network of this project may have."""

PRIORS = ("parse", "heat", "dict")
PRIOR_CHANNELS: dict[str, int] = {"parse": 12, "heat": 26, "dict": 9}
"""Maps per prior: parse regions, landmark heatmaps, expected code (8) and its confidence (1)."""

WEIGHTINGS = ("none", "gate", "attention")
NORMS = ("none", "batch")
SCALES = (1, 2, 4, 8)
FRAME = {
    "sr/use": "sr",
    "join/after": "join",
    "tail/kind": "tail",
    "tail/slope": "slope",
    "skip/kind": "skip",
    "passes": "passes",
}
"""Decisions of the frame, each with the field of `FrameSpace` that holds its options."""


@dataclass(frozen=True)
class Width:
    """Channel counts. `sr` halves per level up, `prior` and `fusion` double per depth down.

    Dense blocks: `blocks` before the published place of the SR trellis, `blocks + extra` after it.
    """

    channels: int = 64
    growth: int = 27
    blocks: int = 3
    extra: int = 0
    sr: int = 32
    prior: int = 6
    fusion: int = 8
    tail: tuple[int, int, int] = (48, 32, 16)


@dataclass(frozen=True)
class Space:
    """Everything a network is, with the options that are still open.

    With priors it is MFPSNet (`passes` 2: restore, then restore again with the fused priors),
    without them FRSNet (one pass); `frame` has more. Names of decisions:
    ``<module>/layer<L>/level<V>/exit`` ('depth' for all modules but sr),
    ``<module>/cell/node<N>/inputs``, ``<module>/cell/node<N>/<source>/op``, ``fusion/weighting``,
    and those of `FRAME`, which are decisions only where the frame has several options.
    """

    scale: int = 4
    priors: tuple[str, ...] = PRIORS
    sr_trellis: Trellis = field(default_factory=lambda: Trellis(axis="level"))
    prior_trellis: Trellis = field(default_factory=Trellis)
    fusion_trellis: Trellis = field(default_factory=Trellis)
    cell: CellSpace = field(default_factory=CellSpace)
    frame: FrameSpace = field(default_factory=FrameSpace)
    width: Width = field(default_factory=Width)
    weightings: tuple[str, ...] = WEIGHTINGS
    norm: str = "none"
    student_size: int = 128
    chosen: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise SpaceError(f"scale {self.scale}: one of {SCALES}")
        if unknown := [p for p in self.priors if p not in PRIORS]:
            raise SpaceError(f"unknown priors {unknown}: choose from {PRIORS}")
        if len(set(self.priors)) != len(self.priors):
            raise SpaceError(f"priors named twice: {self.priors}")
        canonical = tuple(p for p in PRIORS if p in self.priors)
        object.__setattr__(self, "priors", canonical)
        if self.norm not in NORMS:
            raise SpaceError(f"norm {self.norm!r}: one of {NORMS}")
        if self.sr_trellis.axis != "level" or "level" in (
            self.prior_trellis.axis,
            self.fusion_trellis.axis,
        ):
            raise SpaceError("the SR trellis climbs levels, all others descend depths")
        if any(int(place) > self.blocks for place in self.frame.join):
            raise SpaceError(f"frame.join: {self.frame.join}, of {self.blocks} dense blocks in all")

    @property
    def blocks(self) -> int:
        """Dense blocks of the whole body."""
        return 2 * self.width.blocks + self.width.extra

    @property
    def passes(self) -> int:
        """Restorations of one LQ; the most that are still open."""
        return max(map(int, self.framed("passes"))) if self.priors else 1

    @property
    def modules(self) -> tuple[str, ...]:
        """The trellises of this space: sr, one per prior, and fusion where there are priors."""
        sr = ("sr",) if "trellis" in self.framed("sr/use") else ()
        return (*sr, *self.priors, "fusion") if self.priors else sr

    def framed(self, name: str) -> tuple[str, ...]:
        """Options still open of a decision of `FRAME`."""
        options = getattr(self.frame, FRAME[name]) or (str(self.width.blocks),)
        return self._open(name, options)

    def trellis(self, module: str) -> Trellis:
        by_kind = {"sr": self.sr_trellis, "fusion": self.fusion_trellis}
        return by_kind.get(module, self.prior_trellis)

    def filters(self, module: str, node: int) -> int:
        """Channels of each cell node of `module` at a level or depth."""
        if module == "sr":
            return max(self.width.sr >> node, 1)
        return (self.width.fusion if module == "fusion" else self.width.prior) << node

    def exit_name(self, module: str, layer: int, node: int) -> str:
        return f"{module}/layer{layer}/{self.trellis(module).axis}{node}/exit"

    def exits(self, module: str, layer: int, node: int) -> tuple[str, ...]:
        """Transitions still open at a trellis node."""
        return self._open(self.exit_name(module, layer, node), self.trellis(module).exits(node))

    def nodes(self, module: str, layer: int) -> tuple[int, ...]:
        """Levels (depths) still reachable in a layer; layer 0 is the start, the last the end."""
        trellis = self.trellis(module)
        nodes = {trellis.start}
        for below in range(layer):
            nodes = {trellis.target(n, t) for n in nodes for t in self.exits(module, below, n)}
        return tuple(sorted(nodes))

    def ends(self, module: str) -> tuple[int, ...]:
        """Levels (depths) where the module's trellis may still end."""
        return self.nodes(module, self.trellis(module).layers)

    def path(self, module: str) -> tuple[int, ...]:
        """Level (depth) of every cell along the one path left."""
        layers = [self.nodes(module, i + 1) for i in range(self.trellis(module).layers)]
        if any(len(nodes) > 1 for nodes in layers):
            raise SpaceError(f"{module} still has several paths: restrict the space first")
        return tuple(nodes[0] for nodes in layers)

    def cell_inputs(self, module: str, node: int) -> tuple[str, ...]:
        """Sets of inputs still open for a cell node, each like 's0+n1'."""
        return self._open(f"{module}/cell/node{node}/inputs", self.cell.input_options(node))

    def cell_sources(self, module: str, node: int) -> tuple[str, ...]:
        """Inputs of a cell node that some open option still keeps."""
        kept = {s for option in self.cell_inputs(module, node) for s in option.split("+")}
        return tuple(s for s in self.cell.sources(node) if s in kept)

    def cell_operations(self, module: str, node: int, source: str) -> tuple[str, ...]:
        """Operations still open on one edge of the cell."""
        return self._open(f"{module}/cell/node{node}/{source}/op", self.cell.operations)

    def open_weightings(self) -> tuple[str, ...]:
        return self._open("fusion/weighting", self.weightings)

    def decisions(self) -> tuple[Decision, ...]:
        """Decisions that some open choice still reaches, those with one option left included."""
        modules = (d for module in self.modules for d in self._module_decisions(module))
        return (*self._frame_decisions(), *modules)

    def _frame_decisions(self) -> Iterator[Decision]:
        reached = {"passes": bool(self.priors), "join/after": bool(self.modules)}
        for name, key in FRAME.items():
            if len(getattr(self.frame, key)) > 1 and reached.get(name, True):
                yield Decision(name, self.framed(name))

    def _module_decisions(self, module: str) -> Iterator[Decision]:
        for layer in range(self.trellis(module).layers):
            for node in self.nodes(module, layer):
                name = self.exit_name(module, layer, node)
                yield Decision(name, self.exits(module, layer, node))
        for node in range(self.cell.nodes):
            yield Decision(f"{module}/cell/node{node}/inputs", self.cell_inputs(module, node))
            for source in self.cell_sources(module, node):
                options = self.cell_operations(module, node, source)
                yield Decision(f"{module}/cell/node{node}/{source}/op", options)
        if module == "fusion":
            yield Decision("fusion/weighting", self.open_weightings())

    def _open(self, name: str, options: tuple[str, ...]) -> tuple[str, ...]:
        for known, kept in self.chosen:
            if known == name:
                return kept
        return options

    def restrict(self, choices: Mapping[str, str | Sequence[str]]) -> Space:
        """The space with fewer options; decisions no longer reached drop out.

        Raises SpaceError for a decision this space does not have or an option not open in it.
        """
        open_now = {d.name: d.options for d in self.decisions()}
        kept = dict(self.chosen)
        for name, wanted in choices.items():
            if name not in open_now:
                raise SpaceError(f"no decision {name!r} in this space")
            names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
            bad = [n for n in names if n not in open_now[name]]
            if bad or not names:
                raise SpaceError(f"{name}: {bad or 'nothing'} chosen, open are {open_now[name]}")
            kept[name] = tuple(o for o in open_now[name] if o in names)
        narrowed = replace(self, chosen=tuple(kept.items()))
        reached = {d.name for d in narrowed.decisions()}
        every = {d.name: d.options for d in self.opened().decisions()}
        pruned = ((n, o) for n, o in kept.items() if n in reached and o != every[n])
        return replace(self, chosen=tuple(sorted(pruned)))

    @property
    def is_genotype(self) -> bool:
        """True when every decision has one option left."""
        return all(len(d.options) == 1 for d in self.decisions())

    def choices(self) -> dict[str, str]:
        """Decision name to its one option; SpaceError where several are open."""
        several = [d.name for d in self.decisions() if len(d.options) > 1]
        if several:
            raise SpaceError(f"not a genotype, several options are open in {several[:5]}")
        return {d.name: d.options[0] for d in self.decisions()}

    def opened(self) -> Space:
        """The same space with every option open again."""
        return replace(self, chosen=())

    def with_priors(self, priors: Sequence[str]) -> Space:
        """The space with a subset of its priors; the choices of the others are dropped."""
        if extra := [p for p in priors if p not in self.priors]:
            raise SpaceError(f"priors {extra} are not in this space, which has {self.priors}")
        smaller = replace(self, priors=tuple(priors))
        reached = {d.name for d in smaller.decisions()}
        kept = tuple((n, o) for n, o in self.chosen if n in reached)
        return replace(smaller, chosen=kept)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form without the choices (a genotype file keeps those apart)."""
        data = asdict(self)
        del data["chosen"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Space:
        """Inverse of `to_dict`; SpaceError names the key that is wrong.

        Without `frame` and `width.extra`, which older files lack, it is the published frame.
        """
        parts = {
            "sr_trellis": Trellis,
            "prior_trellis": Trellis,
            "fusion_trellis": Trellis,
            "cell": CellSpace,
            "frame": FrameSpace,
            "width": Width,
        }
        if isinstance(data, Mapping):
            data = {"frame": asdict(FrameSpace()), **data}
        values = checked_fields(cls, data, "space", skip=("chosen",))
        for key, part in parts.items():
            if not isinstance(values[key], Mapping):
                raise SpaceError(f"space.{key} must be an object")
            given = {"extra": 0, **values[key]} if part is Width else values[key]
            values[key] = part(**checked_fields(part, given, f"space.{key}"))
        return cls(**values)
