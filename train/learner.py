"""One training step of any network, and everything that a checkpoint must keep of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.batches import Batch
from models.fusion import on_lq_grid
from models.prior_source import labelled_maps, tell_truth
from models.restorer import pass_count, passes_of
from train.adversary import Adversary, GanOptions
from train.ema import WeightAverage
from train.losses import Loss, weighted
from train.optimizers import OptimizerOptions, build_optimizer, set_rate

FROZEN = "frozen"
STUDENTS = (FROZEN, "slow", "free")
SEED_STRIDE = 1_000_003
COMPILER = "inductor"
"""Backend of `torch.compile`."""
LAST_CONVOLUTIONS = ("tail.out", "conv_last", "conv3")
"""Names of the convolution that makes the image: FaceSR's, most of the zoo's, the shallow ones'."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, on what, and what to try."""


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How one step is computed."""

    loss: tuple[str, ...] = ("l1",)
    """Terms of the weighted sum, see `train.losses.parse_terms`."""
    perceptual: Loss | None = None
    """The perceptual loss, where it is a term (`train.perceptual`)."""
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    gan: GanOptions = field(default_factory=GanOptions)
    pass_weights: tuple[float, ...] | None = None
    """Weight of each pass in the loss, normalised to sum 1; None: equal."""
    clip: float = 0.5
    """Largest norm of the gradient; 0: no clipping."""
    ema: float = 0.999
    bf16: bool = False
    compiled: bool = False
    """Whether `torch.compile` makes the training step's forward and backward; validation and
    everything that is saved use the network as it is."""
    channels_last: bool = True
    dropout: float = 0.0
    """Share of the channels that is dropped before the network's last convolution."""
    student: str = FROZEN
    """One of `STUDENTS`: frozen, slow (a tenth of the rate) or free (the whole rate)."""
    seed: int = 0


@dataclass(frozen=True)
class StepResult:
    """Numbers of one step."""

    loss: float
    passes: tuple[float, ...]
    """Loss of each pass."""
    norm: float
    """Norm of the gradient before clipping."""
    adversary: float | None = None
    """Loss of the discriminator, where there is one."""


class Learner:
    """A network with its optimiser and its weight average.

    The student of a `FaceSR` was trained before, from the teachers; `StepOptions.student` says
    whether it goes on learning here.
    """

    def __init__(self, net: nn.Module, options: StepOptions, device: torch.device) -> None:
        """Move the network to the device and make optimiser and average."""
        self.options = options
        self.device = device
        self.net = net.to(device)
        if options.channels_last:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        student = getattr(net, "student", None)
        if isinstance(student, nn.Module):
            student.requires_grad_(options.student != FROZEN)
        slow = list(student.parameters()) if student and options.student == "slow" else []
        self.trained = [p for p in self.net.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(options.optimizer, self.trained, device, slow=slow)
        self.average = WeightAverage(self.net, decay=options.ema)
        self._loss = weighted(options.loss, options.perceptual)
        self.adversary = Adversary(options.gan, device) if options.gan.weight > 0 else None
        if options.dropout:
            _drop_before(last_convolution(self.net), options.dropout)
        self._forward: nn.Module = self.net
        if options.compiled:
            # shares its tensors with the network, whose names stay as they are
            self._forward = cast(
                "nn.Module", torch.compile(self.net, backend=COMPILER, dynamic=False)
            )

    def step(self, batch: Batch, step: int, rate: float, *, first_only: bool = False) -> StepResult:
        """Update the weights once and return the numbers; `first_only` trains the first pass alone.

        Raises TrainingError, before anything was changed, if loss or gradient are not finite.
        """
        torch.manual_seed(self.options.seed * SEED_STRIDE + step)
        self.net.train()
        batch = batch.to(self.device)
        total, passes, restored = self._losses(batch, first_only)
        rival = self.adversary if step >= self.options.gan.start else None
        if rival is not None:
            total = total + self.options.gan.weight * rival.generator_loss(restored, batch.hq)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        limit = self.options.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.trained, limit)
        # the one time in a step that the host waits for a GPU
        loss, length, *each = torch.stack([total, norm, *passes]).detach().tolist()
        for what, value in (("loss", loss), ("gradient", length)):
            if not math.isfinite(value):
                raise _not_finite(what, value, step, rate, batch.names)
        set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.average.update(self.net)
        try:
            told = None if rival is None else rival.update(restored, batch.hq)
        except FloatingPointError as error:
            raise _not_finite(str(error), math.nan, step, rate, batch.names) from error
        return StepResult(loss, tuple(each), length, told)

    def _losses(self, batch: Batch, first_only: bool) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return the weighted sum of the losses of the passes, each of them, and the last image."""
        first_only = first_only and pass_count(self.net) > 1
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            maps = None if first_only else face_maps(self.net, batch)
            lq = batch.lq
            if self.options.channels_last:
                lq = lq.contiguous(memory_format=torch.channels_last)
            restored = passes_of(self._forward, lq, maps, first_only=first_only)
        images = [image.float() for image in restored]
        passes = [self._loss(image, batch.hq) for image in images]
        given = None if first_only else self.options.pass_weights
        weights = pass_weights(given, len(passes))
        terms = [w * p for w, p in zip(weights, passes, strict=True)]
        return sum(terms, passes[0].new_zeros(())), passes, images[-1]

    def state(self) -> dict[str, Any]:
        """Return weights, optimiser and average, as a checkpoint keeps them."""
        return {
            "weights": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state(),
            **({} if self.adversary is None else {"adversary": self.adversary.state()}),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state; the network must be the same."""
        self.net.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"]["updates"], state["average"]["average"])
        if self.adversary is not None:
            self.adversary.load(state["adversary"])


