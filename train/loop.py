"""The one training loop, for every network: train, validate, save, resume."""

from __future__ import annotations

import copy
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from data.batches import Batch
from data.validation import Validation
from models.device import synchronise
from models.restorer import pass_count
from models.rules import noncompliant
from train import checkpoint, leavings
from train.interrupt import Interrupted, StopRequest
from train.learner import Learner, StepResult
from train.pace import PROBE_SHARE, Costs, Deadline, steps_within, time_steps
from train.progress import LoopOptions, Outcome, Progress
from train.run_folder import RunFolder
from train.schedules import progress
from train.validate import Scores, picture, spread, validate

LOG = logging.getLogger(__name__)
PICTURE_ROWS = 4
LOG_EVERY = 10
PACE_EVERY = 50
Batches = Callable[[int, int], Generator[Batch]]


def train(
    net: nn.Module,
    *,
    batches: Batches,
    validation: Validation,
    folder: RunFolder,
    options: LoopOptions,
    metadata: Mapping[str, Any],
    device: torch.device,
    resume: bool = False,
) -> Outcome:
    """Train `net` and return the outcome; the run folder holds everything else.

    `batches(start, stop)` yields the batches of these steps. With `resume` the newest checkpoint
    of the folder is taken up, and the run ends with the weights that it would have had without
    the interruption. Raises TrainingError, CheckpointError, or Interrupted after a signal, when
    the step was finished and saved.
    """
    run = _Run(net, batches, validation, folder, options, metadata, device)
    with StopRequest() as stop:
        if resume and checkpoint.has_checkpoint(folder.checkpoints):
            run.restore()
        else:
            folder.rewind(-1)
            run.tell_rules()
            run.make_plan()
        try:
            run.steps(stop)
            return run.finish(stop)
        finally:
            folder.close()


