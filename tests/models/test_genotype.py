"""found.json: round trip, and every wrong key is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.genotype import Genotype, GenotypeError, load_genotype, save_genotype
from models.space import Space
from search.sample import random_genotype
from tests.models.helpers import SMALL


def _genotype() -> Genotype:
    return Genotype(
        space=random_genotype(SMALL, random.Random(2)),
        counts={"parameters": 10, "learned_buffers": 2, "total": 12},
        priors={"parse": "a", "heat": "b", "dict": "c"},
        provenance={"seed": 0, "strategy": "gdas"},
    )


def test_round_trip(tmp_path: Path) -> None:
    save_genotype(tmp_path / "found.json", _genotype())
    assert load_genotype(tmp_path / "found.json") == _genotype()
    assert [p.name for p in tmp_path.iterdir()] == ["found.json"]


def test_an_open_space_is_no_genotype() -> None:
    with pytest.raises(GenotypeError, match="derive"):
        Genotype(space=Space(), counts={})


def _change(data: dict[str, Any], key: str, value: object) -> None:
    data[key] = value


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.pop("space"), "missing key 'space'"),
        (lambda d: _change(d, "extra", 1), "unknown key 'extra'"),
        (lambda d: _change(d, "format", "x"), "format"),
        (lambda d: _change(d, "version", 99), "version 99"),
        (lambda d: _change(d, "genotype", []), "genotype must be an object"),
        (lambda d: d["genotype"].popitem(), "no choice for"),
        (lambda d: _change(d["genotype"], "fusion/weighting", "vote"), "fusion/weighting"),
        (lambda d: _change(d["genotype"], "fusion/weighting", 3), "fusion/weighting"),
        (lambda d: _change(d["space"], "scale", 5), "scale 5"),
        (lambda d: _change(d, "priors", {}), "priors"),
        (lambda d: _change(d["counts"], "total", "12"), "counts.total"),
        (lambda d: _change(d, "provenance", None), "provenance"),
    ],
)
def test_wrong_keys_are_named(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    data = _genotype().to_json()
    spoil(data)
    path = tmp_path / "found.json"
    path.write_text(json.dumps(data))
    with pytest.raises(GenotypeError, match=message) as caught:
        load_genotype(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff\xfe", b"[" * 100_000, b"[]"])
def test_files_that_are_no_genotype(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "found.json"
    path.write_bytes(content)
    with pytest.raises(GenotypeError, match=r"found\.json"):
        load_genotype(path)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(GenotypeError, match="run_search"):
        load_genotype(tmp_path / "found.json")
