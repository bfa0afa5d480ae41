"""The fitted priors of a search: found in the cache, or fitted now with the quick tier."""

from __future__ import annotations

import torch

from data.errors import DataError
from data.sources import FaceSource, FolderSource, OpenedData, Subset, split_validation
from models.space import Space
from priors.fitted import FittedPriors, PriorsError, fit_or_load
from search.config import SearchConfig, preset_of
from train.config import ConfigError

FIT_SIDE = 512
"""Real faces are fitted at this side, so that one fit serves searches and trainings of any size."""


def fitted_priors(
    config: SearchConfig, space: Space, data: OpenedData, device: torch.device
) -> FittedPriors | None:
    """Teachers and student of the space's priors, or None if it has none.

    The strongest fit of the same training faces is taken; without one the quick tier is fitted and
    kept in the cache. Raises ConfigError.
    """
    if not space.priors:
        return None
    preset = preset_of(config)
    try:
        return fit_or_load(
            fit_source(config, data.train),
            space.priors,
            folder=config.cache / "priors",
            tier="quick",
            size=space.student_size,
            student_steps=preset.student_steps,
            seed=config.seed,
            scale=space.scale,
            device=device,
        )
    except PriorsError as error:
        raise ConfigError(f"priors: {error}") from error


def fit_source(config: SearchConfig, train: FaceSource) -> FaceSource:
    """The training faces as large as the fit wants them; `train` itself where they are not."""
    if config.data is None or train.side >= FIT_SIDE:
        return train
    try:
        large = FolderSource(config.data, FIT_SIDE)
    except DataError:
        return train
    return Subset(large, split_validation(large.names)[0]) if config.val is None else large
