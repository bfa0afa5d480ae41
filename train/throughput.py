"""How fast training steps are on a device, without the faces, and how fast the faces come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from data.batches import Batch, BatchMaker, batch_stream
from models.device import synchronise
from train.learner import Learner, StepOptions
from train.optimizers import OptimizerOptions

MODES: dict[str, dict[str, Any]] = {
    "fp32": {"bf16": False, "channels_last": False, "compiled": False},
    "bf16": {"bf16": True, "channels_last": True, "compiled": False},
    "compiled": {"bf16": True, "channels_last": True, "compiled": True},
}
SETTLING = 3
"""Steps before the clock starts: memory is taken, convolutions are chosen, or compiled."""
RATE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What one way of computing a step reaches."""

    steps_per_second: float
    faces_per_second: float
    kernel_share: float | None
    """Time in kernels over wall time of the same steps, from the profiler; None off CUDA."""
    peak_bytes: int | None
    """Most memory in tensors at once; None off CUDA."""
    settling_seconds: float
    """Time of the first `SETTLING` steps, compiling included."""


class Pictures:
    """HQ faces (side,side,3) uint8 that are in memory already, as a source."""

    fingerprint = "0" * 16

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._images = list(images)
        self.side = len(self._images[0])
        self.names = [f"picture-{i}" for i in range(len(self._images))]

    def __len__(self) -> int:
        return len(self._images)

    def image(self, i: int) -> np.ndarray:
        """Return picture `i`, a copy."""
        return self._images[i].copy()


def stub_batch(faces: int, side: int, scale: int, *, seed: int = 0) -> Batch:
    """A batch of noise as the loader hands it to a GPU: uint8 whole faces of HQ `side` px."""
    generator = torch.Generator().manual_seed(seed)

    def noise(size: int) -> torch.Tensor:
        images = torch.randint(0, 256, (faces, size, size, 3), generator=generator)
        return images.to(torch.uint8).permute(0, 3, 1, 2)

    lq, zeros = noise(side // scale), torch.zeros(faces, dtype=torch.int64)
    names = [f"noise-{i}" for i in range(faces)]
    owner = torch.arange(faces)
    batch = Batch(lq, noise(side), lq, owner, zeros, zeros, names, [False] * faces)
    return batch.pin_memory() if torch.cuda.is_available() else batch


def measure(
    build: Callable[[], nn.Module],
    mode: str,
    batch: Batch,
    *,
    steps: int,
    device: torch.device,
    optimizer: str = "adam",
) -> Throughput:
    """Train a fresh network of `build` on one batch for `steps` steps, as `MODES[mode]` says."""
    options = StepOptions(optimizer=OptimizerOptions(name=optimizer), **MODES[mode])
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    learner = Learner(build(), options, device)

    def run(first: int, count: int) -> float:
        synchronise(device)
        begun = time.perf_counter()
        for step in range(first, first + count):
            learner.step(batch, step, RATE)
        synchronise(device)
        return time.perf_counter() - begun

    settling = run(0, SETTLING)
    seconds = run(SETTLING, steps)
    peak = torch.cuda.max_memory_allocated(device) if cuda else None
    share = None
    if cuda:
        shorter = max(1, steps // 4)
        with profile(activities=[ProfilerActivity.CUDA]) as found:
            wall = run(SETTLING + steps, shorter)
        kernels = sum(event.self_device_time_total for event in found.key_averages())
        share = kernels / 1e6 / wall
    return Throughput(
        steps_per_second=steps / seconds,
        faces_per_second=steps * len(batch.names) / seconds,
        kernel_share=share,
        peak_bytes=peak,
        settling_seconds=settling,
    )


def loader_rate(maker: BatchMaker, workers: int, batches: int) -> float:
    """Faces a second that `workers` processes degrade, after the first batch of each is there."""
    settled = max(1, workers)
    stop = settled + batches
    with closing(batch_stream(maker.in_bytes, 0, stop, workers)) as stream:
        for _ in islice(stream, settled):
            pass
        begun = time.perf_counter()
        for _ in stream:
            pass
        return batches * maker.faces / (time.perf_counter() - begun)
