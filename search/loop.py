"""The search loop: warm-up, bilevel steps, log, checkpoints, exact resume."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from data.batches import Batch
from models.network import FaceSR
from models.space import CAP, Space
from search.derive import Choices, derive
from search.logits import Logits, mean_entropy, plain, uniform_distance
from search.searcher import Searcher, SearchOptions
from search.settle import settled
from train import checkpoint
from train.interrupt import Interrupted, StopRequest
from train.run_folder import RunFolder
from train.schedules import Schedule

LOG = logging.getLogger(__name__)
Batches = Callable[[int, int], Generator[Batch]]


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """Length, rates and intervals of a search."""

    steps: int
    """Bilevel steps: one weight step and one architecture step each."""
    warmup: int = 0
    """Weight-only steps before them."""
    lr: float = 1e-3
    """Peak learning rate of the weights; a cosine takes it to `lr_min`."""
    lr_min: float = 1e-5
    lr_warmup: int = 20
    temperature: tuple[float, float] = (3.0, 0.5)
    """Of the relaxation that samples, at the first and the last bilevel step (geometric)."""
    log_every: int = 50
    checkpoint_every: int = 250
    cap: int = CAP
    options: SearchOptions = field(default_factory=SearchOptions)

    @property
    def total(self) -> int:
        return self.warmup + self.steps


@dataclass(frozen=True)
class SearchOutcome:
    """What a finished search hands to the derivation."""

    probabilities: dict[str, list[float]]
    distance: float
    """Mean total-variation distance of the probabilities from uniform, 0..1."""
    entropy: float
    """Mean entropy over its largest value, 0..1."""
    signal: float
    """Root mean square t of the logits' gradients: 1 is noise (`search.agreement`)."""
    architecture_steps: int
    agreement: dict[str, list[float]]
    """t of the gradients of every logit by decision name, see `search.settle`."""


def search(
    net: FaceSR,
    logits: Logits,
    *,
    weight_batches: Batches,
    logit_batches: Batches,
    folder: RunFolder,
    plan: SearchPlan,
    metadata: Mapping[str, Any],
    device: torch.device,
    resume: bool = False,
) -> SearchOutcome:
    """Search and return the probabilities; the run folder holds log and checkpoints.

    weight_batches, logit_batches: (start, stop) -> the batches of these steps, of the two halves
    of the faces. With `resume` the newest checkpoint of the folder is taken up and the search ends
    with the weights and logits that it would have had without the interruption. Raises
    TrainingError, CheckpointError, or Interrupted after a signal (the step is finished and saved).
    """
    run = _Search(net, logits, folder, plan, metadata, device)
    with StopRequest() as stop:
        try:
            run.begin(resume)
            run.steps(weight_batches, logit_batches, stop)
        finally:
            folder.close()
    return run.outcome()


