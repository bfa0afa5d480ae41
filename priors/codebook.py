"""A codebook that follows moving averages of the vectors assigned to its codes.

Van den Oord et al., Neural Discrete Representation Learning (2017), appendix A; codes that fall out
of use start again from vectors of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DECAY = 0.99
"""Of the moving averages."""
RESTART_EVERY, LEAST_USE = 20, 0.05
"""Codes used less often than LEAST_USE x the mean become random vectors of the batch."""


@dataclass
class Codebook:
    """Codes that follow moving averages of what is assigned to them."""

    codes: Tensor
    """(K, D)."""
    count: Tensor
    """(K,) moving average of the number of vectors of each."""
    total: Tensor
    """(K, D) moving average of their sums."""

    @classmethod
    def from_vectors(cls, flat: Tensor, codes: int, generator: torch.Generator) -> Codebook:
        """A codebook of random vectors (P, D)."""
        first = some_of(flat, codes, generator).clone()
        return cls(first, torch.ones(codes, device=flat.device), first.clone())

    def ids(self, flat: Tensor) -> Tensor:
        """Index (P,) of the code nearest to each vector (P, D)."""
        return ((self.codes**2).sum(1) - 2 * flat @ self.codes.T).argmin(1)

    def follow(self, flat: Tensor, ids: Tensor) -> None:
        """Move towards the vectors (P, D) assigned to each code."""
        count, total = torch.zeros_like(self.count), torch.zeros_like(self.total)
        count.index_add_(0, ids, torch.ones_like(flat[:, 0]))
        total.index_add_(0, ids, flat)
        self.count.mul_(DECAY).add_(count, alpha=1 - DECAY)
        self.total.mul_(DECAY).add_(total, alpha=1 - DECAY)
        self.codes = self.total / self.count.clamp_min(1e-5)[:, None]

    def restart(self, flat: Tensor, generator: torch.Generator) -> None:
        """Give unused codes a vector of the batch and the use of a middling one."""
        mean = self.count.mean()
        unused = (self.count < LEAST_USE * mean)[:, None]
        fresh = some_of(flat, len(self.codes), generator)
        self.codes = torch.where(unused, fresh, self.codes)
        self.total = torch.where(unused, fresh * mean, self.total)
        self.count = torch.where(unused[:, 0], mean, self.count)


def some_of(flat: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` random rows of (P, D)."""
    return flat[torch.randint(len(flat), (count,), generator=generator).to(flat.device)]
