"""Multiply-accumulates against a count by hand."""

from __future__ import annotations

import torch

from models.macs import count_macs
from models.zoo import build


def test_srcnn_costs_what_its_three_convolutions_do() -> None:
    with torch.device("meta"):
        net = build("srcnn").train()
    weights = 3 * 64 * 81 + 64 * 32 + 32 * 3 * 25
    assert count_macs(net, 16) == weights * (16 * 4) ** 2
    assert net.training
