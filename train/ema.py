"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of every floating tensor of `net.state_dict()`; frozen ones are copied.

    The decay of update t (from 1) is min(decay, (1 + t) / (10 + t)), so that short runs are not
    dominated by the initial weights.
    """

    def __init__(self, net: nn.Module, *, decay: float) -> None:
        """Start from the present weights."""
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay {decay}: at least 0 and below 1")
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self._averaged = {name for name, value in net.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move the average towards the present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = net.state_dict()
        averaged = [name for name in now if name in self._averaged]
        copied = [name for name in now if name not in self._averaged]
        if averaged:
            old, new = ([side[name] for name in averaged] for side in (self.average, now))
            torch._foreach_lerp_(old, new, 1.0 - decay)
        if copied:
            old, new = ([side[name] for name in copied] for side in (self.average, now))
            torch._foreach_copy_(old, new)

    @contextmanager
    def applied(self, net: nn.Module) -> Iterator[None]:
        """Let `net` hold the averaged weights inside the block, its own again after it."""
        own = {name: value.detach().clone() for name, value in net.state_dict().items()}
        net.load_state_dict(self.average)
        try:
            yield
        finally:
            net.load_state_dict(own)

    def state(self) -> dict[str, object]:
        """Return what a checkpoint keeps."""
        return {"updates": self.updates, "average": self.average}

    def load(self, updates: int, average: Mapping[str, Tensor]) -> None:
        """Take over a saved state; the names must be the network's."""
        if set(average) != set(self.average):
            odd = sorted(set(average) ^ set(self.average))
            raise ValueError(f"the saved average has other tensors: {', '.join(odd[:8])}")
        self.updates = updates
        for name, value in average.items():
            self.average[name].copy_(value)
