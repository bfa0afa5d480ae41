"""Adversarial training: a discriminator beside the network, its losses and its own optimiser.

It makes faces look more natural and PSNR worse; the network that is saved is the generator alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.discriminators import DISCRIMINATORS

GAN_LOSSES = ("standard", "non-saturating", "relativistic")
BETAS = (0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class GanOptions:
    """The adversarial part of a training step; weight 0 means none."""

    weight: float = 0.0
    loss: str = "non-saturating"
    """standard: the minimax game; non-saturating: Goodfellow et al. 2014, section 3; relativistic:
    against the mean of the other side (Jolicoeur-Martineau 2019, RaSGAN)."""
    discriminator: str = "unet"
    start: int = 0
    """First step of the generator's term; the discriminator trains from there too."""
    ratio: int = 1
    """Steps of the discriminator per step of the generator."""
    r1: float = 0.0
    """Weight of the R1 penalty (Mescheder et al. 2018, eq. 9)."""
    lr: float = 1e-4


class Adversary:
    """A discriminator, what it says to the generator, and its own training."""

    def __init__(self, options: GanOptions, device: torch.device) -> None:
        """Build the discriminator; torch's generator decides its first weights."""
        self.options = options
        self.net = DISCRIMINATORS[options.discriminator]().to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=options.lr, betas=BETAS)

    def generator_loss(self, restored: Tensor, hq: Tensor) -> Tensor:
        """What the generator pays for images (B,3,h,w) that are told from true ones."""
        self.net.requires_grad_(False)
        loss = generator_loss(self.options.loss, self.net(hq), self.net(restored))
        self.net.requires_grad_(True)
        return loss

    def update(self, restored: Tensor, hq: Tensor) -> float:
        """Train the discriminator on images without gradient; return its last loss.

        Raises FloatingPointError before the update if the loss is not finite.
        """
        value = 0.0
        for _ in range(self.options.ratio):
            real = hq.detach().requires_grad_(self.options.r1 > 0)
            true = self.net(real)
            loss = discriminator_loss(self.options.loss, true, self.net(restored.detach()))
            if self.options.r1 > 0:
                (slope,) = torch.autograd.grad(true.sum(), real, create_graph=True)
                penalty = slope.square().flatten(1).sum(1).mean()
                loss = loss + 0.5 * self.options.r1 * penalty
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError("discriminator's loss")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return value

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"weights": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self.net.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


def discriminator_loss(kind: str, true: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss of its logits on true and on restored images."""
    if kind == "relativistic":
        return (_says(true - fake.mean(), 1.0) + _says(fake - true.mean(), 0.0)) / 2
    return _says(true, 1.0) + _says(fake, 0.0)


def generator_loss(kind: str, true: Tensor, fake: Tensor) -> Tensor:
    """The generator's loss of the same logits."""
    if kind == "relativistic":
        return (_says(true - fake.mean(), 0.0) + _says(fake - true.mean(), 1.0)) / 2
    return -_says(fake, 0.0) if kind == "standard" else _says(fake, 1.0)


def _says(logits: Tensor, wanted: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
