"""How much a network computes."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(net: nn.Module, side: int = 128) -> int:
    """Multiply-accumulates of one LQ face of `side` px; of FaceSR every pass, student included.

    The network may be on the meta device: nothing is computed there. Only convolutions and matrix
    products count, as PyTorch's counter has it (two operations a multiply-accumulate).
    """
    device = next(net.parameters()).device
    was_training = net.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        net.eval()(torch.zeros(1, 3, side, side, device=device))
    net.train(was_training)
    return int(counter.get_total_flops()) // 2
