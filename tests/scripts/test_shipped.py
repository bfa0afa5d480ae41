"""The network that comes with the project restores a face where nothing was trained yet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.degradation import degrade
from data.folders import read_rgb, write_png
from data.sampling import sample_rng
from data.synthetic import render_face
from evaluation.metrics import psnr
from models.artifact import load_network, save_network
from models.size import check_cap
from models.zoo import build
from scripts import audit, export, restore


def test_it_restores_a_drawn_face_better_than_interpolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hq = render_face(3, 512).image
    lq = degrade(hq, sample_rng(0, 0, 0), "first-order", 4)
    write_png(Path("face.png"), lq)
    assert restore.main(["face.png", "--out", "restored", "--device", "cpu"]) == 0
    assert "facesr-x4.safetensors: 2,271,387 parameters" in capsys.readouterr().out
    bicubic = np.asarray(cv2.resize(lq, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)
    restored = read_rgb(Path("restored/face.png"))
    assert psnr(restored, hq) > psnr(bicubic, hq) + 0.5


def test_an_own_run_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/mine").mkdir(parents=True)
    save_network(Path("runs/mine/best.safetensors"), build("espcn"))
    write_png(Path("face.png"), render_face(0, 128).image)
    assert restore.main(["face.png", "--dry-run"]) == 0
    assert "runs/mine/best.safetensors: 37,200 parameters" in capsys.readouterr().out


def test_it_keeps_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_network(restore.SHIPPED)
    assert check_cap(loaded.net).total == 2_271_387
    assert restore.SHIPPED.stat().st_size < 6_000_000
    assert audit.main(["--checkpoint", str(restore.SHIPPED)]) == 0


def test_a_published_file_is_half_as_large_and_names_no_folder(tmp_path: Path) -> None:
    folder = (tmp_path / "deep" / "train").as_posix()
    config = {"data": folder, "cache": folder, "out": folder, "val": None, "lr": 0.1}
    save_network(tmp_path / "net.safetensors", build("espcn"), metadata={"config": config})
    out = tmp_path / "face.safetensors"
    argv = ["--checkpoint", str(tmp_path / "net.safetensors"), "--publish"]
    assert export.main([*argv, "--to", str(out)]) == 0
    assert load_network(out).metadata["config"] == {"data": "train", "val": None, "lr": 0.1}
    assert out.stat().st_size < 0.55 * (tmp_path / "net.safetensors").stat().st_size
    with pytest.raises(SystemExit):
        export.main([*argv, "--to", str(tmp_path / "face.onnx")])