class _Run:
    """The state of one call of `train`."""

    def __init__(
        self,
        net: nn.Module,
        batches: Batches,
        validation: Validation,
        folder: RunFolder,
        options: LoopOptions,
        metadata: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.learner = Learner(net, options.step, device)
        self.batches, self.validation, self.folder = batches, validation, folder
        self.options, self.metadata, self.device = options, metadata, device
        self.subset = spread(len(validation), options.validate_pairs)
        self.progress = Progress()
        self.deadline: Deadline | None = None
        self.saved_step = -1

    # where the run begins

    def restore(self) -> None:
        """Take up the newest whole checkpoint."""
        step, state = checkpoint.load_latest(self.folder.checkpoints)
        self.learner.load(state["learner"])
        values = dict(state["progress"])
        values["plan"] = [(first, total) for first, total in values["plan"]]
        self.progress = Progress(**values)
        self.saved_step = step
        self.folder.rewind(step)
        if not self.progress.plan:  # killed while the first steps were timed
            self.make_plan()
        LOG.info("resumed after step %d of %d", step, self.progress.total)

    def tell_rules(self) -> None:
        """Open the log with what the run does outside the challenge's rules, if anything."""
        said = noncompliant(self.learner.net, self.metadata)
        if said:
            LOG.warning("NOT COMPLIANT, never to be submitted: %s", "; ".join(said))
            self.folder.log("noncompliant", 0, said=said)

    def make_plan(self) -> None:
        """Fix the number of steps, timing the first ones if a wall time is given."""
        options = self.options
        if options.steps is not None:
            self.progress.plan = [(0, options.steps)]
            return
        if options.seconds is None:
            raise ValueError("LoopOptions needs steps or seconds")
        end = options.begun + options.seconds - options.spare
        costs = self._measure(PROBE_SHARE * (end - time.monotonic()))
        total = steps_within(end - time.monotonic(), costs)
        self.progress.plan = [(0, total)]
        self.deadline = Deadline(end, costs)
        self._save()
        mean = costs.mean_step(0.0)
        LOG.info("%.0f s fit %d steps of %.3f s on average", options.seconds, total, mean)
        self.folder.log("plan", 0, steps=total, **dataclasses.asdict(costs))

    def _measure(self, limit: float) -> Costs:
        """Time the first steps, a validation and a checkpoint, and undo them."""
        before = copy.deepcopy(self.learner.state())
        share = self.options.first_pass_share if pass_count(self.learner.net) > 1 else 0.0
        whole_step = self._time_step(limit, first_only=False)
        first_step = self._time_step(limit, first_only=True) if share else whole_step
        validate(self.learner.net, self.validation, self.subset[:1], device=self.device)
        begun = time.monotonic()
        validate(self.learner.net, self.validation, self.subset[-1:], device=self.device)
        pair = time.monotonic() - begun
        self.learner.load(before)
        begun = time.monotonic()
        self._save()
        saving = time.monotonic() - begun
        full = len(self.validation) * pair * 1.1 + PICTURE_ROWS * pair + 4 * saving + 1.0
        subset = len(self.subset) * pair + PICTURE_ROWS * pair + saving
        between = subset / self.options.validate_every + saving / self.options.checkpoint_every
        return Costs(
            whole_step=whole_step,
            first_step=first_step,
            first_share=share,
            between=between,
            ending=full,
        )

    def _time_step(self, limit: float, *, first_only: bool) -> float:
        """Return the seconds of a step; the weights are changed by it."""
        rate = self.options.lr / max(self.options.warmup, 1)

        def run(batch: Batch, step: int) -> None:
            self.learner.step(batch, step, rate, first_only=first_only)
            synchronise(self.device)

        return time_steps(self.batches, run, limit)

    # the steps

    def steps(self, stop: StopRequest) -> None:
        """Take every step that is left."""
        run = self.progress
        stream = self.batches(run.step, run.total)
        with self._bar() as bar, closing(stream):
            while run.step < run.total:
                first_only = progress(run.step, run.plan) < self.options.first_pass_share
                rate = self._rate()
                begun = time.monotonic()
                batch = next(stream)
                waited = time.monotonic() - begun
                result = self.learner.step(batch, run.step, rate, first_only=first_only)
                if self.deadline is not None:
                    self.deadline.took(time.monotonic() - begun, first_only=first_only)
                run.step += 1
                bar.update()
                bar.set_postfix_str(f"loss {result.loss:.4f}", refresh=False)
                self._after(result, rate, waited, bar)
                if stop.number is not None:
                    self._save()
                    raise Interrupted(stop.number, run.step)

    def _rate(self) -> float:
        """Return the learning rate of the next step."""
        run, options = self.progress, self.options
        return options.schedule.rate(
            run.step, run.plan, peak=options.lr, floor=options.lr_min, warmup=options.warmup
        )

    def _after(self, result: StepResult, rate: float, waited: float, bar: tqdm[Any]) -> None:
        """Log, validate and save where it is due after a step."""
        step, options = self.progress.step, self.options
        last = step == self.progress.total
        if step % LOG_EVERY == 0 or last:
            parts = {f"loss_pass{i}": value for i, value in enumerate(result.passes, start=1)}
            numbers = {"loss": result.loss, **parts, "lr": rate, "norm": result.norm}
            if result.adversary is not None:
                numbers["loss_adversary"] = result.adversary
            self.folder.log("train", step, **numbers, waited=round(waited, 4))
        if step % options.validate_every == 0 and not last:
            self._validate()
        if step % options.checkpoint_every == 0 and not last:
            self._save()
        if options.snapshot_every and step % options.snapshot_every == 0:
            leavings.write_snapshot(self.folder, self.learner, self._about({}), step)
        if self.deadline is not None and step % PACE_EVERY == 0:
            self._keep_pace(bar)

    def _keep_pace(self, bar: tqdm[Any]) -> None:
        """Plan fewer steps if the machine became too slow for the wall time."""
        assert self.deadline is not None
        run = self.progress
        total = self.deadline.shortened(run.step, run.total, progress(run.step, run.plan))
        if total is None:
            return
        LOG.warning("slower than timed: %d steps instead of %d", total, run.total)
        run.plan.append((run.step, total))
        self.folder.log("plan", run.step, steps=total)
        bar.total = total

    def _bar(self) -> tqdm[Any]:
        return tqdm(
            total=self.progress.total,
            initial=self.progress.step,
            desc="train",
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30.0,
        )

    # what it leaves

    def _validate(self) -> None:
        """Score the averaged weights on the subset; keep them if they are the best so far."""
        net, average = self.learner.net, self.learner.average
        with average.applied(net):
            scores = validate(net, self.validation, self.subset, device=self.device)
            self._picture()
        self._note(scores, "validate")

    def _note(self, scores: Scores, kind: str) -> None:
        step = self.progress.step
        value = scores.mean_psnr(among=self.subset)
        weights: dict[str, float] = getattr(self.learner.net, "prior_weights", dict)()
        named = {f"weight_{name}": number for name, number in weights.items()}
        self.folder.log(kind, step, **scores.summary(), subset_psnr=value, **named)
        passes = ", ".join(f"{scores.mean_psnr(i):.3f}" for i in range(len(scores.psnr)))
        LOG.info("step %d: PSNR %s dB on %d pairs", step, passes, len(scores.indices))
        best = self.progress.best_psnr
        if best is None or value > best:
            self.progress.best_psnr, self.progress.best_step = value, step
            leavings.write_best(self.folder, self.learner, self._about(scores.summary()))

    def _about(self, summary: Mapping[str, float]) -> dict[str, Any]:
        run = self.progress
        training = {"step": run.step, "steps": run.total, **summary}
        return {**self.metadata, "training": training}

    def _picture(self) -> None:
        rows = self.subset[:PICTURE_ROWS]
        image = picture(self.learner.net, self.validation, rows, device=self.device)
        self.folder.picture("validation", image, self.progress.step)

    def _save(self) -> None:
        """Write a checkpoint of this very step."""
        step = self.progress.step
        state = {
            "learner": self.learner.state(),
            "progress": dataclasses.asdict(self.progress),
            "metadata": dict(self.metadata),
            "random": torch.get_rng_state(),
        }
        checkpoint.save(self.folder.checkpoints, state, step)
        self.saved_step = step

    def _leave_if(self, stop: StopRequest) -> Callable[[], None]:
        """Return a check that leaves when a signal came; all is saved when it is called."""

        def check() -> None:
            if stop.number is not None:
                raise Interrupted(stop.number, self.progress.step)

        return check

    def finish(self, stop: StopRequest) -> Outcome:
        """Validate on the full set after the last step, and write the last files."""
        if self.saved_step != self.progress.step:
            self._save()
        net = self.learner.net
        everything = spread(len(self.validation), len(self.validation))
        with self.learner.average.applied(net):
            scores = validate(
                net, self.validation, everything, device=self.device, between=self._leave_if(stop)
            )
            self._picture()
        self._note(scores, "final")
        leavings.write_last(self.folder, self.learner, self._about(scores.summary()))
        leavings.write_scores(self.folder, scores, self.validation.names, self.progress.step)
        self._save()
        best = self.progress.best_psnr
        assert best is not None
        return Outcome(self.progress.step, scores, self.progress.best_step, best)
