"""Configurations: one frozen dataclass per entry script, its flags, and its JSON form.

A field made with `flag` is a command-line flag, an entry of `config.json` and a part of every
checkpoint. A field that is left out and that the preset also names takes the preset's value.
Nothing below the entry scripts reads flags.
"""

# ruff: noqa: RUF009 - `flag` returns a dataclass field
from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from data import augmentations
from data.augmentations import AUGMENTATIONS
from data.degradation_values import parse_values
from models.device import DEVICES
from models.space import CAP, PRIORS
from train.esrgan_yml import OptionsError, flags_of, is_options
from train.losses import LOSSES, parse_terms
from train.optimizers import OPTIMIZERS
from train.presets import PRESETS
from train.schedules import SHAPES, Schedule

DEGRADATIONS = ("second-order", "first-order")
SWITCH = ("auto", "on", "off")
TARGETS = ("plain", "sharpened")
FREE_ON_RESUME = frozenset({"out", "resume", "dry_run", "workers", "device", "threads", "cache"})
"""Fields that a resumed run may change; every other one must be as it was."""


class ConfigError(ValueError):
    """A flag or a key that cannot be used; the message says which one and what would be right."""


def flag(default: Any, help_text: str, *, choices: Sequence[str] | None = None) -> Any:
    """Return a dataclass field that is also a command-line flag."""
    return dataclasses.field(default=default, metadata={"help": help_text, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """Flags that every command on faces takes."""

    data: Path | None = flag(None, "folder of HQ faces; left out: the embedded synthetic faces")
    val: Path | None = flag(None, "validation folder with GT/ and LQ/; left out: 5 %% of --data")
    preset: str | None = flag(None, "sizes and lengths of the run", choices=tuple(PRESETS))
    degradation: str = flag("second-order", "how LQ are made", choices=DEGRADATIONS)
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
        None, f"training loss, or a weighted sum as l1=1 ssim=0.1: {', '.join(LOSSES)}"
    )
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
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"--dropout {self.dropout}: from 0 to below 1")
        if self.loss is not None:
            parse_terms(self.loss)
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
class DerivedConfig(TrainingConfig):
    """Flags of `train_derived.py`."""

    genotype: Path = flag(Path("found.json"), "the searched architecture, found.json")
    refit_width: bool = flag(False, "spend parameters freed by --priors on a wider network")


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(TrainingConfig):
    """Flags of `train_baseline.py`."""

    model: str = flag("msrresnet-16", "name of the network in models/zoo")


Config = TypeVar("Config", bound=CommonConfig)


def parse_flags(cls: type[CommonConfig], argv: Sequence[str], description: str) -> dict[str, Any]:
    """Return the flags that were typed, by field name; argparse exits on an unknown one."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        _add_flag(parser, field, hints[field.name])
    help_text = "YAML file of flags by name, as in examples/recipes; what is typed goes first"
    parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=help_text)
    typed = vars(parser.parse_args(argv))
    recipe = read_recipe(typed.pop("config")) if "config" in typed else {}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in (recipe | typed).items()}


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the flags of a YAML file by field name; ConfigError names the file and the fix."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: not a readable YAML file ({error})") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"--config {path}: write one `flag_name: value` a line")
    if is_options(values):
        try:
            return flags_of(values)
        except OptionsError as error:
            raise ConfigError(f"--config {path}: {error}") from error
    return {name.replace("-", "_"): value for name, value in values.items()}


def _add_flag(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    name = "--" + field.name.replace("_", "-")
    kind, many = _kind(hint)
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": field.metadata["help"]}
    if kind is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction, **options)
        return
    options |= {"type": kind, "choices": field.metadata["choices"]}
    if many:
        options["nargs"] = "*"
    parser.add_argument(name, **options)


def _kind(hint: Any) -> tuple[type, bool]:
    """Return the type of one value and whether a tuple of them is meant."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Return the configuration of a mapping (JSON types allowed); unknown keys are refused."""
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
    if unknown:
        raise ConfigError(f"unknown keys {', '.join(unknown)}; {cls.__name__} has none such")
    converted = {name: _convert(name, v, hints[name]) for name, v in values.items()}
    for field in dataclasses.fields(cls):
        _refuse_other_choices(field, converted.get(field.name))
    return cls(**converted)


def _refuse_other_choices(field: dataclasses.Field[Any], value: Any) -> None:
    choices = field.metadata["choices"]
    given = value if isinstance(value, tuple) else () if value is None else (value,)
    wrong = [one for one in given if choices is not None and one not in choices]
    if wrong:
        known = ", ".join(map(str, choices))
        raise ConfigError(f"{field.name}: {wrong[0]!r} is not one of {known}")


def _convert(name: str, value: Any, hint: Any) -> Any:
    kind, many = _kind(hint)
    if value is None:
        if isinstance(hint, types.UnionType):
            return None
        raise ConfigError(f"{name}: a value is needed")
    try:
        if many:
            return tuple(_scalar(kind, one) for one in value)
        return _scalar(kind, value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} is no {kind.__name__}") from error


def _scalar(kind: type, value: Any) -> Any:
    table: dict[type, tuple[type, ...]] = {float: (int, float), Path: (str, Path)}
    allowed = table.get(kind, (kind,))
    if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
        raise TypeError
    return kind(value)


def to_dict(config: CommonConfig) -> dict[str, Any]:
    """Return the configuration in JSON types."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.as_posix()
    return list(value) if isinstance(value, tuple) else value


def filled(config: Config, preset_name: str) -> Config:
    """Return the configuration with what was left out taken from the preset.

    `steps` stays None where `max_minutes` is given.
    """
    preset = PRESETS[preset_name]
    changes: dict[str, Any] = {"preset": preset_name}
    for field in dataclasses.fields(config):
        if getattr(config, field.name) is None and hasattr(preset, field.name):
            changes[field.name] = getattr(preset, field.name)
    if getattr(config, "max_minutes", None) is not None:
        if getattr(config, "steps", None) is not None:
            raise ConfigError("--steps and --max-minutes: give one of them")
        changes["steps"] = None
    return dataclasses.replace(config, **changes)


def merged(saved: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saved values with the typed ones that a resumed run may change.

    A typed value that differs from a saved one and is not free is refused.
    """
    plain = {name: _plain(value) for name, value in typed.items()}
    wrong = [n for n, v in plain.items() if n not in FREE_ON_RESUME and saved.get(n) != v]
    if wrong:
        said = "; ".join(f"{n} was {saved.get(n)!r}, now {plain[n]!r}" for n in sorted(wrong))
        raise ConfigError(f"--resume goes on with the saved configuration, but {said}")
    return {**saved, **plain}