class _Search:
    """The state of one call of `search`."""

    def __init__(
        self,
        net: FaceSR,
        logits: Logits,
        folder: RunFolder,
        plan: SearchPlan,
        metadata: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.searcher = Searcher(net, logits, plan.options, device)
        self.folder, self.plan, self.metadata = folder, plan, metadata
        self.step = 0
        self.saved = -1
        self.losses: dict[str, list[float]] = {"loss_weights": [], "loss_logits": []}

    def begin(self, resume: bool) -> None:
        """Take up the newest whole checkpoint, or start a fresh log."""
        if resume and checkpoint.has_checkpoint(self.folder.checkpoints):
            self.step, state = checkpoint.load_latest(self.folder.checkpoints)
            self.searcher.load(state["searcher"])
            self.losses = {name: list(values) for name, values in state["losses"].items()}
            self.saved = self.step
            LOG.info("resumed after step %d of %d", self.step, self.plan.total)
        self.folder.rewind(self.step if self.step else -1)

    def steps(self, weight_batches: Batches, logit_batches: Batches, stop: StopRequest) -> None:
        """Take every step that is left, then save."""
        plan = self.plan
        first = max(self.step, plan.warmup)
        weights, faces = weight_batches(self.step, plan.total), logit_batches(first, plan.total)
        with self._bar() as bar, logging_redirect_tqdm(), closing(weights), closing(faces):
            while self.step < plan.total:
                step = self.step
                self._both(step, weights, faces)
                self.step += 1
                bar.update()
                if self.step % plan.log_every == 0 or self.step == plan.total:
                    self._note(step)
                if stop.number is not None:
                    self._save()
                    raise Interrupted(stop.number, self.step)
                if self.step % plan.checkpoint_every == 0:
                    self._save()
        if self.saved != self.step:
            self._save()

    def _both(self, step: int, weights: Generator[Batch], faces: Generator[Batch]) -> None:
        """One weight step, and after the warm-up one architecture step."""
        temperature = self._temperature(step)
        rate = self._rate(step)
        loss = self.searcher.weight_step(next(weights), step, rate, temperature)
        self.losses["loss_weights"].append(loss)
        if step >= self.plan.warmup:
            loss = self.searcher.logit_step(next(faces), step, temperature)
            self.losses["loss_logits"].append(loss)

    def _rate(self, step: int) -> float:
        plan = self.plan
        curve = [(0, plan.total)]
        return Schedule().rate(step, curve, peak=plan.lr, floor=plan.lr_min, warmup=plan.lr_warmup)

    def _temperature(self, step: int) -> float:
        if self.plan.options.strategy == "darts":
            return 1.0
        first, last = self.plan.temperature
        done = max(step - self.plan.warmup, 0) / max(self.plan.steps - 1, 1)
        return first * (last / first) ** done

    def outcome(self) -> SearchOutcome:
        """Return probabilities and how far they are from uniform."""
        chances = plain(self.searcher.logits.probabilities())
        names = self.searcher.logits.vectors
        return SearchOutcome(
            chances,
            uniform_distance(chances),
            mean_entropy(chances),
            self.searcher.signal.value(),
            max(self.step - self.plan.warmup, 0),
            dict(zip(names, self.searcher.signal.each(), strict=True)),
        )

    def _note(self, step: int) -> None:
        """Log the mean losses since the last line, and where the logits are."""
        found = self.outcome()
        space = self.searcher.net.space
        chances = settled(space, found.probabilities, found.agreement)
        choices = derive(space, chances, self.plan.cap)
        means = {name: sum(v) / len(v) for name, v in self.losses.items() if v}
        self.folder.log(
            "search",
            self.step,
            **means,
            entropy=found.entropy,
            distance=found.distance,
            signal=found.signal,
            skips=share_of_skips(choices),
            skip_probability=skip_probability(space, found.probabilities),
            lr=self._rate(step),
            temperature=self._temperature(step),
            **{f"weight_{name}": w for name, w in self.searcher.net.prior_weights().items()},
            genotype=choices,
        )
        LOG.info(
            "step %d of %d: %s, distance from uniform %.4f, entropy %.4f, signal %.2f, skips %.2f",
            self.step,
            self.plan.total,
            ", ".join(f"{name} {value:.4f}" for name, value in means.items()),
            found.distance,
            found.entropy,
            found.signal,
            share_of_skips(choices),
        )
        self.losses = {name: [] for name in self.losses}

    def _save(self) -> None:
        """Write a checkpoint of this very step."""
        state = {
            "searcher": self.searcher.state(),
            "losses": self.losses,
            "metadata": dict(self.metadata),
            "random": torch.get_rng_state(),
        }
        checkpoint.save(self.folder.checkpoints, state, self.step)
        self.saved = self.step

    def _bar(self) -> tqdm[Any]:
        return tqdm(
            total=self.plan.total,
            initial=self.step,
            desc="search",
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30.0,
        )


def share_of_skips(choices: Choices) -> float:
    """Share of `skip` among the operations of a genotype, 0..1."""
    operations = [option for name, option in choices.items() if name.endswith("/op")]
    return operations.count("skip") / max(len(operations), 1)


def skip_probability(space: Space, probabilities: Mapping[str, list[float]]) -> float:
    """Mean probability of `skip` over the open operation decisions, 0..1."""
    chances = [
        probabilities[d.name][d.options.index("skip")]
        for d in space.decisions()
        if d.name.endswith("/op") and "skip" in d.options and d.name in probabilities
    ]
    return sum(chances) / max(len(chances), 1)
