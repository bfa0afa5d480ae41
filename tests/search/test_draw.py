"""Architectures drawn at random, as the control of a search."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from models.genotype import load_genotype
from models.size import CapError, meta_count
from search import draw
from search.config import SearchConfig, space_of

ROOT = Path(__file__).resolve().parents[2]


def test_drawn_genotypes_differ_fill_the_cap_and_stand_in_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["--count", "3", "--preset", "quick", "--fit-width", "on", "--out", "drawn"]
    assert draw.main(argv) == 0
    found = [load_genotype(Path(f"drawn/draw-{i}.json")) for i in range(3)]
    assert len({str(one.space.choices()) for one in found}) == 3
    for one in found:
        assert 0.97 * 2_276_355 < meta_count(one.space).total == one.counts["total"] <= 2_276_355
    study = yaml.safe_load(Path("drawn/study.yaml").read_text())
    assert study["arms"]["draw-2"] == {"genotype": "drawn/draw-2.json"}
    assert draw.main([*argv[:-1], "again"]) == 0
    again = load_genotype(Path("again/draw-1.json"))
    assert again.space == found[1].space


def test_a_space_that_is_too_wide_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "MOST_TRIES", 3)
    space = space_of(SearchConfig(preset="quick", priors=()))
    with pytest.raises(CapError, match="none of 3 draws"):
        next(draw.draws(space, 0, 100_000))
