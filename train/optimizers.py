"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from train.muon import Muon, MuonWithAdam, is_matrix

BETAS = (0.9, 0.99)
"""Adam's decay rates, those of the challenge's baseline."""
OPTIMIZERS = ("adam", "adamw", "sgd", "muon")
Optimizer = torch.optim.Optimizer | MuonWithAdam


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """Which optimiser, and its constants besides the learning rate."""

    name: str = "adam"
    """muon: `train.muon` for convolutions and matrices, adam for all else."""
    weight_decay: float = 0.0
    """adam and sgd: L2 added to the gradient; adamw and muon: decoupled (Loshchilov and Hutter,
    2019)."""
    momentum: float = 0.9
    """Of sgd."""


def build_optimizer(
    options: OptimizerOptions, parameters: Sequence[nn.Parameter], device: torch.device
) -> Optimizer:
    """Return the optimiser of `parameters`; the learning rate is set before every step."""
    fused = device.type in ("cpu", "cuda")
    decay = options.weight_decay
    if options.name == "sgd":
        return torch.optim.SGD(
            parameters, lr=0.0, momentum=options.momentum, weight_decay=decay, fused=fused
        )
    if options.name == "muon":
        matrices = [p for p in parameters if is_matrix(p)]
        others = [p for p in parameters if not is_matrix(p)]
        return MuonWithAdam(
            Muon(matrices, weight_decay=decay) if matrices else None,
            torch.optim.AdamW(others, betas=BETAS, weight_decay=decay, fused=fused)
            if others
            else None,
        )
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[options.name](parameters, betas=BETAS, weight_decay=decay, fused=fused)
