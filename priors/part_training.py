"""Parse teacher, tier gpu: a part network anchored to the atlas.

It starts as a copy of what the atlas' EM says and then, while the anchor is loosened, has to
explain each face's colours as a Gaussian mixture whose shares are its own maps, and to say the
same of a face that was turned, shifted, scaled, mirrored and recoloured (as Thewlis et al. 2017
ask of landmarks). Nothing is labelled or pretrained.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.atlas import GROUPS, VARIANCE_FLOOR, explain, features_of, in_common
from priors.parse import FINE_ROUNDS, ParseAtlas, fit_atlas, small_faces
from priors.parts import SIDE, PartNetwork, to_vector

LOG = logging.getLogger(__name__)

STEPS, BATCH, RATE = 1600, 32, 2e-3
TOY_STEPS, TOY_BATCH = 12, 4
"""Steps and batch on a CPU, enough to see that it runs."""
ANCHOR_LAST = 0.2
"""Weight of the anchor at the end; it starts at 1."""
COMPACT, SAME, AREA = 0.1, 0.5, 1.0
"""Weights of the mixture's likelihood and of agreement (both rise from 0), and of the areas."""
TURN, SCALE, SHIFT = math.radians(8), 0.08, 0.05
"""Largest turn, change of size and shift (share of the side) between two views."""
TINT = 0.15
"""Largest change of a colour channel's exponent."""


def fit_parts(
    faces: np.ndarray,
    *,
    seed: int,
    device: torch.device,
    steps: int = STEPS,
    batch: int = BATCH,
    plan: tuple[tuple[int, int], ...] = FINE_ROUNDS,
) -> ParseAtlas:
    """The atlas of HQ faces (N, S, S, 3) uint8 RGB with a network trained on them.

    All faces and the atlas' answers stay on the device; float32 weights, bfloat16 arithmetic on
    CUDA. Raises FloatingPointError where the loss is not finite.
    """
    atlas = fit_atlas(faces, plan, device)
    small = small_faces(faces, SIDE).to(device)
    answers = anchor(atlas, small)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PartNetwork(len(atlas.chance)).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    drawn = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(len(small), (batch,), generator=drawn).to(device)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (1 - step / steps)
        x, target = small[chosen].float() / 255, answers[chosen].float() / 255
        loss = part_loss(network, x, target, step / steps, drawn)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 99 or step == steps - 1:
            if not torch.isfinite(loss):
                raise FloatingPointError(f"part network's loss is {loss.item()} at step {step}")
            LOG.info("part network step %d of %d, loss %.3f", step + 1, steps, loss.item())
    return replace(atlas, network=to_vector(network))


