"""The commands on the priors: one fit for one set of flags, whatever the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.cache import PackedSource
from priors import check_priors, fit_priors
from priors.fitted import FittedPriors
from priors.schooling import SCHOOLING
from train import prior_fit
from train.prior_fit import PriorsConfig


class Asked(Exception):  # noqa: N818 - it is not an error
    """The command has asked for its fit."""


@pytest.mark.parametrize("tier", ["quick", "gpu"])
def test_fit_and_check_with_one_seed_ask_for_one_fit(
    run_root: Path, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    asked: list[dict[str, object]] = []

    def fit_or_load(source: PackedSource, priors: tuple[str, ...], **how: object) -> FittedPriors:
        asked.append({"data": source.fingerprint, "priors": priors, **how})
        raise Asked

    monkeypatch.setattr(prior_fit, "fit_or_load", fit_or_load)
    few = ["--synthetic-count", "3", "--synthetic-val", "1", "--preset", "quick"]
    flags = [*few, "--seed", "7", "--tier", tier, "--workers", "3", "--threads", "1"]
    for main in (fit_priors.main, check_priors.main):
        with pytest.raises(Asked):
            main(flags)
    assert asked[0] == asked[1]
    assert (asked[0]["seed"], asked[0]["tier"], asked[0]["workers"]) == (7, tier, 3)
    wanted = SCHOOLING[tier].steps or 150
    assert asked[0]["student_steps"] == wanted


def test_every_tier_says_how_its_student_learns() -> None:
    tiers = PriorsConfig.__dataclass_fields__["tier"].metadata["choices"]
    assert tuple(SCHOOLING) == tiers
