"""Training batches: what step t sees is a pure function of (seed, t)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import FrameType
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.augment import flip_image
from data.augmentations import Augmentation
from data.degradation import DEGRADATIONS, degrade
from data.degradation_values import parse_values
from data.errors import DataError
from data.sampling import sample_rng
from data.sharpen import sharpen
from data.sources import FaceSource

Made = TypeVar("Made")

ORDER_STREAM = 1 << 16
"""Added to a maker's stream for the order of the faces, apart from the draws about a face."""

AUGMENT_STREAM = 1 << 17
"""Added to a maker's stream for the augmentations, apart from all other draws about a face."""

GRACE_SECONDS = 3.0
"""How long a worker lives on after SIGTERM, so that the main process can finish its step."""


@dataclass(frozen=True)
class Batch:
    """F faces and N crops of them; images are RGB float32 in [0,1].

    Between loader and GPU they may be uint8, which `to` turns into float32.
    """

    lq: torch.Tensor
    """Crops of the LQ `(N,3,h,w)`."""
    hq: torch.Tensor
    """The same places of the HQ `(N,3,h*s,w*s)`."""
    face: torch.Tensor
    """Whole LQ faces `(F,3,H,W)`, for the student."""
    owner: torch.Tensor
    """Which row of `face` each crop is from, `(N,)` int64."""
    top: torch.Tensor
    """First row of each crop in its face, in LQ px, `(N,)` int64."""
    left: torch.Tensor
    """First column of each crop in its face, in LQ px, `(N,)` int64."""
    names: list[str]
    """Names of the F faces."""
    mirrored: list[bool]
    """Whether each of the F faces is mirrored."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its images on `device` as float32 in [0,1].

        The places stay where they are: the host cuts by them, and asking a GPU for them would
        wait for all that it has to do.
        """

        def moved(images: torch.Tensor) -> torch.Tensor:
            return as_float(images.to(device, non_blocking=True))

        return replace(self, lq=moved(self.lq), hq=moved(self.hq), face=moved(self.face))

    def pin_memory(self) -> Batch:
        """Return the batch with its images in memory that a GPU can copy while the host goes on."""
        lq, hq, face = (images.pin_memory() for images in (self.lq, self.hq, self.face))
        return replace(self, lq=lq, hq=hq, face=face)


