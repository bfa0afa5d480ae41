"""Flags of a command from a frozen dataclass, and the dataclass from flags, recipe and JSON.

A field made with `flag` is a command-line flag, an entry of `config.json` and a part of every
checkpoint. A field that is left out and that the preset also names takes the preset's value.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import yaml

from train.esrgan_yml import OptionsError, flags_of, is_options
from train.presets import PRESETS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
FREE_ON_RESUME = frozenset(
    {"out", "resume", "dry_run", "workers", "device", "threads", "cache", "compile"}
)
"""Fields that a resumed run may change; every other one must be as it was."""


class ConfigError(ValueError):
    """A flag or a key that cannot be used; the message says which one and what would be right."""


class FlagParser(argparse.ArgumentParser):
    """A parser that answers a wrong flag in one line, without the list of all flags."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the flags)\n")


def flag(default: Any, help_text: str, *, choices: Sequence[str] | None = None) -> Any:
    """Return a dataclass field that is also a command-line flag."""
    return dataclasses.field(default=default, metadata={"help": help_text, "choices": choices})


def parse_flags(
    cls: type[DataclassInstance], argv: Sequence[str], description: str
) -> dict[str, Any]:
    """Return the flags that were typed, by field name; argparse exits on an unknown one."""
    parser = FlagParser(description=description, allow_abbrev=False)
    add_flags(parser, cls)
    help_text = "YAML file of flags by name, as in examples/recipes; what is typed goes first"
    parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=help_text)
    typed = vars(parser.parse_args(argv))
    recipe = read_recipe(typed.pop("config")) if "config" in typed else {}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in (recipe | typed).items()}


def add_flags(parser: argparse.ArgumentParser, cls: type[DataclassInstance]) -> None:
    """Add a flag for every field; those that are not typed are absent from what is parsed."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        _add_flag(parser, field, hints[field.name])


def read_recipe(path: Path, flag_name: str = "--config") -> dict[str, Any]:
    """Return the flags of a YAML file by field name; ConfigError names the file and the fix."""
    where = f"{flag_name} {path}"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{where}: not a readable YAML file ({said})") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"{where}: write one `flag_name: value` a line")
    if is_options(values):
        try:
            return flags_of(values)
        except OptionsError as error:
            raise ConfigError(f"{where}: {error}") from error
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
        near = get_close_matches(unknown[0], [field.name for field in dataclasses.fields(cls)])
        hint = f"did you mean {near[0]}?" if near else "--help of the command lists the flags"
        raise ConfigError(f"unknown keys {', '.join(unknown)}: {hint}")
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
            several = value if isinstance(value, list | tuple) else (value,)
            return tuple(_scalar(kind, one) for one in several)
        return _scalar(kind, value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} is no {kind.__name__}") from error


def _scalar(kind: type, value: Any) -> Any:
    table: dict[type, tuple[type, ...]] = {float: (int, float), Path: (str, Path)}
    allowed = table.get(kind, (kind,))
    if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
        raise TypeError
    return kind(value)


def to_dict(config: DataclassInstance) -> dict[str, Any]:
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
