"""Small linear systems without a decomposition, so that they export."""

from __future__ import annotations

from torch import Tensor, zeros_like

NOTHING = 1e-6
"""Added to a divisor that may be 0; smaller ones are optimised away when exporting."""


def solve(left: Tensor, right: Tensor, steps: int) -> Tensor:
    """x (B, K) of left (B, K, K) x = right (B, K), left symmetric and positive.

    `steps` of conjugate gradients with the diagonal as preconditioner (Hestenes and Stiefel 1952);
    K are enough but for rounding.
    """
    diagonal = left.diagonal(dim1=1, dim2=2)
    x, rest = zeros_like(right), right
    towards = rest / diagonal
    way, size = towards, (rest * towards).sum(1, keepdim=True)
    for _ in range(steps):
        turned = (left @ way[..., None])[..., 0]
        length = size / ((way * turned).sum(1, keepdim=True) + NOTHING)
        x, rest = x + length * way, rest - length * turned
        towards = rest / diagonal
        fresh = (rest * towards).sum(1, keepdim=True)
        way, size = towards + way * (fresh / (size + NOTHING)), fresh
    return x
