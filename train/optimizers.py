"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from train.muon import Muon, MuonWithAdam, is_matrix

BETAS = (0.9, 0.99)
"""Adam's decay rates, those of the challenge's baseline."""
SLOW = 0.1
"""Share of the learning rate that slow parameters move at."""
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
    options: OptimizerOptions,
    parameters: Sequence[nn.Parameter],
    device: torch.device,
    *,
    slow: Sequence[nn.Parameter] = (),
) -> Optimizer:
    """Return the optimiser of `parameters`; `set_rate` gives it a learning rate before every step.

    slow: some of the parameters, which move at `SLOW` times that rate.
    """
    fused = device.type in ("cpu", "cuda")
    decay = options.weight_decay
    apart = {id(p) for p in slow}

    def groups(some: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
        shares = {SLOW: [p for p in some if id(p) in apart]}
        shares[1.0] = [p for p in some if id(p) not in apart]
        return [{"params": kept, "share": share} for share, kept in shares.items() if kept]

    if options.name == "sgd":
        return torch.optim.SGD(
            groups(parameters), lr=0.0, momentum=options.momentum, weight_decay=decay, fused=fused
        )
    if options.name == "muon":
        matrices = groups([p for p in parameters if is_matrix(p)])
        others = groups([p for p in parameters if not is_matrix(p)])
        return MuonWithAdam(
            Muon(matrices, weight_decay=decay) if matrices else None,
            torch.optim.AdamW(others, betas=BETAS, weight_decay=decay, fused=fused)
            if others
            else None,
        )
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[options.name](groups(parameters), betas=BETAS, weight_decay=decay, fused=fused)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
