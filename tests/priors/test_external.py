"""Landmarks from outside: every format, every refusal, the mirrored face, the detector."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import DataError
from models.student_heads import draw_points
from priors.external import DETECTOR, LabelOptions, is_split, open_labels
from priors.external_landmarks import CHOSEN, MAPS, WEIGHTS, Detector, partners_of_68

SIZE = 32
FACE = torch.zeros(3, SIZE, SIZE)


def _maps(
    options: LabelOptions, prior: str, name: str = "a", *, mirrored: bool = False, size: int = SIZE
) -> Tensor:
    labels = open_labels(options, (prior,), trained=False, device=torch.device("cpu"))
    return labels.maps(name, FACE, mirrored, size)[prior]


def _points(count: int, side: int = 512, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.8, (count, 2)).astype(np.float32) * side


def _landmarks(folder: Path, side: int | None = 512) -> LabelOptions:
    return LabelOptions(landmark_labels=str(folder), landmark_side=side)


def _peaks(maps: Tensor) -> Tensor:
    """Return (x,y) of every map's highest pixel."""
    best = maps.flatten(1).argmax(1)
    return torch.stack([best % maps.shape[-1], best // maps.shape[-1]], 1)


@pytest.mark.parametrize("suffix", [".npy", ".txt"])
def test_26_of_68_points_become_gaussians_of_2_px_at_128(suffix: str, tmp_path: Path) -> None:
    points = _points(68)
    save = np.save if suffix == ".npy" else np.savetxt
    save(tmp_path / f"a{suffix}", points)
    maps = _maps(_landmarks(tmp_path), "heat", size=128)
    assert maps.shape == (MAPS, 128, 128)
    assert len(CHOSEN) == len(set(CHOSEN)) == MAPS
    x, y = (points[CHOSEN[3]] + 0.5) * 128 / 512 - 0.5
    rows, columns = np.mgrid[:128, :128]
    wanted = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    np.testing.assert_allclose(maps[3].numpy(), wanted, atol=1e-5)


def test_a_mirrored_face_s_points_change_sides(tmp_path: Path) -> None:
    points = _points(68)
    np.save(tmp_path / "a.npy", points)
    mirrored = points[partners_of_68()]
    mirrored[:, 0] = 511 - mirrored[:, 0]
    np.save(tmp_path / "b.npy", mirrored)
    options = _landmarks(tmp_path)
    own, other = _maps(options, "heat", mirrored=True), _maps(options, "heat", "b")
    torch.testing.assert_close(own, other)
    outer, left, right = _maps(options, "heat"), CHOSEN.index(36), CHOSEN.index(45)
    torch.testing.assert_close(own[left], outer[right].flip(-1))
    torch.testing.assert_close(own[CHOSEN.index(30)], outer[CHOSEN.index(30)].flip(-1))


def test_the_partners_of_the_68_points_lie_across_a_symmetric_face() -> None:
    swap = partners_of_68()
    assert [swap[swap[i]] for i in range(68)] == list(range(68))
    middle = [i for i in range(68) if swap[i] == i]
    assert middle == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


@pytest.mark.parametrize(("count", "swap"), [(26, None), (5, [1, 0, 2, 4, 3]), (3, [2, 1, 0])])
def test_fewer_points_fill_the_first_maps(
    count: int, swap: list[int] | None, tmp_path: Path
) -> None:
    points = _points(count)
    np.save(tmp_path / "a.npy", points)
    if count == 3:
        (tmp_path / "mirror.txt").write_text("2 1 0\n")
    options = _landmarks(tmp_path)
    maps = _maps(options, "heat")
    drawn = draw_points(torch.from_numpy((points + 0.5) / 512), SIZE)
    torch.testing.assert_close(maps[:count], drawn)
    assert maps[count:].abs().sum() == 0
    if swap is not None:
        flipped = _maps(options, "heat", mirrored=True)[:count]
        torch.testing.assert_close(flipped, maps[swap].flip(-1))


@pytest.mark.parametrize(
    ("points", "mirror", "side", "said"),
    [
        (_points(98), None, 512, "98 points; 68 .iBUG., 26 or 5 are known"),
        (_points(7), None, 512, "7 points.*needs mirror.txt"),
        (_points(7), "0 1 2", 512, "needs 7 numbers from 0"),
        (_points(3), "1 2 0", 512, "partners that name each other"),
        (_points(98), " ".join(map(str, range(98))), 512, "98 points; 68, or at most 26"),
        (_points(3), "a b c", 512, "whole numbers"),
        (_points(68), None, 128, "most points lie outside a picture of 128 px"),
        (_points(68), None, None, "needs --landmark-side"),
        (np.zeros((68, 3), np.float32), None, 512, "points are .N,2."),
        (np.full((68, 2), np.nan, np.float32), None, 512, "not finite"),
    ],
)
def test_unusable_points_are_refused(
    points: np.ndarray, mirror: str | None, side: int | None, said: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", points)
    if mirror is not None:
        (tmp_path / "mirror.txt").write_text(mirror)
    with pytest.raises(DataError, match=said):
        _maps(_landmarks(tmp_path, side), "heat")


def test_a_missing_or_doubled_or_garbled_file_is_named(tmp_path: Path) -> None:
    options = _landmarks(tmp_path)
    with pytest.raises(DataError, match=r"a: no label: .* needs one file a\.npy or a\.txt"):
        _maps(options, "heat")
    (tmp_path / "a.txt").write_text("1 two\n")
    with pytest.raises(DataError, match=r"x and y of one point a line"):
        _maps(options, "heat")
    np.save(tmp_path / "a.npy", _points(68))
    with pytest.raises(DataError, match=r"two labels"):
        _maps(options, "heat")
    labels = open_labels(options, ("heat",), trained=False, device=torch.device("cpu"))
    labels.check(["a"])
    with pytest.raises(DataError, match=r"b: no heat label"):
        labels.check(["a", "b"])
    with pytest.raises(DataError, match=r"no labels of parse, dict: give --parse-labels"):
        open_labels(options, ("parse", "heat", "dict"), trained=False, device=torch.device("cpu"))
    with pytest.raises(DataError, match=r"no such folder"):
        _maps(_landmarks(tmp_path / "elsewhere"), "heat")


def test_training_faces_have_a_folder_of_their_own(tmp_path: Path) -> None:
    options = _landmarks(tmp_path)
    assert not is_split(options)
    both = {}
    for trained, part in ((True, "train"), (False, "val")):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "a.npy", _points(68, seed=int(trained)))
        labels = open_labels(options, ("heat",), trained=trained, device=torch.device("cpu"))
        both[trained] = labels.maps("a", FACE, False, SIZE)["heat"]
        before = labels.fingerprint
        np.save(tmp_path / part / "b.npy", _points(68, seed=5))
        assert labels.fingerprint != before
    assert is_split(options)
    assert (both[True] - both[False]).abs().max() > 0.1


def test_without_the_detector_s_weights_the_fix_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = LabelOptions(landmark_labels=DETECTOR)
    monkeypatch.setenv(WEIGHTS, str(tmp_path / "none.pth.tar"))
    with pytest.raises(DataError, match=r"none.pth.tar: no such file.*--face-alignment-weights"):
        _maps(options, "heat")
    monkeypatch.delenv(WEIGHTS)
    api = pytest.importorskip("face_alignment.api")

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(api, "load_file_from_url", offline)
    with pytest.raises(DataError, match=r"cannot be downloaded.*no network.*2DFAN4.*ALIGNMENT_WEI"):
        _maps(options, "heat")
    (tmp_path / "torn.pth.tar").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"cannot be read"):
        _maps(
            LabelOptions(
                landmark_labels=DETECTOR, face_alignment_weights=tmp_path / "torn.pth.tar"
            ),
            "heat",
        )


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    """Return a detector whose network has random weights and one hourglass of four."""
    fan = pytest.importorskip("face_alignment.models")
    torch.manual_seed(0)
    torch.save(fan.FAN(1).state_dict(), tmp_path / "fan.pth.tar")
    return Detector(tmp_path / "fan.pth.tar", torch.device("cpu"), modules=1)


def test_the_detector_s_points_become_maps_and_a_mirrored_lq_is_not_mirrored_again(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, seen = _points(68), []

    def found(_: object, picture: np.ndarray, boxes: list[list[float]]) -> list[np.ndarray]:
        seen.append((picture, boxes))
        return [points]

    api = pytest.importorskip("face_alignment.api")
    monkeypatch.setattr(api.FaceAlignment, "get_landmarks_from_image", found)
    lq = torch.zeros(3, SIZE, SIZE)
    lq[0] = 1
    maps = [detector.label("any", lq, mirrored, SIZE) for mirrored in (False, True)]
    drawn = draw_points(torch.from_numpy((points[list(CHOSEN)] + 0.5) / 512), SIZE)
    for one in maps:
        torch.testing.assert_close(one, drawn)
    picture, boxes = seen[0]
    assert picture.shape == (512, 512, 3)
    assert picture.dtype == np.uint8
    assert (picture == (255, 0, 0)).all()
    assert boxes == [[112, 144, 400, 464]]
    assert detector.has("any")
    assert "weights " in detector.told


@pytest.mark.slow
def test_the_detector_runs_its_network_on_the_lq(detector: Detector) -> None:
    maps = detector.label("any", torch.rand(3, SIZE, SIZE), False, SIZE)
    assert maps.shape == (MAPS, SIZE, SIZE)
    assert 0 < maps.amax() <= 1
