"""Flags of the architecture search."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from models.space import OPERATION_SETS, PRIORS, CellSpace, FrameSpace, Space, Trellis, Width
from search.relaxations import STRATEGIES
from train.config import SWITCH, CommonConfig
from train.flags import ConfigError, flag
from train.presets import PRESETS, Preset

QUICK = "quick"
FRAMES = {
    "searched": FrameSpace(
        sr=("none", "trellis"),
        join=("1", "2", "3", "4", "5"),
        tail=("shuffle", "resize"),
        slope=("0.1", "0.2"),
        skip=("bilinear", "bicubic"),
        passes=("1", "2"),
    ),
    "published": FrameSpace(),
}
"""What stands around trellises and cells: decided by the search, or as published."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig(CommonConfig):
    """Flags of `run_search.py`; `auto`, 0 and what is left out come from the preset."""

    strategy: str = flag(
        "auto",
        "darts: every option at once; gdas: one sampled path a step; auto: gdas but on a GPU",
        choices=("auto", *STRATEGIES),
    )
    frame: str = flag(
        "searched",
        "what is around trellises and cells (SR trellis or none, tail, skip, passes): searched, "
        "or as published",
        choices=tuple(FRAMES),
    )
    operations: str = flag("default", "operations of the cells", choices=tuple(OPERATION_SETS))
    scale: int | None = flag(None, "side of the HQ over that of the LQ: 1, 2, 4 or 8")
    steps: int = flag(0, "bilevel steps; 0: the preset's")
    search_warmup: int | None = flag(None, "weight-only steps before them")
    search_lr: float | None = flag(None, "peak learning rate of the supernet's weights")
    logits_lr: float | None = flag(None, "learning rate of the logits")
    search_faces: int | None = flag(None, "faces per step and half of the data")
    checkpoint_every: int | None = flag(None, "steps between checkpoints")
    log_every: int = flag(50, "steps between lines of the log")
    amp: str = flag("auto", "bfloat16 autocast; auto: where the hardware has it", choices=SWITCH)
    fit_width: str = flag(
        "auto", "widen what was found up to the cap; auto: but for quick", choices=SWITCH
    )

    def __post_init__(self) -> None:
        """Refuse values that no search can use."""
        super().__post_init__()
        if self.steps < 0 or self.log_every < 1:
            raise ConfigError("--steps must not be negative, --log-every must be at least 1")


def resolved(config: SearchConfig, device: str) -> SearchConfig:
    """The configuration with nothing left to decide: strategy, steps and priors by name."""
    preset = preset_of(config)
    strategy = config.strategy
    if strategy == "auto":
        strategy = "darts" if device == "cuda" else "gdas"
    fit = config.fit_width
    if fit == "auto":
        fit = "off" if preset.name == QUICK else "on"
    space = space_of(config)
    return dataclasses.replace(
        config,
        strategy=strategy,
        steps=config.steps or preset.search_steps,
        priors=space.priors,
        fit_width=fit,
    )


def preset_of(config: SearchConfig) -> Preset:
    """The preset of a whole configuration."""
    assert config.preset is not None
    return PRESETS[config.preset]


def space_of(config: SearchConfig) -> Space:
    """The space that the flags and the preset describe, every option open.

    Raises SpaceError for a prior or scale that does not exist.
    """
    preset = preset_of(config)
    return Space(
        scale=config.scale or preset.scale,
        priors=PRIORS if config.priors is None else config.priors,
        sr_trellis=Trellis(layers=preset.layers, axis="level"),
        prior_trellis=Trellis(layers=preset.layers),
        fusion_trellis=Trellis(layers=preset.layers),
        cell=CellSpace(operations=OPERATION_SETS[config.operations]),
        frame=FRAMES[config.frame],
        width=Width(
            channels=preset.channels,
            growth=preset.growth,
            blocks=preset.blocks,
            sr=preset.sr_filters,
            prior=preset.prior_filters,
            fusion=preset.fusion_filters,
        ),
        student_size=preset.student_size,
    )
