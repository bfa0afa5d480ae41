"""Bilevel steps touch what they should, every logit learns, and resume is exact."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.batches import Batch
from models.network import FaceSR
from models.space import Space
from search.logits import Logits
from search.loop import SearchOutcome, SearchPlan, search, share_of_skips
from search.searcher import Searcher, SearchOptions
from train.interrupt import Interrupted
from train.learner import TrainingError
from train.run_folder import RunFolder

Streams = Callable[[int], Callable[[int, int], Generator[Batch]]]
CPU = torch.device("cpu")


def made(space: Space, strategy: str) -> Searcher:
    torch.manual_seed(0)
    net = FaceSR(space)
    return Searcher(net, Logits(space, seed=0), SearchOptions(strategy=strategy), CPU)


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("strategy", ["darts", "gdas"])
def test_each_step_changes_only_its_own_parameters(
    tiny_space: Space, one_batch: Batch, strategy: str
) -> None:
    searcher = made(tiny_space, strategy)
    weights, logits = copies(searcher.net.state_dict()), copies(searcher.logits.vectors)
    searcher.logit_step(one_batch, 0, 1.0)
    assert same(weights, copies(searcher.net.state_dict()))
    assert not same(logits, copies(searcher.logits.vectors))
    assert all(p.grad is None for p in searcher.net.parameters())
    logits = copies(searcher.logits.vectors)
    searcher.weight_step(one_batch, 0, 1e-3, 1.0)
    assert same(logits, copies(searcher.logits.vectors))
    after = copies(searcher.net.state_dict())
    assert not same(weights, after)
    student = [name for name in weights if name.startswith("student.")]
    assert student
    assert all(torch.equal(weights[name], after[name]) for name in student)


def test_weights_and_logits_share_no_tensor(tiny_space: Space) -> None:
    searcher = made(tiny_space, "darts")
    assert not {id(p) for p in searcher.net.parameters()} & {id(v) for v in searcher.vectors}
    assert not set(searcher.net.state_dict()) & set(searcher.logits.vectors)


def test_every_logit_gets_a_gradient_in_the_mixture(tiny_space: Space, one_batch: Batch) -> None:
    searcher = made(tiny_space, "darts")
    # gates start at exactly 1, where all weightings are one function: move them
    for name, parameter in searcher.net.fusion.weighting.named_parameters():
        torch.nn.init.normal_(
            parameter, std=0.3, generator=torch.Generator().manual_seed(len(name))
        )
    loss = searcher._forward(one_batch, searcher._mix(0, 1, 1.0))
    gradients = torch.autograd.grad(loss, searcher.vectors)
    for name, gradient in zip(searcher.logits.vectors, gradients, strict=True):
        assert bool((gradient != 0).all()), name


def test_every_open_logit_is_moved_by_samples_in_time(tiny_space: Space, one_batch: Batch) -> None:
    searcher = made(tiny_space, "gdas")
    torch.nn.init.ones_(searcher.net.fusion.weighting.gate)
    before = copies(searcher.logits.vectors)
    for step in range(25):
        searcher.logit_step(one_batch, step, 1.0)
    after = copies(searcher.logits.vectors)
    still = [name for name in before if torch.equal(before[name], after[name])]
    assert still == []


def test_non_finite_loss_stops_before_the_update(tiny_space: Space, one_batch: Batch) -> None:
    searcher = made(tiny_space, "gdas")
    bad = replace(one_batch, hq=one_batch.hq * float("nan"))
    weights, logits = copies(searcher.net.state_dict()), copies(searcher.logits.vectors)
    with pytest.raises(TrainingError, match="step 3: the loss of the weights is nan"):
        searcher.weight_step(bad, 3, 1e-3, 1.0)
    with pytest.raises(TrainingError, match="loss of the logits is nan"):
        searcher.logit_step(bad, 3, 1.0)
    assert same(weights, copies(searcher.net.state_dict()))
    assert same(logits, copies(searcher.logits.vectors))


def run(
    space: Space, stream: Streams, path: Path, strategy: str, *, resume: bool = False
) -> tuple[SearchOutcome, dict[str, Tensor], dict[str, Tensor], RunFolder]:
    path.mkdir(exist_ok=True)
    torch.manual_seed(0)
    net, logits, folder = FaceSR(space), Logits(space, seed=0), RunFolder(path)
    plan = SearchPlan(
        steps=6,
        warmup=2,
        log_every=4,
        checkpoint_every=3,
        options=SearchOptions(strategy=strategy, logits_lr=0.05),
    )
    outcome = search(
        net,
        logits,
        weight_batches=stream(1),
        logit_batches=stream(2),
        folder=folder,
        plan=plan,
        metadata={},
        device=CPU,
        resume=resume,
    )
    return outcome, copies(net.state_dict()), copies(logits.vectors), folder


class KilledError(Exception):
    """Stands for a kill -9: nothing is saved."""


def broken(stream: Streams, at: int, action: Callable[[], None]) -> Streams:
    """The same streams, but `action` happens when the batch of step `at` is asked for."""

    def of(number: int) -> Callable[[int, int], Generator[Batch]]:
        def batches(start: int, stop: int) -> Generator[Batch]:
            for step, batch in enumerate(stream(number)(start, stop), start):
                if step == at and number == 1:
                    action()
                yield batch

        return batches

    return of


def kill() -> None:
    raise KilledError


@pytest.mark.parametrize("strategy", ["darts", "gdas"])
def test_killed_and_resumed_ends_bit_for_bit_the_same(
    tiny_space: Space, stream: Streams, tmp_path: Path, strategy: str
) -> None:
    whole = run(tiny_space, stream, tmp_path / "whole", strategy)
    with pytest.raises(KilledError):
        run(tiny_space, broken(stream, 5, kill), tmp_path / "cut", strategy)
    resumed = run(tiny_space, stream, tmp_path / "cut", strategy, resume=True)
    assert same(whole[1], resumed[1])
    assert same(whole[2], resumed[2])
    assert whole[0] == resumed[0]
    assert whole[0].architecture_steps == 6
    for a, b in zip(whole[3].rows(), resumed[3].rows(), strict=True):
        assert a | {"seconds": 0} == b | {"seconds": 0}


def test_sigterm_finishes_the_step_saves_and_names_its_code(
    tiny_space: Space, stream: Streams, tmp_path: Path
) -> None:
    whole = run(tiny_space, stream, tmp_path / "whole", "gdas")
    term = broken(stream, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="after step 5") as stopped:
        run(tiny_space, term, tmp_path / "cut", "gdas")
    assert stopped.value.code == 143
    resumed = run(tiny_space, stream, tmp_path / "cut", "gdas", resume=True)
    assert same(whole[1], resumed[1])
    assert same(whole[2], resumed[2])


def test_log_says_how_far_the_logits_moved(
    tiny_space: Space, stream: Streams, tmp_path: Path
) -> None:
    outcome, _, _, folder = run(tiny_space, stream, tmp_path / "run", "gdas")
    rows = [row for row in folder.rows() if row["kind"] == "search"]
    assert [row["step"] for row in rows] == [4, 8]
    last = rows[-1]
    assert last["distance"] == outcome.distance > 2e-3
    assert last["entropy"] == outcome.entropy < 1
    assert last["skips"] == share_of_skips(last["genotype"])
    assert tiny_space.restrict(last["genotype"]).is_genotype
    assert {"loss_weights", "loss_logits", "lr", "temperature", "skip_probability"} <= set(last)


def test_warmup_leaves_the_logits_alone(tiny_space: Space, stream: Streams, tmp_path: Path) -> None:
    torch.manual_seed(0)
    logits, start = Logits(tiny_space, seed=0), Logits(tiny_space, seed=0)
    outcome = search(
        FaceSR(tiny_space),
        logits,
        weight_batches=stream(1),
        logit_batches=stream(2),
        folder=RunFolder(tmp_path),
        plan=SearchPlan(steps=0, warmup=2),
        metadata={},
        device=CPU,
    )
    assert outcome.architecture_steps == 0
    assert same(copies(logits.vectors), copies(start.vectors))
