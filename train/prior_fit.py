"""The one place that decides which fit of the priors a command uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from data.errors import DataError
from data.sources import FaceSource, FolderSource, OpenedData, Subset, split_validation
from priors.fitted import FittedPriors, fit_or_load
from priors.tiers import TIERS
from train.config import CommonConfig
from train.flags import flag
from train.session import preset_of


@dataclass(frozen=True, kw_only=True)
class PriorsConfig(CommonConfig):
    """Flags of the commands on the priors themselves."""

    tier: str = flag("quick", "how strong the teachers are", choices=tuple(TIERS))
    student_steps: int | None = flag(None, "training steps of the student")


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
        steps=config.student_steps,
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
    training, by default the preset's. The seed is not the run's: runs of all seeds share a fit.
    Raises PriorsError or DataError.
    """
    if not priors:
        return None
    return fit_or_load(
        _fit_source(config, data.train),
        priors,
        folder=config.cache / "priors",
        tier=tier,
        size=size,
        student_steps=steps or preset_of(config).student_steps,
        seed=seed,
        scale=scale,
        device=device,
    )


def _fit_source(config: CommonConfig, train: FaceSource) -> FaceSource:
    """The training faces as large as the fit wants them; `train` itself where they are not."""
    if config.data is None or train.side >= FIT_SIDE:
        return train
    try:
        large = FolderSource(config.data, FIT_SIDE)
    except DataError:
        return train
    return Subset(large, split_validation(large.names)[0]) if config.val is None else large
