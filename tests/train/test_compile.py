"""A compiled training step: the same network, names and files; one wait in a step."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from data.batches import Batch
from models.device import DeviceError, choose_device
from models.mixing import MixWeights
from models.restorer import restore
from tests.train.conftest import Trial, maker, tiny_net
from train import learner as learner_module
from train import session
from train.checkpoint import load_latest
from train.config import BaselineConfig
from train.flags import filled
from train.learner import Learner, StepOptions
from train.pace import time_steps

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
PRIORS = ("heat",)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Compile without a C compiler, and refuse to compile anything twice."""
    torch._dynamo.reset()
    monkeypatch.setattr(learner_module, "COMPILER", "aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    torch._dynamo.reset()


def test_a_compiled_step_is_the_eager_one_and_compiles_once(traced: None) -> None:
    kinds = [Learner(tiny_net(PRIORS), StepOptions(compiled=c), CPU) for c in (False, True)]
    lq = torch.zeros(24, 16, 3, dtype=torch.uint8).numpy()
    for step in range(4):
        batch = maker()(step)
        eager, compiled = (one.step(batch, step, 1e-3) for one in kinds)
        assert compiled.passes == pytest.approx(eager.passes, rel=1e-5)
        assert compiled.norm == pytest.approx(eager.norm, rel=1e-3)
        restore(kinds[1].net, lq)  # of another size, between the steps
    wanted, found = (one.average.average for one in kinds)
    assert list(wanted) == list(found)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)


def test_a_compiled_run_goes_on_exactly_and_keeps_its_names(traced: None, trial: Trial) -> None:
    options = StepOptions(seed=3, compiled=True)
    trial.run("whole", steps=4, checkpoint_every=2, step=options)

    def stop(step: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    trial.before = stop
    with torch._dynamo.config.patch(error_on_recompile=False):  # as another process would
        with pytest.raises(KeyboardInterrupt):
            trial.run("cut", steps=4, checkpoint_every=2, step=options)
        trial.before = lambda step: None
        trial.run("cut", steps=4, checkpoint_every=2, step=options, resume=True)
    states = [load_latest(trial.folder(n).checkpoints)[1]["learner"] for n in ("whole", "cut")]
    names = list(states[0]["weights"])
    assert names == list(tiny_net().state_dict())
    assert list(states[0]["average"]["average"]) == names
    assert all(torch.equal(states[0]["weights"][n], states[1]["weights"][n]) for n in names)


@pytest.mark.slow
@pytest.mark.skipif(bool(session.compiler_missing(CPU)), reason="no compiler")
def test_the_real_compiler_makes_the_same_step() -> None:
    kinds = [Learner(tiny_net(), StepOptions(compiled=c), CPU) for c in (False, True)]
    losses = [[one.step(maker()(t), t, 1e-3).loss for t in range(3)] for one in kinds]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


class _Waits(TorchDispatchMode):
    """Counts reads of single values: on a GPU each waits for all that was asked before."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_step_reads_no_single_values(optimizer: str) -> None:
    options = session.OptimizerOptions(name=optimizer)
    learner = Learner(tiny_net(("parse", "heat", "dict")), StepOptions(optimizer=options), CPU)
    learner.step(maker()(0), 0, 1e-3)
    batch = maker()(1)
    with _Waits() as waits:
        learner.step(batch, 1, 1e-3)
        assert waits.count == 0
        torch.ones(1).item()
        assert waits.count == 1, "the counter counts"


def test_the_places_of_crops_stay_with_the_host() -> None:
    moved = maker(crop=8).in_bytes(0).to("meta")
    assert {value.device.type for value in (moved.lq, moved.hq, moved.face)} == {"meta"}
    assert {value.device.type for value in (moved.owner, moved.top, moved.left)} == {"cpu"}


def test_coefficients_go_over_in_one_copy() -> None:
    values = {"a": torch.tensor([0.25, 0.75]), "b": torch.tensor([1.0]), "c": torch.zeros(3)}
    weights = MixWeights(values, {"a": (1,)})
    assert weights.to("cpu") is weights

    class Copies(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.count += func is torch.ops.aten._to_copy.default
            return func(*args, **(kwargs or {}))

    with Copies() as copies:
        there = weights.to("meta")
    assert copies.count == 1
    assert {n: (v.shape, v.device.type) for n, v in there.values.items()} == {
        n: (v.shape, "meta") for n, v in values.items()
    }
    assert there.active == weights.active


@pytest.mark.parametrize(
    ("flags", "device", "missing", "wanted"),
    [
        ({"steps": 2000, "faces": 8, "crops": 1}, CUDA, "", True),
        ({"steps": 1999, "faces": 8, "crops": 1}, CUDA, "", False),
        ({"steps": 2000, "faces": 8, "crops": 1}, CUDA, "no triton", False),
        ({"steps": 2000, "faces": 8, "crops": 1}, CPU, "", False),
        ({"max_minutes": 10.0}, CUDA, "", True),
        ({"max_minutes": 9.0}, CUDA, "", False),
        ({"max_minutes": 10.0, "compile": "off"}, CUDA, "", False),
        ({"steps": 1, "compile": "on"}, CPU, "", True),
    ],
)
def test_what_auto_compiles(
    flags: dict[str, Any],
    device: torch.device,
    missing: str,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "compiler_missing", lambda device: missing)
    assert session.wants_compile(filled(BaselineConfig(**flags), "full"), device) is wanted


def test_compiling_without_a_compiler_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "compiler_missing", lambda device: "no C compiler")
    with pytest.raises(DeviceError, match="no C compiler"):
        session.wants_compile(filled(BaselineConfig(compile="on"), "full"), CUDA)


def test_float32_stays_float32_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        choose_device("cpu")
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (True, True)
        choose_device("cuda")
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, False)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def test_compiling_is_not_taken_for_the_pace() -> None:
    def batches(start: int, stop: int) -> Generator[Batch]:
        for step in range(start, stop):
            yield maker()(step)

    taken: list[int] = []

    def run(batch: Batch, step: int) -> None:
        taken.append(step)
        time.sleep(0.5 if step == 0 else 0.0)

    each = time_steps(batches, run, limit=0.4)
    assert len(taken) > 2, "the first step's time does not count towards the limit"
    assert each < 0.25
