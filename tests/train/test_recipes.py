"""Every recipe of examples/recipes builds its run and trains."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from models.artifact import load_network, save_network
from models.genotype import Genotype, save_genotype
from models.size import meta_count
from models.zoo import build
from tests.train.conftest import tiny_space
from train import ending, train_baseline, train_derived
from train.esrgan_yml import flags_of, is_options

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "recipes"
RECIPES = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*.yml")])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six pictures in `faces` and a found.json without priors."""
    root = tmp_path_factory.mktemp("recipes")
    (root / "faces").mkdir()
    for i in range(6):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(root / "faces" / f"{i}.png"), cv2.resize(coarse, (128, 128)))
    space = tiny_space()
    counts = meta_count(space).named()
    save_genotype(
        root / "found.json", Genotype(space=space, counts=counts, priors={}, provenance={})
    )
    return root


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains(
    recipe: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(recipe.read_text())
    if "perceptual_net" in values:
        save_network(Path(values["perceptual_net"]), build("msrresnet-16"))
    baseline = "model" in values or is_options(values)
    main = train_baseline.main if baseline else train_derived.main
    out = place / recipe.stem
    small = ["--preset", "lab", "--steps", "20", "--faces", "1", "--lq-crop", "16"]
    quiet = ["--validate-every", "100", "--validate-pairs", "1", "--workers", "0", "--threads", "1"]
    places = ["--data", str(place / "faces"), "--cache", str(place / "cache"), "--out", str(out)]
    which = [] if baseline else ["--genotype", str(place / "found.json")]
    argv = ["--config", str(recipe), *small, *quiet, *places, *which]
    assert ending.run(main, [*argv, "--dry-run"]) == 0
    assert not out.exists()
    assert ending.run(main, argv) == 0
    trained = load_network(out / "best.safetensors")
    assert trained.metadata["training"]["step"] == 20
    config = trained.metadata["config"]
    values = flags_of(values) if is_options(values) else values
    kept = set(values) - {"preset", "steps", "faces", "lq_crop", "validate_every", "workers"}
    assert {name: config[name] for name in kept} == {name: values[name] for name in kept}
