"""Validation of a network during training: scores of every pass, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.validation import Validation
from evaluation.metrics import face_box, psnr, ssim
from models.prior_source import ORACLE, source_of, tell_truth
from models.restorer import restore, restore_each, to_batch

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Scores:
    """Per-image values (one tuple per pass) of some pairs, and their means."""

    indices: tuple[int, ...]
    psnr: tuple[tuple[float, ...], ...]
    ssim: tuple[tuple[float, ...], ...]
    box: tuple[tuple[float, ...], ...] = ()
    """PSNR of the face box alone (`evaluation.metrics.face_box`)."""

    def mean_psnr(self, which: int = -1, among: Sequence[int] | None = None) -> float:
        """Return the mean PSNR in dB of one pass, over all pairs or `among` some."""
        return _mean(self.psnr[which], self.indices, among)

    def mean_ssim(self, which: int = -1, among: Sequence[int] | None = None) -> float:
        """Return the mean SSIM of one pass, over all pairs or `among` some."""
        return _mean(self.ssim[which], self.indices, among)

    def summary(self) -> dict[str, float | int]:
        """Return the means for the log: psnr, ssim (last pass), those of each pass, images."""
        rows: dict[str, float | int] = {"psnr": self.mean_psnr(), "ssim": self.mean_ssim()}
        for i in range(len(self.psnr)):
            rows[f"psnr_pass{i + 1}"] = self.mean_psnr(i)
            rows[f"ssim_pass{i + 1}"] = self.mean_ssim(i)
        return {**rows, "images": len(self.indices)}


def validate(
    net: nn.Module,
    validation: Validation,
    indices: Sequence[int],
    *,
    device: torch.device,
    between: Callable[[], None] = lambda: None,
) -> Scores:
    """Return the scores of the pairs with these numbers; `between` is called before each."""

    def lqs() -> Iterator[Image]:
        for i in indices:
            between()
            yield told_pair(net, validation, i, device)[0]

    psnrs, ssims, boxes = [], [], []
    names = (validation.names[i] for i in indices)
    each = restore_each(net, lqs(), names=names, device=device)
    for i, passes in zip(indices, each, strict=True):
        hq = validation.pair(i)[1]
        psnrs.append([psnr(image, hq) for image in passes])
        ssims.append([ssim(image, hq) for image in passes])
        boxes.append([psnr(face_box(image), face_box(hq)) for image in passes])
    return Scores(
        tuple(indices),
        tuple(zip(*psnrs, strict=True)),
        tuple(zip(*ssims, strict=True)),
        tuple(zip(*boxes, strict=True)),
    )


def picture(
    net: nn.Module, validation: Validation, indices: Sequence[int], *, device: torch.device
) -> Image:
    """Return rows of LQ (enlarged), bicubic, every pass, HQ: (H,W,3) uint8, a pair a row."""
    rows = []
    for i in indices:
        lq, hq = told_pair(net, validation, i, device)
        size = (hq.shape[1], hq.shape[0])
        enlarged = cv2.resize(lq, size, interpolation=cv2.INTER_NEAREST)
        bicubic = cv2.resize(lq, size, interpolation=cv2.INTER_CUBIC)
        passes = restore(net, lq, name=validation.names[i], device=device)
        rows.append(np.hstack([enlarged, bicubic, *passes, hq]))
    return np.ascontiguousarray(np.vstack(rows))


def told_pair(
    net: nn.Module, validation: Validation, i: int, device: torch.device
) -> tuple[Image, Image]:
    """Return (LQ, HQ) number `i`, after a network of the prior source `oracle` saw the HQ."""
    lq, hq = validation.pair(i)
    if source_of(net) != ORACLE:
        return lq, hq
    whole, truth = to_batch(lq, device), to_batch(hq, device)
    for a, b in ((whole, truth), (whole.flip(-1), truth.flip(-1))):
        tell_truth(net, a, b)
    return lq, hq


def spread(count: int, wanted: int) -> tuple[int, ...]:
    """Return `wanted` numbers spread evenly over range(count); all of them if there are fewer."""
    if wanted >= count:
        return tuple(range(count))
    return tuple(i * count // wanted for i in range(wanted))


def _mean(values: Sequence[float], indices: Sequence[int], among: Sequence[int] | None) -> float:
    chosen = set(indices if among is None else among)
    return float(np.mean([v for v, i in zip(values, indices, strict=True) if i in chosen]))
