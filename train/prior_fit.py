"""The one place that decides which fit of the priors a command uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from data.cache import packed
from data.errors import DataError
from data.sources import FaceSource, FolderSource, OpenedData, Subset, split_validation
from priors.fitted import FittedPriors, fit_or_load
from priors.schooling import SCHOOLING
from priors.tiers import TIERS
from train.config import CommonConfig
from train.flags import flag
from train.optimizers import Optimizer, OptimizerOptions, build_optimizer
from train.session import preset_of


@dataclass(frozen=True, kw_only=True)
class PriorsConfig(CommonConfig):
    """Flags of the commands on the priors themselves."""

    tier: str = flag("quick", "how strong the teachers are", choices=tuple(TIERS))
    student_steps: int = flag(
        0, "training steps of the student; 0: the tier's, or the preset's for the quick one"
    )


def told_fit(
    config: PriorsConfig, priors: Sequence[str], data: OpenedData, device: torch.device
) -> FittedPriors | None:
    """The fit that the flags of a command on the priors ask for, their seed included."""
    preset = preset_of(config)
    return fitted_priors(
        config,
        priors,
        data,
        size=preset.student_size,
        scale=preset.scale,
        device=device,
        tier=config.tier,
        steps=config.student_steps or None,
        seed=config.seed,
    )


FIT_SIDE = 512
"""Real faces are fitted at this side, so that one fit serves searches and trainings of any size."""


def fitted_priors(
    config: CommonConfig,
    priors: Sequence[str],
    data: OpenedData,
    *,
    size: int,
    scale: int,
    device: torch.device,
    tier: str = "quick",
    steps: int | None = None,
    seed: int = 0,
) -> FittedPriors | None:
    """Teachers and student of `priors`, or None where none are asked for.

    The strongest fit of the same training faces in the cache is taken; without one `tier` is
    fitted and kept there. size: side of the student's input in px; steps: of the student's
    training, by default the tier's, or the preset's where the tier leaves it open. The seed is not
    the run's: runs of all seeds share a fit.
    Raises PriorsError or DataError.
    """
    if not priors:
        return None
    return fit_or_load(
        _fit_source(config, data.train, keep=tier != "quick"),
        priors,
        folder=config.cache / "priors",
        tier=tier,
        size=size,
        student_steps=steps or SCHOOLING[tier].steps or preset_of(config).student_steps,
        seed=seed,
        scale=scale,
        device=device,
        workers=config.workers or 0,
        optimiser=student_optimiser,
    )


def student_optimiser(
    name: str, parameters: Sequence[nn.Parameter], device: torch.device
) -> Optimizer:
    """The optimiser of a student: any of `train.optimizers`."""
    return build_optimizer(OptimizerOptions(name=name), parameters, device)


def _fit_source(config: CommonConfig, train: FaceSource, *, keep: bool) -> FaceSource:
    """The training faces as large as the fit wants them; `train` itself where they are not.

    keep: pack them into the cache, for fits that look at a face many times.
    """
    if config.data is None or train.side >= FIT_SIDE:
        return train
    try:
        large: FaceSource = FolderSource(config.data, FIT_SIDE)
    except DataError:
        return train
    if keep:
        large = packed(large, config.cache / "faces")
    return Subset(large, split_validation(large.names)[0]) if config.val is None else large
