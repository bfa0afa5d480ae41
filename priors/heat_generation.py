"""Heat teacher, gpu tier: points learned by drawing faces from them, anchored to the cpu tier's.

A painter draws a view of a face from another view of it and from the detector's points
(priors/detector.py). The points start at the anchor's, are held there less and less until
ANCHORED of the training is over, and after that only have to serve the drawing, move with the face,
be sharp and stay apart. Of several seeds the one whose points follow a moved face best for how much
they vary is kept; points that follow it badly are the closed-form search's again.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.points import GRID
from priors.detector import Detector, Painter, image_loss
from priors.heat import (
    PointModel,
    at_fit_size,
    average_patches,
    grey_faces,
    mirrored,
    shape_model,
)
from priors.heat_telling import MOST_ERROR, equivariance, fit_telling_points
from priors.views import random_move, recoloured

LOG = logging.getLogger(__name__)

ANCHORED = 0.6
"""Share of the training after which the anchor has no weight left."""
HELD, FOLLOWS, SHARP, APART = 20.0, 10.0, 1.0, 0.02
"""Weights of the anchor, of moving with the face, of the maps' variance and of nearness."""
NEAR = 0.03
"""Distance, as a share of the side, at which two points begin to repel each other."""
CLIP, WARMUP = 1.0, 50
JUDGED = 64
"""Faces, kept from training where there are enough, on which seeds and points are judged."""


@dataclass(frozen=True)
class Plan:
    """How long and how large the training is."""

    steps: int = 1500
    batch: int = 48
    width: int = 24
    seeds: int = 2
    rate: float = 1e-3


FULL = Plan()
TOY = Plan(steps=20, batch=4, width=8, seeds=1)
"""What a CPU can do: little is learned, so that most points stay the anchor's."""