class BatchMaker:
    """Makes the batch of any step: faces, flips, degradation and crops.

    A step takes `faces` faces, degrades each once and cuts `crops` squares of `lq_crop` LQ px from
    each (N = faces x crops, those of one face next to each other), so that the costly degradation
    is shared; `lq_crop=None` takes the whole face (then `crops` is 1). Crops lie on the grid of
    pixel-unshuffle(8/scale), at even LQ px at least. Every face comes once per epoch, in an order
    drawn from (seed, stream, epoch); all else about face k of step t from (seed, stream, t, k):
    the batch does not depend on the step before it, on workers or on the process.
    """

    def __init__(
        self,
        source: FaceSource,
        *,
        seed: int,
        faces: int,
        crops: int,
        lq_crop: int | None,
        degradation: str,
        scale: int,
        flip: bool = True,
        degradation_values: Sequence[str] = (),
        augmentation: Augmentation | None = None,
        sharpened: bool = False,
        stream: int = 0,
    ) -> None:
        """Check the settings. `stream` separates makers of one seed (weights, logits).

        `degradation_values` change numbers of the second order (`data.degradation_values`);
        `sharpened` faces take the place of the HQ, as target and as what is degraded.

        Raises `DataError` if the settings do not fit the faces.
        """
        self.source, self.seed, self.faces, self.crops = source, seed, faces, crops
        self.degradation, self.scale, self.flip, self.stream = degradation, scale, flip, stream
        if degradation_values and degradation != "second-order":
            raise DataError(
                "degradation values change the second order: --degradation second-order"
            )
        self._degradation = parse_values(degradation_values) if degradation_values else degradation
        self.augmentation, self.sharpened = augmentation or Augmentation(), sharpened
        self.lq_side, left = divmod(source.side, scale)
        self.lq_crop = self.lq_side if lq_crop is None else lq_crop
        self.align = max(2, 8 // scale)
        if left or degradation not in DEGRADATIONS:
            raise DataError(
                f"HQ side {source.side}, scale {scale}, degradation {degradation!r}: the side must "
                f"be a multiple of the scale, the degradation one of {', '.join(DEGRADATIONS)}"
            )
        if self.faces < 1 or self.crops < 1 or (lq_crop is None and self.crops != 1):
            raise DataError(
                f"{faces} faces x {crops} crops a step: at least one of each, and one crop per "
                "face when whole faces are taken (lq_crop None)"
            )
        if not 0 < self.lq_crop <= self.lq_side or self.lq_crop % self.align:
            raise DataError(
                f"LQ crop {self.lq_crop}: must be a multiple of {self.align} "
                f"and at most the LQ side {self.lq_side}"
            )

    def __call__(self, step: int) -> Batch:
        """Return the batch of `step` (0, 1, ...).

        An error while a face is made carries the name of the face and the step.
        """
        batch = self.in_bytes(step)
        lq, hq, face = (
            as_float(images.contiguous()) for images in (batch.lq, batch.hq, batch.face)
        )
        return replace(batch, lq=lq, hq=hq, face=face)

    def in_bytes(self, step: int) -> Batch:
        """Return the batch of `step` with images uint8, channels last: a quarter of the memory."""
        lq, hq, whole, places, names, flips = [], [], [], [], [], []
        for k, i in enumerate(self.face_numbers(step)):
            try:
                hq_face, lq_face, corners, mirrored = self._face(i, step, k)
            except Exception as error:
                error.add_note(f"while making face {self.source.names[i]!r} of step {step}")
                raise
            size, s = self.lq_crop, self.scale
            for top, left in corners:
                lq.append(lq_face[top : top + size, left : left + size])
                hq.append(hq_face[top * s : (top + size) * s, left * s : (left + size) * s])
                places.append((k, top, left))
            whole.append(lq_face)
            names.append(self.source.names[i])
            flips.append(mirrored)
        columns = torch.tensor(places, dtype=torch.int64).T.contiguous()
        return Batch(
            lq=_stacked(lq),
            hq=_stacked(hq),
            face=_stacked(whole),
            owner=columns[0],
            top=columns[1],
            left=columns[2],
            names=names,
            mirrored=flips,
        )

    def face_numbers(self, step: int) -> list[int]:
        """Return the numbers of the faces of `step`: the next `faces` of the epoch's order."""
        count = len(self.source)
        places = (divmod(step * self.faces + k, count) for k in range(self.faces))
        return [int(_order(self.seed, self.stream, epoch, count)[place]) for epoch, place in places]

    def _face(
        self, i: int, step: int, k: int
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]], bool]:
        """Return (HQ, LQ, corners in LQ px, mirrored) of face `i` as the `k`-th of `step`."""
        rng = sample_rng(self.seed, step, k, self.stream)
        # flip and corners first: they stay the same whatever the degradation draws
        mirrored = rng.random() < 0.5 and self.flip
        places = (self.lq_side - self.lq_crop) // self.align + 1
        corners = [
            (int(row) * self.align, int(column) * self.align)
            for row, column in rng.integers(0, places, size=(self.crops, 2))
        ]
        hq = self.source.image(i)
        if mirrored:
            hq = flip_image(hq)
        own = sample_rng(self.seed, step, k, AUGMENT_STREAM + self.stream)
        hq = self.augmentation.face(hq, own)
        if self.sharpened:
            hq = sharpen(hq)
        lq = degrade(hq, rng, self._degradation, self.scale)
        return hq, self.augmentation.lq(lq, hq, own), corners, mirrored


@lru_cache(maxsize=8)
def _order(seed: int, stream: int, epoch: int, count: int) -> np.ndarray:
    order = sample_rng(seed, epoch, 0, ORDER_STREAM + stream).permutation(count)
    order.setflags(write=False)
    return order


def _stacked(images: list[np.ndarray]) -> torch.Tensor:
    """Images uint8 `(h,w,3)` of one size as uint8 `(N,3,h,w)`, channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Return images uint8 as float32 in [0,1], the same bits on every device; others unchanged."""
    if images.dtype != torch.uint8:
        return images
    # a GPU multiplies by the inverse of a number, but divides by a tensor
    return images.to(torch.float32).div_(torch.full((), 255.0, device=images.device))


def batch_stream(
    make: Callable[[int], Made], start: int, stop: int, workers: int, *, pinned: bool = False
) -> Generator[Made]:
    """Yield what `make` makes of steps `start` to `stop - 1`, in order.

    `workers=0` makes them in this process; with more, that many processes work two batches ahead.
    The batches are the same. torch's global generator is not touched. Workers leave SIGINT to
    this process, outlive SIGTERM by a few seconds and end with this process. `pinned`: for a GPU,
    in memory that it can copy while the host goes on.
    """
    if workers == 0 and not pinned:
        yield from (make(step) for step in range(start, stop))
        return
    yield from DataLoader(
        _Steps(make, start, stop),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
        pin_memory=pinned,
    )


class _Steps(Dataset[Made]):
    """The batches of a range of steps, numbered from 0."""

    def __init__(self, make: Callable[[int], Made], start: int, stop: int) -> None:
        self._make = make
        self._steps = range(start, stop)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, i: int) -> Made:
        return self._make(self._steps[i])


def _start_worker(_worker: int) -> None:
    # Ctrl-C and `timeout` signal the whole process group: the main process finishes its step and
    # ends us. SIGTERM may also be that end, so it is obeyed, only late and without a failure.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_late)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _end_late(_signal: int, _frame: FrameType | None) -> None:
    end = threading.Timer(GRACE_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()
