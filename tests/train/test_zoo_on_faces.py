"""Every network of the zoo, on real faces: trained, saved, loaded, restored with and scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.folders import list_images
from evaluation import evaluate
from models.zoo import ZOO
from train import ending, train_baseline


@pytest.fixture(scope="module")
def place(faces_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with eight training faces and two validation pairs, by links."""
    root = tmp_path_factory.mktemp("zoo")
    parts = {"train": ("train", 8), "val/GT": ("val/GT", 2), "val/LQ": ("val/LQ", 2)}
    for target, (source, number) in parts.items():
        (root / target).mkdir(parents=True)
        for path in list_images(faces_root / source)[:number]:
            (root / target / path.name).symlink_to(path.resolve())
    return root


@pytest.mark.parametrize("name", ZOO)
def test_a_network_goes_all_the_way(name: str, place: Path) -> None:
    out = place / name
    small = ["--preset", "cpu", "--steps", "50", "--faces", "1", "--crops", "1", "--lq-crop", "32"]
    quiet = ["--validate-every", "100", "--validate-pairs", "1", "--workers", "0"]
    data = ["--data", str(place / "train"), "--val", str(place / "val")]
    places = [*data, "--cache", str(place / "cache"), "--out", str(out)]
    argv = ["--model", name, "--degradation", "first-order", *small, *quiet, *places]
    assert ending.run(train_baseline.main, argv) == 0
    checkpoint = ["--checkpoint", str(out / "best.safetensors"), "--data", str(place / "val")]
    scored = [*checkpoint, "--cache", str(place / "cache"), "--out", str(out / "evaluated")]
    assert evaluate.main(scored) == 0
    results = json.loads((out / "evaluated" / "results.json").read_text())
    assert results["images"] == 2
    assert 5.0 < results["psnr"] < results["bicubic_psnr"] + 5.0
    assert len(list((out / "evaluated" / "restored").glob("*.png"))) == 2
