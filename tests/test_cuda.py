"""What only a CUDA device can show: `pytest -m gpu tests/test_cuda.py`.

On other machines everything here is skipped; the same promises are tested on the CPU elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data.batches import as_float
from evaluation.evaluate import main as evaluate
from models.device import choose_device
from models.restorer import to_batch
from models.student import Student
from priors.fit_priors import main as fit_priors
from search.run_search import main as run_search
from tests.train.conftest import maker, tiny_net
from train.learner import Learner, StepOptions
from train.optimizers import OptimizerOptions
from train.train_baseline import main as train_baseline
from train.train_derived import main as train_derived

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
SMALL = ("--preset", "quick", "--synthetic-count", "24", "--synthetic-val", "2")
ON_GPU = (*SMALL, "--device", "cuda", "--workers", "2")
THREE_STEPS = ("--steps", "3", "--validate-pairs", "1")


def rows(folder: Path, kind: str) -> list[dict[str, float]]:
    """The lines of one kind in the log of a run."""
    every = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in every if row["kind"] == kind]


@pytest.mark.parametrize("switch", ["off", "on"])
def test_a_baseline_trains_and_is_evaluated(run_root: Path, switch: str) -> None:
    flags = (*ON_GPU, *THREE_STEPS, "--compile", switch, "--dropout", "0.1", "--out", "run")
    assert train_baseline([*flags, "--model", "srcnn"]) == 0
    assert len(rows(Path("run"), "final")) == 1
    assert evaluate(["--checkpoint", "run/best.safetensors", "--device", "cuda"]) == 0
    assert evaluate(["--checkpoint", "run/best.safetensors", "--device", "cpu"]) == 0
    gpu, cpu = (
        json.loads((folder / "results.json").read_text())
        for folder in sorted(Path("runs").glob("evaluate-*"))
    )
    assert gpu["psnr"] == pytest.approx(cpu["psnr"], abs=2e-3)


@pytest.mark.parametrize("strategy", ["darts", "gdas"])
def test_priors_are_fitted_a_network_is_found_and_trained(run_root: Path, strategy: str) -> None:
    assert fit_priors([*ON_GPU, "--student-steps", "3"]) == 0
    flags = ("--strategy", strategy, "--steps", "3", "--search-warmup", "1", "--log-every", "1")
    assert run_search([*ON_GPU, *flags]) == 0
    assert train_derived([*ON_GPU, *THREE_STEPS, "--out", "run"]) == 0
    assert train_derived([*ON_GPU, "--max-minutes", "0.7", "--out", "timed"]) == 0


def test_bytes_become_the_same_floats_as_on_the_cpu() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(as_float(every.cuda()).cpu(), as_float(every))
    picture = every[0, 0, :, :, None].expand(-1, -1, 3).contiguous().numpy()
    assert torch.equal(to_batch(picture, "cuda").cpu(), to_batch(picture))


def test_the_student_says_the_same_on_both_devices() -> None:
    choose_device("cuda")
    torch.manual_seed(0)
    student, faces = Student().eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        here = student(faces)
        there = student.cuda()(faces.cuda())
    for name, maps in here.items():
        torch.testing.assert_close(there[name].cpu(), maps, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "muon", "sgd"])
def test_a_step_is_the_cpu_s_but_for_rounding(optimizer: str) -> None:
    losses = []
    for device in ("cpu", "cuda"):
        options = StepOptions(optimizer=OptimizerOptions(name=optimizer))
        learner = Learner(tiny_net(("parse", "heat")), options, choose_device(device))
        losses.append([learner.step(maker()(step), step, 1e-3).loss for step in range(3)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_compiled_step_is_the_eager_one_but_for_rounding() -> None:
    losses = []
    for compiled in (False, True):
        options = StepOptions(compiled=compiled)
        learner = Learner(tiny_net(("heat",)), options, choose_device("cuda"))
        losses.append([learner.step(maker()(step), step, 1e-3).loss for step in range(3)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_state_of_the_gpu_goes_on_from_a_checkpoint() -> None:
    device = choose_device("cuda")
    options = StepOptions(optimizer=OptimizerOptions(name="muon"), dropout=0.2)
    first, second = (Learner(tiny_net(("heat",)), options, device) for _ in range(2))
    for step in range(2):
        first.step(maker()(step), step, 1e-3)
    second.load(first.state())
    results = [one.step(maker()(2), 2, 1e-3).loss for one in (first, second)]
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_a_step_waits_for_the_gpu_once() -> None:
    device = choose_device("cuda")
    learner = Learner(tiny_net(("parse", "heat")), StepOptions(), device)
    batches = [maker().in_bytes(step).pin_memory() for step in range(4)]
    for step in range(3):
        learner.step(batches[step], step, 1e-3)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchroniz") as said:
            learner.step(batches[3], 3, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(said) == 1