def fit_drawn_points(
    faces: np.ndarray,
    rng: np.random.Generator,
    device: torch.device,
    plan: Plan | None = None,
) -> PointModel:
    """Points learned from HQ faces (N, S, S, 3) uint8 RGB by drawing them.

    Args:
        plan: FULL on a GPU and TOY on a CPU where it is left out.
    """
    chosen = plan or (TOY if device.type == "cpu" else FULL)
    if chosen is TOY:
        LOG.warning("drawing faces on a CPU teaches the points little: use the tier cpu there")
    anchor = fit_telling_points(faces, rng)
    small = np.stack([at_fit_size(face) for face in faces])
    places = anchor.points(small)
    judged = min(JUDGED, len(faces) // 4)
    data = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().to(device)
    wanted = torch.from_numpy(places).to(device)
    best: tuple[float, PointModel] | None = None
    for number in range(chosen.seeds):
        seed = int(rng.integers(2**31))
        detector = train(data[judged:], wanted[judged:], anchor.swap, chosen, seed)
        model = with_net(anchor, detector, chosen.width)
        score = restlessness(model, small[:judged], np.random.default_rng(seed))
        LOG.info("points of seed %d: equivariance error over spread %.3f", number, score)
        if best is None or score < best[0]:
            best = score, model
    assert best is not None
    return settled(best[1], anchor, small, judged, rng)


def train(faces: Tensor, anchor: Tensor, swap: np.ndarray, plan: Plan, seed: int) -> Detector:
    """A detector, on the CPU, learned with a painter.

    Args:
        faces: (N, 3, S, S) uint8, on the device that is to be used.
        anchor: (N, P, 2) the anchor's points of them, shares of the side.
        swap: (P,) mirror partners.
    Raises:
        FloatingPointError: the loss is not finite.
    """
    device, count = faces.device, anchor.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector, painter = Detector(count, plan.width), Painter(count, plan.width)
    detector, painter = detector.to(device), painter.to(device)
    weights = [*detector.parameters(), *painter.parameters()]
    optimiser = torch.optim.Adam(weights, lr=plan.rate, betas=(0.9, 0.99))
    random = torch.Generator(device).manual_seed(seed)
    partner = torch.as_tensor(swap, device=device)
    began = time.perf_counter()
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * rate_share(step, plan.steps)
        some = torch.randint(len(faces), (plan.batch,), generator=random, device=device)
        face, goal = faces[some].float() / 255, anchor[some]
        flip = torch.rand(plan.batch, generator=random, device=device) < 0.5
        face = torch.where(flip[:, None, None, None], face.flip(3), face)
        across = torch.stack([1 - goal[:, partner, 0], goal[:, partner, 1]], -1)
        goal = torch.where(flip[:, None, None], across, goal)
        loss = drawing_loss(detector, painter, face, goal, held_at(step, plan.steps), random)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimiser.step()
        if step % 100 == 99 or step == plan.steps - 1:
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(f"the painter's loss is {value} at step {step}")
            spent = time.perf_counter() - began
            LOG.info("painter step %d of %d, loss %.4f, %.0f s", step + 1, plan.steps, value, spent)
    return detector.cpu().eval()


def rate_share(step: int, steps: int) -> float:
    """Share of the learning rate: a linear warm-up, then a cosine to 0."""
    warmup = min(WARMUP, max(1, steps // 5))
    fall = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * fall


def held_at(step: int, steps: int) -> float:
    """Weight of the anchor at a step: from HELD down to 0 at ANCHORED of the training."""
    return HELD * max(0.0, 1 - step / (ANCHORED * steps))


def drawing_loss(
    detector: Detector,
    painter: Painter,
    face: Tensor,
    anchor: Tensor,
    held: float,
    random: torch.Generator,
) -> Tensor:
    """Everything that the points must do, of one batch (B, 3, S, S) with anchors (B, P, 2)."""
    moves = [random_move(len(face), face.shape[-1], random) for _ in range(2)]
    drawn, other = (move.view(face) for move in moves)
    seen = recoloured(torch.cat([drawn, other]), random)
    with torch.autocast(face.device.type, torch.bfloat16, enabled=face.device.type == "cuda"):
        points, spread = detector(seen)
        first, second = points.chunk(2)
        picture = painter(other, first)
    places = [move.places(p) for move, p in zip(moves, (first, second), strict=True)]
    loss = image_loss(picture.float(), drawn)
    loss = loss + FOLLOWS * functional.smooth_l1_loss(places[0], places[1], beta=1 / GRID)
    loss = loss + SHARP * spread.mean() + APART * nearness(first)
    if held > 0:
        off = [functional.smooth_l1_loss(p, anchor, beta=1 / GRID) for p in places]
        loss = loss + held * sum(off)
    return loss


def nearness(points: Tensor) -> Tensor:
    """How near points (B, N, 2) are to one another: mean over points of a sum of Gaussians."""
    square = (points[:, :, None] - points[:, None]).square().sum(-1)
    close = torch.exp(-square / (2 * NEAR**2))
    return (close.sum((1, 2)) - close.diagonal(dim1=1, dim2=2).sum(1)).mean() / points.shape[1]


def with_net(anchor: PointModel, detector: Detector, width: int) -> PointModel:
    """The anchor's model with every point taken from a detector."""
    kept = np.ones(len(anchor.swap), bool)
    return replace(anchor, net=detector.flat(), width=width, kept=kept)


def restlessness(model: PointModel, faces: np.ndarray, rng: np.random.Generator) -> float:
    """Equivariance error over how far points are from their mean: small is good, never moving not.

    Args:
        faces: (B, S, S, 3) uint8 RGB that were not trained on.
    """
    shares = model.points(faces)
    spread = GRID * np.linalg.norm(shares - shares.mean(0), axis=2).mean()
    return float(equivariance(model, faces, shares, rng).mean() / max(spread, 1e-6))


def settled(
    model: PointModel, anchor: PointModel, faces: np.ndarray, judged: int, rng: np.random.Generator
) -> PointModel:
    """The model with unsteady points as the anchor has them, and patches and shape learned anew.

    A point is unsteady where it or its mirror partner has an equivariance error above MOST_ERROR on
    the first `judged` faces.
    """
    error = equivariance(model, faces[:judged], model.points(faces[:judged]), rng)
    kept = np.maximum(error, error[model.swap]) <= MOST_ERROR
    LOG.info("%d of %d points are the detector's", kept.sum(), len(kept))
    shares = np.where(kept[:, None], model.points(faces), anchor.points(faces))
    places = (shares * GRID - 0.5).astype(np.float32)
    mean = np.concatenate([places, mirrored(places, anchor.swap)]).mean(0)
    basis, hold = shape_model(places, mean, anchor.swap)
    patches = average_patches(grey_faces(faces), places, anchor.swap)
    return replace(model, mean=mean, basis=basis, hold=hold, patches=patches, kept=kept)