@torch.no_grad()
def anchor(atlas: ParseAtlas, small: Tensor) -> Tensor:
    """What the atlas says of faces (N, 3, SIDE, SIDE) uint8: (N, K, SIDE/2, SIDE/2) uint8 x 255."""
    chance, mean, variance = (part.to(small.device) for part in atlas.tensors())
    chance = functional.interpolate(chance[None], (SIDE // 2, SIDE // 2), mode="area")[0]
    said = []
    for part in small.split(64):
        half = functional.avg_pool2d(part.float() / 255, 2)
        found = explain(features_of(half), chance, mean, variance).posterior
        said.append((255 * found).round().to(torch.uint8))
    return torch.cat(said)


def part_loss(
    network: PartNetwork, x: Tensor, target: Tensor, progress: float, drawn: torch.Generator
) -> Tensor:
    """Loss of one batch of faces.

    Args:
        x: (B, 3, SIDE, SIDE) in [0, 1]. target: (B, K, SIDE/2, SIDE/2), the anchor's answer.
        progress: share of the training that is over, 0 to 1.
    """
    grid = views(len(x), drawn, x.device)
    moved = recoloured(warped(x, grid), drawn)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
        scores = network(torch.cat([x, moved]))
    half = functional.avg_pool2d(scores.float(), 2)
    told, told_moved = half.log_softmax(1).chunk(2)
    seen = functional.avg_pool2d(warped(torch.ones_like(x[:, :1]), grid, zeros=True), 2)
    held = 1 - (1 - ANCHOR_LAST) * progress
    loss = held * (
        cross_entropy(told, target)
        + cross_entropy(told_moved, warped(target, grid), seen)
        + AREA * area_loss(told.exp(), target)
    )
    rising = min(1.0, 2 * progress)
    same = cross_entropy(told_moved, warped(told.detach().exp(), grid), seen)
    colours = features_of(functional.avg_pool2d(x, 2))
    return loss + rising * (SAME * same + COMPACT * mixture_loss(told, colours))


def cross_entropy(log_share: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Soft cross entropy of (B, K, h, w), weighted by (B, 1, h, w)."""
    each = -(target * log_share).sum(1, keepdim=True)
    return each.mean() if weight is None else (each * weight).sum() / weight.sum().clamp_min(1)


def area_loss(share: Tensor, target: Tensor) -> Tensor:
    """Divergence of the batch's class areas from the anchor's: no class may vanish."""
    own, wanted = (t.mean((0, 2, 3)).clamp_min(1e-6) for t in (share, target))
    return (wanted * (wanted / own).log()).sum()


def mixture_loss(log_share: Tensor, colours: Tensor) -> Tensor:
    """Negative log-likelihood of colours (B, D, h, w) under the mixture that the maps make.

    Every group of classes is one Gaussian per face, its moments taken from the maps themselves
    (the M-step of EM, without gradient); the maps (B, K, h, w), logs, are the mixing shares.
    """
    flat = colours.flatten(2)
    dims = flat.shape[1]
    with torch.no_grad():
        sums = torch.cat([torch.ones_like(flat[:, :1]), flat, flat * flat], 1).transpose(1, 2)
        pooled = in_common(log_share.exp().flatten(2) @ sums, GROUPS)
        area, first, second = pooled.split((1, dims, dims), 2)
        mean = first / area.clamp_min(1)
        variance = (second / area.clamp_min(1) - mean**2).clamp_min(10 * VARIANCE_FLOOR)
    weights = torch.cat([mean / variance, -0.5 / variance], 2)
    constant = -0.5 * (mean**2 / variance + variance.log()).sum(2, keepdim=True)
    likelihood = weights @ torch.cat([flat, flat * flat], 1) + constant
    return -(log_share.flatten(2) + likelihood).logsumexp(1).mean()


def views(count: int, drawn: torch.Generator, device: torch.device) -> Tensor:
    """Sampling grids (count, SIDE, SIDE, 2) of small similarities, half of them mirrored."""
    turn, grow, right, down, side = (2 * torch.rand(5, count, generator=drawn) - 1).unbind()
    angle, factor = TURN * turn, 1 + SCALE * grow
    cos, sin = factor * angle.cos(), factor * angle.sin()
    flip = torch.where(side < 0, -1.0, 1.0)
    rows = [flip * cos, -sin * flip, 2 * SHIFT * right, sin, cos, 2 * SHIFT * down]
    matrix = torch.stack(rows, 1).reshape(count, 2, 3).to(device)
    return functional.affine_grid(matrix, [count, 1, SIDE, SIDE], align_corners=False)


def warped(maps: Tensor, grid: Tensor, *, zeros: bool = False) -> Tensor:
    """Maps (B, C, s, s) seen through grids, at their own side; borders repeat or are 0."""
    if maps.shape[-1] != grid.shape[1]:
        step = grid.shape[1] // maps.shape[-1]
        grid = functional.avg_pool2d(grid.permute(0, 3, 1, 2), step).permute(0, 2, 3, 1)
    padding = "zeros" if zeros else "border"
    return functional.grid_sample(maps, grid, padding_mode=padding, align_corners=False)


def recoloured(x: Tensor, drawn: torch.Generator) -> Tensor:
    """Faces (B, 3, s, s) in [0, 1] with each channel to a power near 1."""
    power = 1 + TINT * (2 * torch.rand(len(x), 3, 1, 1, generator=drawn) - 1)
    return x.clamp_min(1e-4) ** power.to(x.device)
