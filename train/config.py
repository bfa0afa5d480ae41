"""Configurations: one frozen dataclass per entry script.

Their flags, recipes and JSON form are made from the fields (`train.flags`). Nothing below the entry
scripts reads flags.
"""

# ruff: noqa: RUF009 - `flag` returns a dataclass field
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data import augmentations
from data.augmentations import AUGMENTATIONS
from data.degradation import DEGRADATIONS
from data.degradation_values import parse_values
from models.device import DEVICES
from models.discriminators import DISCRIMINATORS
from models.prior_source import REAL, SOURCES
from models.space import CAP, PRIORS
from models.zoo import ZOO
from train.adversary import GAN_LOSSES
from train.flags import ConfigError, flag
from train.labels import LabelConfig, check_flags, options_of
from train.learner import FROZEN, STUDENTS
from train.losses import LOSS_NAMES, PERCEPTUAL, parse_terms
from train.optimizers import OPTIMIZERS
from train.presets import PRESETS
from train.schedules import SHAPES, Schedule

SWITCH = ("auto", "on", "off")
TARGETS = ("plain", "sharpened")


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """Flags that every command on faces takes."""

    data: Path | None = flag(None, "folder of HQ faces; left out: the embedded synthetic faces")
    val: Path | None = flag(None, "validation folder with GT/ and LQ/; left out: 5 %% of --data")
    preset: str | None = flag(None, "sizes and lengths of the run", choices=tuple(PRESETS))
    degradation: str = flag("second-order", "how LQ are made", choices=tuple(DEGRADATIONS))
    priors: tuple[str, ...] | None = flag(
        None, "facial priors; left out: all, empty: none", choices=PRIORS
    )
    seed: int = flag(0, "seed of every random choice")
    out: Path | None = flag(None, "run folder; left out: runs/<command>-NNN")
    device: str = flag("auto", "where to compute", choices=DEVICES)
    threads: int = flag(0, "CPU threads of torch; 0: as many as cores")
    workers: int | None = flag(None, "loader processes; 0: none")
    cap: int = flag(CAP, f"most parameters allowed; may only lower {CAP:,}")
    cache: Path = flag(Path(".cache"), "folder of packed faces and fitted priors")
    synthetic_count: int | None = flag(None, "embedded training faces, without --data")
    synthetic_val: int | None = flag(None, "embedded validation faces, without --data")
    resume: bool = flag(False, "go on with the run in --out, or with the newest of this command")
    dry_run: bool = flag(False, "build everything, print the sizes, stop before step 1")

    def __post_init__(self) -> None:
        """Refuse values that no run can use."""
        if not 0 < self.cap <= CAP:
            raise ConfigError(f"--cap {self.cap}: the cap may only be lowered, from {CAP}")
        if self.data is None and self.val is not None:
            raise ConfigError("--val needs --data: without --data the embedded faces are used")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(CommonConfig):
    """Flags of training one network; what is None comes from the preset."""

    steps: int | None = flag(None, "training steps")
    max_minutes: float | None = flag(None, "wall time in minutes, instead of --steps")
    init: Path | None = flag(None, "weights to start from: .safetensors of this project, or .pth")
    loss: tuple[str, ...] | None = flag(
        None, f"training loss, or a weighted sum as l1=1 ssim=0.1: {', '.join(LOSS_NAMES)}"
    )
    perceptual_net: str | None = flag(
        None, "features of the perceptual loss: a file of an MSRResNet or EDSR of ours, or vgg16"
    )
    allow_noncompliant: bool = flag(False, "allow what breaks the challenge's rules, and record it")
    gan_weight: float = flag(0.0, "weight of the adversarial loss; 0: none")
    gan_loss: str = flag("non-saturating", "kind of adversarial loss", choices=GAN_LOSSES)
    discriminator: str = flag("unet", "who judges", choices=tuple(DISCRIMINATORS))
    gan_start: int = flag(0, "first step of the adversarial loss")
    gan_ratio: int = flag(1, "discriminator steps per step")
    gan_r1: float = flag(0.0, "weight of the R1 penalty")
    gan_lr: float = flag(1e-4, "learning rate of the discriminator")
    optimizer: str | None = flag(None, "optimiser", choices=OPTIMIZERS)
    weight_decay: float = flag(0.0, "weight decay; of adam and sgd as L2 in the gradient")
    momentum: float = flag(0.9, "momentum of sgd")
    pass_weights: tuple[float, ...] | None = flag(None, "loss weight of each pass; equal")
    first_pass_share: float | None = flag(
        None, "share of the steps, the first ones, that train the first pass alone"
    )
    lr: float | None = flag(None, "peak learning rate")
    lr_min: float | None = flag(None, "last learning rate")
    schedule: str = flag("cosine", "shape of the learning rate", choices=tuple(SHAPES))
    periods: tuple[int, ...] = flag((), "cosine-restart: steps of each period")
    restart_weights: tuple[float, ...] = flag(
        (), "cosine-restart: share of the peak that each period starts at; all 1"
    )
    milestones: tuple[int, ...] = flag((), "multi-step: steps at which the rate falls")
    gamma: float = flag(0.5, "multi-step: factor of each fall")
    warmup: int | None = flag(None, "steps of linear warm-up")
    clip: float = flag(0.5, "largest norm of the gradient; 0: no clipping")
    ema: float | None = flag(None, "decay of the weight average")
    amp: str = flag("auto", "bfloat16 autocast; auto: where the hardware has it", choices=SWITCH)
    channels_last: str = flag("auto", "memory format; auto: on", choices=SWITCH)
    compile: str = flag(
        "auto", "compile the network; auto: in long runs on a CUDA GPU", choices=SWITCH
    )
    faces: int | None = flag(None, "faces per step")
    crops: int | None = flag(None, "crops per face")
    lq_crop: int | None = flag(None, "side of a crop in LQ pixels; 0: whole faces")
    augment: tuple[str, ...] = flag(
        (), f"changes and their probabilities, as rotation=0.5: {', '.join(AUGMENTATIONS)}"
    )
    degradation_values: tuple[str, ...] = flag(
        (), "other numbers of the second order, as noise_range=1,30 (Real-ESRGAN's names)"
    )
    target: str = flag("plain", "HQ as they are, or unsharp-masked", choices=TARGETS)
    dropout: float = flag(0.0, "share of channels dropped before the last convolution")
    validate_every: int | None = flag(None, "steps between validations")
    validate_pairs: int | None = flag(None, "pairs of a validation during training")
    checkpoint_every: int | None = flag(None, "steps between checkpoints")
    snapshot_every: int = flag(0, "steps between networks kept in snapshots/; 0: none are kept")

    def __post_init__(self) -> None:
        """Refuse values that contradict each other or that no run can use."""
        super().__post_init__()
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps {self.steps}: at least 1")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ConfigError(f"--max-minutes {self.max_minutes}: more than 0")
        if self.first_pass_share is not None and not 0 <= self.first_pass_share < 1:
            raise ConfigError(f"--first-pass-share {self.first_pass_share}: from 0 to below 1")
        if self.weight_decay < 0 or not 0 <= self.momentum < 1:
            raise ConfigError("--weight-decay is at least 0, --momentum from 0 to below 1")
        if self.snapshot_every < 0:
            raise ConfigError(f"--snapshot-every {self.snapshot_every}: 0 or more")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"--dropout {self.dropout}: from 0 to below 1")
        if min(self.gan_weight, self.gan_start, self.gan_r1, self.gan_lr) < 0 or self.gan_ratio < 1:
            raise ConfigError("--gan flags are not negative, and --gan-ratio is at least 1")
        terms = parse_terms(self.loss) if self.loss is not None else {}
        if (PERCEPTUAL in terms) != (self.perceptual_net is not None):
            raise ConfigError("--loss perceptual and --perceptual-net belong together")
        augmentations.parse(self.augment)
        parse_values(self.degradation_values)
        self.learning_rate_shape()

    def learning_rate_shape(self) -> Schedule:
        """Return the schedule; raises ScheduleError where its numbers do not fit together."""
        return Schedule(
            shape=self.schedule,
            periods=self.periods,
            restart_weights=self.restart_weights,
            milestones=self.milestones,
            gamma=self.gamma,
        )


@dataclass(frozen=True, kw_only=True)
class DerivedConfig(LabelConfig, TrainingConfig):
    """Flags of `train_derived.py`."""

    genotype: Path = flag(Path("found.json"), "the searched architecture, found.json")
    prior_source: str = flag(
        REAL,
        "where the prior maps come from: the student, a control arm, or external labels",
        choices=SOURCES,
    )
    student: str = flag(FROZEN, "whether the student goes on learning", choices=STUDENTS)
    refit_width: bool = flag(False, "spend parameters freed by --priors on a wider network")

    def __post_init__(self) -> None:
        """Refuse labels that the prior source does not take, or that are not allowed."""
        super().__post_init__()
        check_flags(
            options_of(self),
            self.prior_source,
            allowed=self.allow_noncompliant,
            augment=self.augment,
        )


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(TrainingConfig):
    """Flags of `train_baseline.py`."""

    model: str = flag("msrresnet-16", "network of models/zoo", choices=tuple(ZOO))
    normalise: bool = flag(False, "standardise the colours of the input, as the faces' own are")

    def __post_init__(self) -> None:
        """Refuse priors: these networks have none."""
        super().__post_init__()
        if self.priors:
            raise ConfigError("--priors: the networks of the zoo have none; see train_derived.py")
