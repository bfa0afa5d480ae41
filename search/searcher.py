"""The two alternating steps of a first-order bilevel search, and what a checkpoint keeps of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.batches import Batch
from data.sampling import sample_rng
from models.mixing import MixWeights
from models.network import FaceSR
from search.agreement import GradientSignal
from search.logits import Logits
from search.relaxations import STRATEGIES
from train.learner import TrainingError, face_maps, pass_weights
from train.losses import weighted
from train.optimizers import OptimizerOptions, build_optimizer, set_rate

LOGIT_BETAS = (0.5, 0.999)
"""Adam's decay rates for the logits (DARTS, section 3)."""
MIX_STREAM = 7_000
"""Stream of the draws of the relaxation: +0 in weight steps, +1 in architecture steps."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How the two steps are computed."""

    strategy: str = "gdas"
    """A name of `search.relaxations.STRATEGIES`."""
    logits_lr: float = 1e-2
    clip: float = 0.5
    """Largest norm of the weights' gradient; 0: no clipping."""
    loss: tuple[str, ...] = ("l1",)
    """Terms of the weighted sum, see `train.losses.parse_terms`."""
    bf16: bool = False
    seed: int = 0


class Searcher:
    """A supernet and its logits, each with its own optimiser.

    First order: a weight step keeps the logits fixed, an architecture step keeps the weights
    fixed (DARTS, eq. 6 with xi = 0). The student is frozen.
    """

    def __init__(
        self, net: FaceSR, logits: Logits, options: SearchOptions, device: torch.device
    ) -> None:
        """Move the network to the device.

        The logits stay on the CPU: they are many and small, and a GPU would be asked a hundred
        times a step. Their coefficients go over in one copy (`MixWeights.to`).
        """
        self.net = net.to(device).train()
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.logits = logits
        self.options = options
        self.device = device
        if net.student is not None:
            net.student.requires_grad_(False).eval()
        self.weights = [p for p in net.parameters() if p.requires_grad]
        self.weight_optimizer = build_optimizer(OptimizerOptions(), self.weights, device)
        self.vectors = list(logits.parameters())
        self.logit_optimizer = torch.optim.Adam(
            self.vectors, lr=options.logits_lr, betas=LOGIT_BETAS
        )
        self.signal = GradientSignal([len(vector) for vector in self.vectors])
        self._relax = STRATEGIES[options.strategy]
        self._loss = weighted(options.loss)

    def weight_step(self, batch: Batch, step: int, rate: float, temperature: float) -> float:
        """Update the weights once, with the logits as they are; return the loss.

        Raises TrainingError, before anything was changed, if loss or gradient are not finite.
        """
        with torch.no_grad():
            mix = self._mix(step, 0, temperature)
        loss = self._forward(batch, mix)
        self.weight_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, self.options.clip or math.inf)
        value, length = torch.stack([loss.detach(), norm]).tolist()  # the only wait for a GPU
        _check("loss of the weights", value, step, batch)
        _check("gradient of the weights", length, step, batch)
        set_rate(self.weight_optimizer, rate)
        self.weight_optimizer.step()
        return float(value)

    def logit_step(self, batch: Batch, step: int, temperature: float) -> float:
        """Update the logits once, with the weights as they are; return the loss.

        Only logits that the relaxation used are touched. Raises TrainingError as `weight_step`.
        """
        loss = self._forward(batch, self._mix(step, 1, temperature))
        value = loss.item()
        _check("loss of the logits", value, step, batch)
        gradients = torch.autograd.grad(loss, self.vectors, allow_unused=True)
        for gradient in gradients:
            if gradient is not None:
                _check("gradient of the logits", float(gradient.abs().max()), step, batch)
        for vector, gradient in zip(self.vectors, gradients, strict=True):
            vector.grad = gradient
        self.signal.add(gradients)
        self.logit_optimizer.step()
        return value

    def _mix(self, step: int, which: int, temperature: float) -> MixWeights:
        rng = sample_rng(self.options.seed, step, which, MIX_STREAM + which)
        return self._relax(self.net.space, self.logits, rng, temperature).to(self.device)

    def _forward(self, batch: Batch, mix: MixWeights) -> Tensor:
        """Mean over the passes of the loss of the batch."""
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            lq = batch.lq.contiguous(memory_format=torch.channels_last)
            restored = self.net(lq, face_maps(self.net, batch), mix)
        losses = [self._loss(image.float(), batch.hq) for image in restored]
        return sum(
            (w * x for w, x in zip(pass_weights(None, len(losses)), losses, strict=True)),
            losses[0].new_zeros(()),
        )

    def state(self) -> dict[str, Any]:
        """Return weights, logits and both optimisers, as a checkpoint keeps them."""
        return {
            "weights": self.net.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "logits": self.logits.state(),
            "logit_optimizer": self.logit_optimizer.state_dict(),
            "signal": self.signal.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state; network and space must be the same."""
        self.net.load_state_dict(state["weights"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.logits.load(state["logits"])
        self.logit_optimizer.load_state_dict(state["logit_optimizer"])
        self.signal.load(state["signal"])


def _check(what: str, value: float, step: int, batch: Batch) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"search step {step}: the {what} is {value} (faces {', '.join(batch.names[:8])}). "
            "Stopped before the update; the last checkpoint is good. Try a lower --lr, or --amp off"
        )
