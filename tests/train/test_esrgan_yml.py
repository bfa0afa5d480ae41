"""Options files of Real-ESRGAN are read whole or refused by key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.degradation_values import parse_values
from data.second_order import SecondOrder
from train.config import BaselineConfig
from train.esrgan_yml import OptionsError, flags_of
from train.flags import ConfigError, from_dict, parse_flags

FILE = Path(__file__).resolve().parents[2] / "examples" / "recipes" / "real-esrgan-style.yml"
OPTIONS: dict[str, Any] = yaml.safe_load(FILE.read_text())


def _changed(key: str, value: object) -> dict[str, Any]:
    options = copy.deepcopy(OPTIONS)
    place = options
    *folders, last = key.split(".")
    for name in folders:
        place = place.setdefault(name, {})
    place[last] = value
    return options


def test_the_baseline_becomes_its_flags() -> None:
    config = from_dict(BaselineConfig, parse_flags(BaselineConfig, ["--config", str(FILE)], "test"))
    assert (config.model, config.loss, config.optimizer) == ("msrresnet-16", ("l1",), "adam")
    assert (config.lr, config.lr_min, config.steps, config.ema) == (2e-4, 1e-7, 300_000, 0.999)
    assert (config.schedule, config.periods) == ("cosine-restart", (150_000, 150_000))
    assert (config.faces, config.crops, config.lq_crop, config.workers) == (8, 1, 0, 8)
    assert (config.target, config.degradation, config.warmup) == ("plain", "second-order", 0)
    assert parse_values(config.degradation_values) == SecondOrder(), "the challenge's own numbers"


def test_what_is_typed_goes_first() -> None:
    argv = ["--config", str(FILE), "--steps", "20", "--model", "srcnn"]
    config = from_dict(BaselineConfig, parse_flags(BaselineConfig, argv, "test"))
    assert (config.steps, config.model, config.lr) == (20, "srcnn", 2e-4)


def test_changes_reach_their_flags() -> None:
    assert flags_of(_changed("gt_usm", True))["target"] == "sharpened"
    assert flags_of(_changed("datasets.train.gt_size", 256))["lq_crop"] == 64
    assert flags_of(_changed("network_g.num_block", 24))["model"] == "msrresnet-24"
    assert "noise_range=1,30" in flags_of(_changed("noise_range", [1, 30]))["degradation_values"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("learning_rate", 1e-4, "'learning_rate' is not known"),
        ("train.optim_g.amsgrad", True, "'train.optim_g.amsgrad' is not known"),
        ("train.perceptual_opt.type", "VGG", "'train.perceptual_opt.type' is not known"),
        ("datasets.train.use_rot", True, "only False"),
        ("network_g.type", "RRDBNet", "MSRResNet works"),
        ("path.pretrain_network_g", "weights.pth", "only None"),
        ("train.scheduler.type", "Cyclic", "'Cyclic' is not one of Cosine"),
    ],
)
def test_a_wrong_key_is_named(key: str, value: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=said):
        flags_of(_changed(key, value))
    file = tmp_path / "options.yml"
    file.write_text(yaml.safe_dump(_changed(key, value)))
    with pytest.raises(ConfigError, match=r"options\.yml"):
        parse_flags(BaselineConfig, ["--config", str(file)], "test")
