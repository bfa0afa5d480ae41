"""Whether the gradients of the logits agree with each other, or are noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

FEWEST = 8
"""Gradients that a logit must have had before it counts."""


class GradientSignal:
    """Mean and variance of every logit's gradient over the search.

    Logits that follow pure noise wander away from uniform too, so the distance from uniform alone
    does not say that a search found something. Here it shows: for each logit t = mean / standard
    error of its gradients; the root mean square of t is 1 for noise and grows with the square root
    of the steps where the gradients agree.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = list(lengths)
        size = sum(self._lengths)
        self.count, self.total, self.squares = (
            torch.zeros(size, dtype=torch.float64) for _ in range(3)
        )

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Take in one step's gradients, in the order of the lengths; None: not used in the step."""
        parts = [
            torch.full((length,), math.nan, dtype=torch.float64)
            if gradient is None
            else gradient.detach().cpu().double()
            for length, gradient in zip(self._lengths, gradients, strict=True)
        ]
        flat = torch.cat(parts)
        used = ~flat.isnan()
        self.count += used
        self.total += flat.nan_to_num()
        self.squares += flat.nan_to_num().square()

    def each(self) -> list[list[float]]:
        """The t of every logit, vector by vector; 0 where it had too few gradients or equal ones.

        Negative: descent raises the logit.
        """
        t = torch.zeros_like(self.total)
        moved, found = self._t()
        t[moved] = found
        return [part.tolist() for part in t.split(self._lengths)]

    def value(self) -> float:
        """Root mean square of t over the logits that had enough gradients; 0 before any had."""
        _, found = self._t()
        return float(found.square().mean().sqrt()) if len(found) else 0.0

    def _t(self) -> tuple[Tensor, Tensor]:
        """Indices of the logits that had enough gradients which differ, and their t."""
        enough = (self.count >= FEWEST).nonzero().squeeze(1)
        n = self.count[enough]
        mean = self.total[enough] / n
        variance = (self.squares[enough] / n - mean.square()).clamp_min(0) * n / (n - 1)
        moved = variance > 0
        return enough[moved], mean[moved] * (n[moved] / variance[moved]).sqrt()

    def state(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        return {
            "count": self.count.clone(),
            "total": self.total.clone(),
            "squares": self.squares.clone(),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over the sums of a checkpoint."""
        self.count, self.total, self.squares = (
            state[name].clone() for name in ("count", "total", "squares")
        )
