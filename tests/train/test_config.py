"""Flags, presets, JSON: one configuration, unknown keys refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.space import CAP
from train.config import BaselineConfig, DerivedConfig
from train.flags import ConfigError, filled, from_dict, merged, parse_flags, to_dict
from train.presets import PRESETS, default_preset


def _parse(*argv: str) -> DerivedConfig:
    return from_dict(DerivedConfig, parse_flags(DerivedConfig, argv, "test"))


def test_flags_become_fields_and_json_and_come_back() -> None:
    config = _parse("--genotype", "a/found.json", "--lr", "1e-3", "--data", "faces", "--resume")
    assert (config.genotype, config.lr, config.data) == (Path("a/found.json"), 1e-3, Path("faces"))
    assert config.resume
    again = from_dict(DerivedConfig, json.loads(json.dumps(to_dict(config))))
    assert again == config


def test_priors_left_out_and_empty_are_two_things() -> None:
    assert _parse().priors is None
    assert _parse("--priors").priors == ()
    assert _parse("--priors", "heat", "dict").priors == ("heat", "dict")


@pytest.mark.parametrize("argv", [["--steeps", "3"], ["--step", "3"], ["--preset", "huge"]])
def test_unknown_flags_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse(*argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lerning_rate": 1.0}, "unknown keys lerning_rate: --help"),
        ({"steps": "many"}, "steps: 'many' is no int"),
        ({"steps": True}, "steps: True is no int"),
        ({"seed": None}, "seed: a value is needed"),
        ({"steps": 0}, "--steps 0: at least 1"),
        ({"optimizer": "lion"}, "optimizer: 'lion' is not one of adam, adamw, sgd"),
        ({"loss": ["l3"]}, "no loss is called 'l3'"),
        ({"augment": ["flipud=1"]}, "name each of rotation"),
        ({"schedule": "multi-step"}, "needs --milestones"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"first_pass_share": 1.0}, "from 0 to below 1"),
        ({"cap": CAP + 1}, "may only be lowered"),
        ({"val": "pairs"}, "--val needs --data"),
        ({"max_minutes": 0}, "more than 0"),
        ({"priors": ["parse"]}, "networks of the zoo have none"),
        ({"model": "srcn"}, "'srcn' is not one of msrresnet-16"),
        ({"optimiser": "adam"}, "did you mean optimizer?"),
    ],
)
def test_bad_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(BaselineConfig, values)


def test_a_recipe_gives_flags_and_what_is_typed_goes_first(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("lr: 2.0e-4\nloss: [l1, ssim=0.1]\nweight-decay: 0.5\n")
    config = _parse("--config", str(recipe), "--weight-decay", "0.25")
    assert (config.lr, config.loss, config.weight_decay) == (2e-4, ("l1", "ssim=0.1"), 0.25)
    recipe.write_text("lerning_rate: 1\n")
    with pytest.raises(ConfigError, match="unknown keys lerning_rate"):
        _parse("--config", str(recipe))


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", "\x00"])
def test_a_recipe_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        _parse("--config", str(recipe))
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        _parse("--config", str(tmp_path / "gone.yaml"))


def test_what_is_left_out_comes_from_the_preset_and_what_is_given_stays() -> None:
    config = filled(_parse("--lr", "1e-3"), "cpu")
    cpu = PRESETS["cpu"]
    assert (config.preset, config.steps, config.faces) == ("cpu", cpu.steps, cpu.faces)
    assert config.lr == 1e-3
    assert config.loss == cpu.loss
    assert config.lq_crop == 64
    assert config.priors is None, "no field of a preset"


def test_steps_and_wall_time_exclude_each_other() -> None:
    assert filled(_parse("--max-minutes", "5"), "cpu").steps is None
    with pytest.raises(ConfigError, match="give one of them"):
        filled(_parse("--max-minutes", "5", "--steps", "3"), "cpu")


@pytest.mark.parametrize(
    ("search", "has_data", "device", "expected"),
    [
        (True, False, "cuda", "quick"),
        (True, True, "cuda", "lab"),
        (False, True, "cpu", "cpu"),
        (False, True, "cuda", "full"),
    ],
)
def test_preset_left_out(search: bool, has_data: bool, device: str, expected: str) -> None:
    assert default_preset(search=search, has_data=has_data, device=device) == expected


def test_a_resumed_run_keeps_its_configuration() -> None:
    saved = to_dict(_parse("--lr", "1e-3", "--out", "runs/a"))
    assert merged(saved, {"resume": True, "workers": 2})["workers"] == 2
    assert merged(saved, {"lr": 1e-3})["lr"] == 1e-3
    with pytest.raises(ConfigError, match=r"lr was 0.001, now 0.002"):
        merged(saved, {"lr": 2e-3})
