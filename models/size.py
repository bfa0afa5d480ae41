"""How large a network is: built on the meta device and counted, never a second formula."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from models.network import FaceSR
from models.space import CAP, Space

FIT_STEPS = (("extra", 1, 16), ("channels", 16, 256), ("channels", 4, 256), ("growth", 1, 256))
"""What spare parameters go to, in this order, step and most steps: dense blocks, channels in steps
that fill the vector registers of CPUs and GPUs, channels in smaller steps, growth."""


class CapError(ValueError):
    """A network over the cap; the message holds the per-module table."""


@dataclass(frozen=True)
class Count:
    """Trainable or not, every parameter counts; learned buffers (codebooks) are counted apart."""

    parameters: int
    learned_buffers: int

    @property
    def total(self) -> int:
        return self.parameters + self.learned_buffers

    def named(self) -> dict[str, int]:
        """The three numbers by name, as a genotype file keeps them."""
        return {**asdict(self), "total": self.total}


def learned_buffers(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers that were learned from data, as named by `learned_buffers` of their owners."""
    for prefix, module in net.named_modules():
        for name in getattr(module, "learned_buffers", ()):
            yield f"{prefix}.{name}" if prefix else name, getattr(module, name)


def count(net: nn.Module) -> Count:
    """Sizes of a network; tensors shared by several modules count once."""
    buffers = {id(b): b.numel() for _, b in learned_buffers(net)}
    return Count(sum(p.numel() for p in net.parameters()), sum(buffers.values()))


def meta_count(space: Space) -> Count:
    """Sizes of the network of a space, without allocating it."""
    with torch.device("meta"):
        return count(FaceSR(space))


def module_table(net: nn.Module) -> list[tuple[str, int]]:
    """(child module, parameters and learned buffers), the branches of the priors one by one."""
    rows: list[tuple[str, int]] = []
    for name, child in net.named_children():
        parts = child.named_children() if name == "branches" else [(None, child)]
        for part, module in parts:
            rows.append((f"{name}.{part}" if part else name, count(module).total))
    return rows


def format_table(net: nn.Module, cap: int = CAP) -> str:
    """The module table as text, with the total and the cap."""
    size = count(net)
    rows = [*module_table(net), ("total", size.total), ("cap", cap)]
    lines = [f"{name:<24}{number:>12,}" for name, number in rows]
    lines.append(f"({size.parameters:,} parameters, {size.learned_buffers:,} learned buffers)")
    return "\n".join(lines)


def check_cap(net: nn.Module, cap: int = CAP) -> Count:
    """The count; CapError with the per-module table when it is over the cap."""
    if cap > CAP:
        raise CapError(f"--cap {cap:,} is above the challenge's {CAP:,}: it may only lower it")
    size = count(net)
    if size.total > cap:
        raise CapError(
            f"the network has {size.total:,} parameters, the cap is {cap:,}: "
            f"a smaller one is needed\n{format_table(net, cap)}"
        )
    return size


def fit_width(space: Space, cap: int = CAP) -> Space:
    """The largest space under the cap, step by step as in `FIT_STEPS`, choices unchanged.

    Raises CapError when the space is over the cap at its own width.
    """
    if meta_count(space).total > cap:
        raise CapError(f"{meta_count(space).total:,} parameters at the given width, cap {cap:,}")
    for key, step, most in FIT_STEPS:
        space = _widest(space, key, step, most, cap)
    return space


def _widest(space: Space, key: str, step: int, most: int, cap: int) -> Space:
    """The space with one width raised by as many steps as fit, found by doubling and halving."""

    def raised(steps: int) -> Space:
        value = getattr(space.width, key) + steps * step
        return replace(space, width=replace(space.width, **{key: value}))

    def fits(steps: int) -> bool:
        return steps <= most and meta_count(raised(steps)).total <= cap

    done, jump = 0, 1
    while fits(done + jump):
        done, jump = done + jump, 2 * jump
    while jump > 1:
        jump //= 2
        if fits(done + jump):
            done += jump
    return raised(done)
