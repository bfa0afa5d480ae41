"""A small supernet, small faces and the loop's arguments."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import pytest
import torch

from data.batches import Batch, BatchMaker, batch_stream
from models.space import CellSpace, Space, Trellis, Width

SIDE = 64


class SmoothFaces:
    """Smooth colour images instead of faces: quick to make, different by number."""

    def __init__(self, count: int) -> None:
        self.names = [f"smooth-{i}" for i in range(count)]
        self.side = SIDE
        self.fingerprint = "0" * 16

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
        waves = [np.sin((i + c + 2) * x + (i + 1) * y + c) for c in range(3)]
        return (np.stack(waves, -1) * 100 + 128).astype(np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Tiny tensors: a second thread would only make the tests wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_space() -> Space:
    return Space(
        priors=("parse",),
        sr_trellis=Trellis(layers=2, levels=2, axis="level"),
        prior_trellis=Trellis(layers=2, levels=2),
        fusion_trellis=Trellis(layers=2, levels=2),
        cell=CellSpace(nodes=2, operations=("skip", "conv3", "channel_attention")),
        width=Width(channels=8, growth=4, blocks=1, sr=8, prior=4, fusion=4, tail=(8, 4, 4)),
        student_size=32,
    )


@pytest.fixture
def stream() -> Callable[[int], Callable[[int, int], Generator[Batch]]]:
    """Number of the stream -> (start, stop) -> batches."""

    def of(number: int) -> Callable[[int, int], Generator[Batch]]:
        maker = BatchMaker(
            SmoothFaces(6),
            seed=0,
            faces=2,
            crops=1,
            lq_crop=None,
            degradation="second-order",
            scale=4,
            stream=number,
        )

        def batches(start: int, stop: int) -> Generator[Batch]:
            yield from batch_stream(maker, start, stop, 0)

        return batches

    return of


@pytest.fixture
def one_batch(stream: Callable[[int], Callable[[int, int], Generator[Batch]]]) -> Batch:
    torch.manual_seed(0)
    return next(stream(1)(0, 1))
