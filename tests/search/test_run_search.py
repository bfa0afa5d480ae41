"""The command: flags, what it writes, resume, and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.sources import SyntheticSource
from models.genotype import load_genotype
from models.size import meta_count
from models.space import Space, Trellis
from search import run_search
from search.config import SearchConfig, resolved, space_of
from search.derive import derive
from search.picture import draw_genotype
from train.flags import ConfigError, filled, from_dict

SMALL = ["--preset", "quick", "--priors", "--synthetic-count", "6", "--synthetic-val", "1"]


@pytest.fixture
def faces_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain pictures instead of rendered faces."""

    def image(source: SyntheticSource, i: int) -> np.ndarray:
        y, x = np.mgrid[0 : source.side, 0 : source.side] / source.side
        waves = [np.sin((i + c + 2) * x + (i + 1) * y + c) for c in range(3)]
        return (np.stack(waves, -1) * 100 + 128).astype(np.uint8)

    monkeypatch.setattr(SyntheticSource, "image", image)


def test_config_resolves_the_strategy_by_device_and_keeps_what_was_asked() -> None:
    config = filled(SearchConfig(), "quick")
    assert resolved(config, "cpu").strategy == "gdas"
    assert resolved(config, "cuda").strategy == "darts"
    asked = filled(SearchConfig(strategy="darts", steps=7), "lab")
    assert resolved(asked, "cpu").strategy == "darts"
    assert resolved(asked, "cpu").steps == 7
    assert resolved(filled(SearchConfig(), "lab"), "cpu").steps >= 1000
    assert resolved(config, "cpu").priors == ("parse", "heat", "dict")
    assert resolved(config, "cpu") == resolved(resolved(config, "cpu"), "cuda")


def test_only_quick_keeps_its_width() -> None:
    assert resolved(filled(SearchConfig(), "quick"), "cpu").fit_width == "off"
    assert resolved(filled(SearchConfig(), "lab"), "cpu").fit_width == "on"


def test_priors_shape_the_space() -> None:
    spaces = [
        space_of(filled(SearchConfig(priors=priors), "quick"))
        for priors in ((), ("parse",), ("heat", "dict"))
    ]
    assert [space.priors for space in spaces] == [(), ("parse",), ("heat", "dict")]
    assert len({meta_count(space).total for space in spaces}) == 3
    assert space_of(filled(SearchConfig(operations="paper"), "quick")).cell.operations == (
        "skip",
        "conv3",
        "conv5",
        "conv7",
    )


def test_unknown_keys_and_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown keys"):
        from_dict(SearchConfig, {"stepz": 3})
    with pytest.raises(ConfigError, match="steps"):
        SearchConfig(steps=-1)


@pytest.mark.usefixtures("faces_are_quick")
def test_search_writes_a_valid_genotype_and_resumes_to_the_same(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*SMALL, "--steps", "3", "--search-warmup", "1", "--search-faces", "1"]
    assert run_search.main(flags) == 0
    said = capsys.readouterr().out
    folder = run_root / "runs" / "search-001"
    found = load_genotype(run_root / "found.json")
    assert (run_root / "found.json").read_bytes() == (folder / "found.json").read_bytes()
    assert found.space.priors == ()
    assert found.counts["total"] == meta_count(found.space).total
    assert found.provenance["architecture_steps"] == 3
    assert found.provenance["strategy"] == "gdas"
    assert (folder / "pictures" / "found.png").stat().st_size > 10_000
    assert f"uniform: {found.provenance['distance_from_uniform']:.4f}" in said
    assert "python train/train_derived.py --genotype found.json" in said
    assert run_search.main(["--resume"]) == 0
    assert load_genotype(run_root / "found.json") == found
    assert json.loads((folder / "config.json").read_text())["config"]["strategy"] == "gdas"


@pytest.mark.usefixtures("faces_are_quick")
def test_dry_run_says_the_sizes_and_leaves_nothing(
    run_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_search.main([*SMALL, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "total" in said
    assert "Dry run" in said
    assert not (run_root / "found.json").exists()
    assert not (run_root / "runs").exists()


def test_picture_is_drawn_of_any_space(tmp_path: Path) -> None:
    space = Space(
        priors=(),
        sr_trellis=Trellis(layers=2, levels=2, axis="level"),
    ).restrict({"sr/cell/node0/s0/op": "skip"})
    uniform = {
        d.name: [1 / len(d.options)] * len(d.options)
        for d in space.decisions()
        if len(d.options) > 1
    }
    path = tmp_path / "found.png"
    draw_genotype(path, space, derive(space, uniform), uniform, "a title")
    assert path.read_bytes()[:4] == b"\x89PNG"
