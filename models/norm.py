"""Batch norm whose statistics are saved and counted like weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """Batch norm whose running statistics count as learned (Ioffe and Szegedy, ICML 2015).

    (B,C,H,W) to the same shape. torch's own also stores a count of batches, which is no weight.
    """

    learned_buffers = ("running_mean", "running_var")
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training
        )
