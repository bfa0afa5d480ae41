"""The scorer: golden numbers, an independent oracle, and what it must refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from data.folders import read_rgb
from evaluation.metrics import Image, MetricError, luma, psnr, psnr_y, ssim, ssim_y
from evaluation.report import enlarge

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics_bicubic.json"


def noisy_pair(seed: int, height: int = 40, width: int = 53) -> tuple[Image, Image]:
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    hq = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 12, hq.shape)
    restored = np.clip(hq + noise, 0, 255).astype(np.uint8)
    return restored, hq.astype(np.uint8)


@pytest.mark.real
def test_bicubic_on_real_faces_has_the_golden_numbers(faces_root: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    rows = []
    for number, entry in enumerate(golden["images"]):
        lq = read_rgb(faces_root / "val" / "LQ" / entry["name"])
        hq = read_rgb(faces_root / "val" / "GT" / entry["name"])
        bicubic = enlarge(lq, hq)
        rows.append((psnr(bicubic, hq), ssim(bicubic, hq)))
        assert rows[-1][0] == pytest.approx(entry["psnr_rgb"], abs=1e-9)
        assert rows[-1][1] == pytest.approx(entry["ssim_rgb"], abs=1e-6)
        if number < 10:
            assert psnr_y(bicubic, hq) == pytest.approx(entry["psnr_y_crop4"], abs=1e-9)
            assert ssim_y(bicubic, hq) == pytest.approx(entry["ssim_y_crop4"], abs=1e-6)
    means = np.mean(rows, axis=0)
    assert means[0] == pytest.approx(golden["mean_psnr_rgb"], abs=1e-9)
    assert means[1] == pytest.approx(golden["mean_ssim_rgb"], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_ssim_agrees_with_scikit_image(seed: int) -> None:
    # 150 rows: more than one strip, and a last strip that is not full.
    restored, hq = noisy_pair(seed, height=(40, 74, 75, 150)[seed])
    oracle = structural_similarity(
        restored,
        hq,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim(restored, hq) == pytest.approx(oracle, abs=1e-9)


def test_psnr_is_its_formula() -> None:
    restored, hq = noisy_pair(0)
    mse = np.mean((restored.astype(np.float64) - hq) ** 2)
    assert psnr(restored, hq) == pytest.approx(20 * math.log10(255 / math.sqrt(mse)), abs=1e-12)
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(black, white) == 0.0


def test_equal_images_are_perfect() -> None:
    _, hq = noisy_pair(1)
    assert psnr(hq, hq) == math.inf
    assert ssim(hq, hq) == pytest.approx(1.0, abs=1e-12)


def test_luma_of_grey_is_the_studio_range() -> None:
    grey = np.repeat(np.array([[0, 255, 128]], np.uint8)[..., None], 3, axis=2)
    expected = [16.0, 235.0, 16 + 219 * 128 / 255]
    assert luma(grey)[0] == pytest.approx(expected, abs=1e-4)


def test_the_crop_of_the_y_variants_leaves_the_border_out() -> None:
    restored, hq = noisy_pair(2)
    spoilt = restored.copy()
    spoilt[:4], spoilt[-4:], spoilt[:, :4], spoilt[:, -4:] = 0, 0, 0, 0
    assert psnr_y(spoilt, hq) == psnr_y(restored, hq)
    assert psnr_y(spoilt, hq, crop=0) < psnr_y(restored, hq, crop=0)
    with pytest.raises(MetricError, match="crop 20 leaves nothing"):
        psnr_y(restored, hq, crop=20)


def test_what_is_no_rgb_picture_is_refused() -> None:
    _, hq = noisy_pair(3)
    refused = {
        "alpha channel": np.dstack([hq, hq[..., 0]]),
        "is grey": hq[..., 0],
        "type uint16": hq.astype(np.uint16),
        "type float32": hq.astype(np.float32) / 255,
        "single pixel": hq[:1, :1],
        "differ in size": hq[:-1],
    }
    for reason, image in refused.items():
        with pytest.raises(MetricError, match=reason):
            psnr(image, hq)
        with pytest.raises(MetricError, match=reason):
            ssim(image, hq)
    with pytest.raises(MetricError, match="at least 11 px"):
        ssim(hq[:10], hq[:10])
