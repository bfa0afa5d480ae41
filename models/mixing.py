"""Coefficients of the open options: what a relaxation hands to a supernet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.space import Space, SpaceError


@dataclass(frozen=True)
class MixWeights:
    """Final coefficients by decision name; the network multiplies, it never normalises.

    values: decision name -> vector over the decision's open options; and for every trellis
        ``<module>/end`` -> vector over `Space.ends(module)`. A name that is missing means
        coefficient 1 for its only option.
    active: decision name -> indices that are computed at all (the others are taken as zero);
        a name that is missing means all of them.
    """

    values: Mapping[str, Tensor]
    active: Mapping[str, tuple[int, ...]]

    def to(self, device: torch.device | str) -> MixWeights:
        """The same on another device, differentiable; one copy there, one back for gradients."""
        device = torch.device(device)
        if all(value.device.type == device.type for value in self.values.values()):
            return self
        flat = torch.cat(list(self.values.values())).to(device)
        parts = flat.split([len(value) for value in self.values.values()])
        return MixWeights(dict(zip(self.values, parts, strict=True)), self.active)

    @classmethod
    def one_hot(cls, space: Space, choices: Mapping[str, str]) -> MixWeights:
        """Weight 1 on `choices` (those of a genotype inside `space`), nothing else computed."""
        derived = space.restrict(choices)
        values: dict[str, Tensor] = {}
        active: dict[str, tuple[int, ...]] = {}
        chosen = derived.choices()
        for decision in space.decisions():
            option = chosen.get(decision.name)
            _put(values, active, decision.name, decision.options, option)
        for module in space.modules:
            ends = tuple(str(e) for e in space.ends(module))
            end = str(derived.ends(module)[0]) if module in derived.modules else None
            _put(values, active, f"{module}/end", ends, end)
        return cls(values, active)


def _put(
    values: dict[str, Tensor],
    active: dict[str, tuple[int, ...]],
    name: str,
    options: tuple[str, ...],
    option: str | None,
) -> None:
    index = None if option is None else options.index(option)
    values[name] = torch.tensor([float(i == index) for i in range(len(options))])
    active[name] = () if index is None else (index,)


def coefficients(
    name: str, options: tuple[str, ...], weights: MixWeights | None
) -> Iterator[tuple[str, Tensor | None]]:
    """The options to compute, each with its coefficient (None stands for exactly 1).

    Raises SpaceError when several options are open and nobody says how to mix them.
    """
    values = None if weights is None else weights.values.get(name)
    if weights is None or values is None:
        if len(options) != 1:
            raise SpaceError(
                f"{name} has {len(options)} open options: restrict the space to a genotype "
                "or pass MixWeights"
            )
        yield options[0], None
        return
    for index in weights.active.get(name, range(len(options))):
        yield options[index], values[index]


def scaled(x: Tensor, coefficient: Tensor | None) -> Tensor:
    return x if coefficient is None else x * coefficient.to(x.dtype)


def total(terms: list[Tensor]) -> Tensor:
    """Sum of at least one tensor, without a needless zero."""
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out
