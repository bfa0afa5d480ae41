"""Both presets are pure functions of picture and generator, and match the reference's LQ."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.degradation import PRESETS, degrade
from data.lq_statistics import STATISTICS, ks_p_values, lq_statistics
from data.sampling import sample_rng
from data.second_order import SecondOrder
from data.sharpen import sharpen

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def _texture(side: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((8, 8, 3), dtype=np.float32)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * 220
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("preset", PRESETS)
def test_same_generator_same_picture(preset: str) -> None:
    hq = _texture(128)
    before = hq.copy()
    global_state = pickle.dumps(np.random.get_state())  # noqa: NPY002
    first = [degrade(hq, sample_rng(0, 5, i), preset) for i in range(6)]
    again = [degrade(hq, sample_rng(0, 5, i), preset) for i in reversed(range(6))][::-1]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert len({one.tobytes() for one in first}) == 6
    np.testing.assert_array_equal(hq, before)
    assert pickle.dumps(np.random.get_state()) == global_state  # noqa: NPY002


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("side", "scale"), [(512, 4), (128, 4), (64, 1), (64, 2), (64, 8), (8, 8)])
def test_size_and_type(preset: str, side: int, scale: int) -> None:
    for index in range(4):
        lq = degrade(_texture(side), sample_rng(1, 0, index), preset, scale)
        assert lq.shape == (side // scale, side // scale, 3)
        assert lq.dtype == np.uint8


@pytest.mark.parametrize("preset", PRESETS)
def test_channels_keep_their_order_and_faces_their_place(preset: str) -> None:
    hq = np.zeros((128, 128, 3), np.uint8)
    hq[:, :, 0] = 200
    hq[:64, :, 2] = 120
    mean = np.mean([degrade(hq, sample_rng(0, 0, i), preset) for i in range(12)], axis=0)
    assert mean[4:-4, 4:-4, 0].mean() == pytest.approx(200, abs=10)
    assert mean[4:-4, 4:-4, 1].mean() < 20
    assert mean[:12, :, 2].mean() == pytest.approx(120, abs=10)
    assert mean[20:, :, 2].mean() < 20


def test_wrong_input_is_refused() -> None:
    rng = sample_rng(0, 0, 0)
    with pytest.raises(ValueError, match="second-order, first-order"):
        degrade(_texture(64), rng, "third-order")
    with pytest.raises(ValueError, match="uint8"):
        degrade(_texture(64).astype(np.float32), rng, "first-order")
    with pytest.raises(ValueError, match="cannot be divided by 4"):
        degrade(_texture(66), rng, "first-order")


def test_resize_choices_have_their_probabilities() -> None:
    preset = PRESETS["second-order"]
    assert isinstance(preset, SecondOrder)
    rng = np.random.default_rng(0)
    for stage in (preset.first, preset.second):
        factors = np.array([stage.draw_factor(rng) for _ in range(4000)])
        shares = [(factors > 1).mean(), (factors < 1).mean(), (factors == 1).mean()]
        np.testing.assert_allclose(shares, stage.resize_probability, atol=0.03)
        np.testing.assert_allclose([factors.min(), factors.max()], stage.resize_range, atol=0.01)


def test_samples_are_independent_of_each_other() -> None:
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    firsts = {sample_rng(*key).random() for key in keys}
    assert len(firsts) == len(keys)
    assert sample_rng(3, 4, 5, 6).random() == sample_rng(3, 4, 5, 6).random()


def test_sharpening_leaves_flat_parts_alone() -> None:
    hq = np.full((128, 128, 3), 60, np.uint8)
    np.testing.assert_array_equal(sharpen(hq), hq)
    hq[:, 64:] = 180
    sharp = sharpen(hq)
    assert sharp[64, 62, 0] < 60
    assert sharp[64, 65, 0] > 180
    np.testing.assert_array_equal(sharpen(hq, weight=0.0), hq)


@pytest.mark.real
def test_sharpened_faces_are_33_5_db_from_the_faces(faces_root: Path) -> None:
    faces = [_read(path) for path in sorted((faces_root / "val" / "GT").glob("*.png"))[:20]]
    errors = [np.mean((sharpen(hq).astype(float) - hq) ** 2) for hq in faces]
    assert np.mean(10 * np.log10(255**2 / np.array(errors))) == pytest.approx(33.5, abs=1.0)


@pytest.mark.real
def test_statistics_of_the_real_lq_are_the_stored_ones(faces_root: Path) -> None:
    golden = np.load(GOLDEN / "lq_statistics.npz")
    val = faces_root / "val"
    for name, expected in list(
        zip(golden["first_order_names"], golden["first_order"], strict=True)
    )[:10]:
        ours = lq_statistics(_read(val / "LQ" / f"{name}.png"), _read(val / "GT" / f"{name}.png"))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(
    ("preset", "folder"), [("first-order", "val/GT"), ("second-order", "train")]
)
def test_distributions_match_the_reference(faces_root: Path, preset: str, folder: str) -> None:
    golden = np.load(GOLDEN / "lq_statistics.npz")
    key = preset.replace("-", "_")
    paths = {path.stem: path for path in (faces_root / folder).rglob("*.*")}
    rows = []
    for index, name in enumerate(golden[f"{key}_names"]):
        hq = _read(paths[str(name)])
        rows.append(lq_statistics(degrade(hq, sample_rng(0, 0, index), preset), hq))
    p_values = ks_p_values(np.array(rows), golden[key])
    assert p_values.min() > 0.01, dict(zip(STATISTICS, p_values, strict=True))
