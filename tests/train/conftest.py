"""A tiny network, tiny faces and a way to train on them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.batches import Batch, BatchMaker, batch_stream
from data.validation import Validation, fixed_lq
from models.network import FaceSR
from models.space import CellSpace, Space, Trellis, Width
from train.learner import StepOptions
from train.loop import train
from train.progress import LoopOptions, Outcome
from train.run_folder import RunFolder

CPU = torch.device("cpu")
OPTIONS = LoopOptions(
    steps=8,
    lr=1e-3,
    warmup=2,
    validate_every=4,
    validate_pairs=1,
    checkpoint_every=3,
    step=StepOptions(seed=3),
)


class SmoothFaces:
    """Smooth random pictures by number."""

    fingerprint = "0" * 16
    side = 64

    def __init__(self, count: int = 5) -> None:
        self.names = [f"smooth-{i}" for i in range(count)]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        coarse = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        return cv2.resize(coarse, (self.side, self.side), interpolation=cv2.INTER_CUBIC)


def tiny_space(priors: tuple[str, ...] = ()) -> Space:
    """Return a space with the first option of every decision taken."""
    space = Space(
        priors=priors,
        sr_trellis=Trellis(layers=1, axis="level"),
        prior_trellis=Trellis(layers=1),
        fusion_trellis=Trellis(layers=1),
        cell=CellSpace(nodes=1, operations=("conv3",)),
        width=Width(channels=8, growth=4, blocks=1, sr=4, prior=2, fusion=2, tail=(8, 8, 8)),
        student_size=32,
    )
    while not space.is_genotype:
        several = next(d for d in space.decisions() if len(d.options) > 1)
        space = space.restrict({several.name: several.options[0]})
    return space


def tiny_net(priors: tuple[str, ...] = ()) -> FaceSR:
    """Return the network of `tiny_space`, always with the same weights."""
    torch.manual_seed(0)
    return FaceSR(tiny_space(priors))


def maker(crop: int | None = None) -> BatchMaker:
    """Return batches of two smooth faces."""
    return BatchMaker(
        SmoothFaces(),
        seed=3,
        faces=2,
        crops=1 if crop is None else 2,
        lq_crop=crop,
        degradation="second-order",
        scale=4,
    )


def pairs(count: int = 3) -> Validation:
    """Return validation pairs of smooth faces that are not trained on."""
    source = SmoothFaces(5 + count)
    hq = [source.image(5 + i) for i in range(count)]
    lq = [fixed_lq(image, i, degradation="second-order", scale=4) for i, image in enumerate(hq)]
    return Validation(source.names[5:], list(zip(lq, hq, strict=True)), "1" * 16)


class Trial:
    """Trains the tiny network in folders below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before: Callable[[int], None] = lambda step: None
        """Called before the batch of every step is made."""

    def folder(self, name: str) -> RunFolder:
        """Return a run folder by name, made if it is not there."""
        path = self.root / name
        path.mkdir(exist_ok=True)
        return RunFolder(path)

    def run(
        self,
        name: str,
        *,
        resume: bool = False,
        priors: tuple[str, ...] = (),
        crop: int | None = None,
        **changes: object,
    ) -> Outcome:
        """Train and return the outcome."""
        make = maker(crop)

        def batches(start: int, stop: int) -> Generator[Batch]:
            for step in range(start, stop):
                self.before(step)
                yield from batch_stream(make, step, step + 1, 0)

        return train(
            tiny_net(priors),
            batches=batches,
            validation=pairs(),
            folder=self.folder(name),
            options=replace(OPTIONS, **changes),  # type: ignore[arg-type]
            metadata={"config": {"seed": 3}},
            device=CPU,
            resume=resume,
        )


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Return a way to train the tiny network in an empty folder."""
    return Trial(tmp_path)


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Compute on one thread: tiny images gain nothing from more, and a busy machine loses much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
