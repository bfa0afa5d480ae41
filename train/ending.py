"""What the training commands print, and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from torch import nn

from data.errors import DataError
from data.validation import Validation
from evaluation.metrics import psnr
from models.artifact import ArtifactError
from models.device import DeviceError
from models.genotype import GenotypeError
from models.prior_source import LabelError
from models.size import CapError, count, format_table
from models.space import SpaceError
from priors.fitted import PriorsError
from train.checkpoint import CheckpointError
from train.flags import ConfigError
from train.interrupt import Interrupted
from train.learner import TrainingError
from train.losses import LossError
from train.pace import PaceError
from train.progress import Outcome
from train.run_folder import RunFolder, RunFolderError
from train.schedules import ScheduleError

LOG = logging.getLogger(__name__)
EXPECTED = (
    ArtifactError,
    CapError,
    CheckpointError,
    ConfigError,
    DataError,
    DeviceError,
    GenotypeError,
    LabelError,
    LossError,
    PaceError,
    PriorsError,
    RunFolderError,
    ScheduleError,
    SpaceError,
    TrainingError,
)
"""Errors whose message is meant for the person who typed the command: shown without a traceback."""


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Return the exit status of an entry: 2 after an expected error, 130 or 143 after a signal."""
    try:
        return main(argv)
    except Interrupted as stopped:
        sys.stderr.write(f"{stopped}\n")
        return stopped.code
    except EXPECTED as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def size_table(net: nn.Module, cap: int) -> str:
    """Return modules and their parameters, the total, and what is left under the cap."""
    size = count(net)
    return f"{format_table(net, cap)}\nleft under the cap of {cap:,}: {cap - size.total:,}"


def bicubic_psnr(validation: Validation) -> float:
    """Return the mean PSNR in dB of bicubic enlargement over the validation pairs."""
    values = []
    for i in range(len(validation)):
        lq, hq = validation.pair(i)
        size = (hq.shape[1], hq.shape[0])
        enlarged = cv2.resize(lq, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        values.append(psnr(enlarged, hq))
    return float(np.mean(values))


def result_table(
    outcome: Outcome, validation: Validation, folder: RunFolder, seconds: float
) -> str:
    """Return the scores of every pass beside bicubic, the files, and the next command."""
    scores = outcome.scores
    bicubic = bicubic_psnr(validation)
    lines = [
        "",
        f"{'':<12}{'PSNR dB':>10}{'gain':>8}{'SSIM':>9}",
        f"{'bicubic':<12}{bicubic:>10.3f}",
    ]
    for i in range(len(scores.psnr)):
        value = scores.mean_psnr(i)
        gain = value - bicubic
        lines.append(f"{f'pass {i + 1}':<12}{value:>10.3f}{gain:>+8.3f}{scores.mean_ssim(i):>9.4f}")
    lines += [
        f"{len(scores.indices)} pairs, {outcome.steps} steps, {seconds / 60:.1f} minutes",
        f"best weights: {folder.best} (step {outcome.best_step})",
        f"pictures:     {folder.pictures}",
        "",
        "next: python evaluation/evaluate.py"
        + ("" if folder.path.parent.name == "runs" else f" --checkpoint {folder.best}"),
    ]
    return "\n".join(lines)