def last_convolution(net: nn.Module) -> nn.Module:
    """Return the convolution that makes the image, of FaceSR or of a network of the zoo."""
    modules = dict(net.named_modules())
    return next(modules[name] for name in LAST_CONVOLUTIONS if name in modules)


def _drop_before(conv: nn.Module, share: float) -> None:
    """Drop whole channels of what `conv` takes in while training (Kong et al., CVPR 2022)."""

    def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (F.dropout2d(inputs[0], share, module.training), *inputs[1:])

    conv.register_forward_pre_hook(drop)


def face_maps(net: nn.Module, batch: Batch) -> dict[str, Tensor] | None:
    """Return the prior maps of every crop of the batch, or None if the network has no priors.

    The student sees each whole LQ face once, without gradient where it is frozen. Of a network of
    external labels they are those of the faces' names.
    """
    predict = getattr(net, "prior_maps", None)
    if predict is None:
        return None
    given = labelled_maps(net, batch.face, batch.names, batch.mirrored, trained=True)
    if given is not None:
        return crop_maps(given, batch)
    if batch.lq.shape == batch.face.shape:  # whole faces: their HQ is here
        tell_truth(net, batch.face, batch.hq)
    student = getattr(net, "student", None)
    learns = student is not None and any(p.requires_grad for p in student.parameters())
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        return crop_maps(predict(batch.face), batch)


def crop_maps(maps: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return maps (F,C,S,S) of whole faces as maps (N,C,h,w) of the batch's crops.

    They are brought to the LQ grid first, exactly as the network does with whole faces.
    """
    return {name: _crops(value, batch) for name, value in maps.items()}


def _crops(maps: Tensor, batch: Batch) -> Tensor:
    maps = on_lq_grid(maps, *batch.face.shape[-2:])
    h, w = batch.lq.shape[-2:]
    if batch.lq.shape == batch.face.shape:  # whole faces, each once
        return maps
    places = zip(batch.owner.tolist(), batch.top.tolist(), batch.left.tolist(), strict=True)
    return torch.stack([maps[face, :, y : y + h, x : x + w] for face, y, x in places])


def pass_weights(given: Sequence[float] | None, passes: int) -> list[float]:
    """Return the loss weight of each pass, summing to 1; None means equal."""
    weights = [1.0] * passes if given is None else list(given)
    if len(weights) != passes:
        raise TrainingError(f"{len(weights)} pass weights for a network of {passes} passes")
    if min(weights) < 0 or sum(weights) <= 0:
        raise TrainingError(f"pass weights {weights}: none below 0, and not all 0")
    return [weight / sum(weights) for weight in weights]


def _not_finite(
    what: str, value: float, step: int, rate: float, names: Sequence[str]
) -> TrainingError:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return TrainingError(
        f"step {step}: the {what} is {value} (faces {shown}; learning rate {rate:.2e}). Stopped "
        "before the update; the last checkpoint is good. Try a lower --lr, or --amp off"
    )
