"""Parses and dictionaries from outside: every format, every refusal, the mirrored face."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import DataError
from priors.external import LabelOptions, open_labels
from priors.external_maps import GROUPS, ORDERS

SIZE = 32
FACE = torch.zeros(3, SIZE, SIZE)


def _maps(
    options: LabelOptions, prior: str, name: str = "a", *, mirrored: bool = False, size: int = SIZE
) -> Tensor:
    labels = open_labels(options, (prior,), trained=False, device=torch.device("cpu"))
    return labels.maps(name, FACE, mirrored, size)[prior]


def _parse_options(folder: Path, order: str | None) -> LabelOptions:
    return LabelOptions(parse_labels=folder, label_order=order)


def _group(name: str) -> int:
    return next(i for i, group in enumerate(GROUPS) if name in group)


@pytest.mark.parametrize("order", ORDERS)
def test_every_class_of_an_order_has_its_map(order: str, tmp_path: Path) -> None:
    names = ORDERS[order]
    assert sorted(names) == sorted(name for group in GROUPS for name in group)
    assert names[0] == "background"
    assert names[1] == "skin"
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[0, : len(names)] = range(len(names))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    maps = _maps(_parse_options(tmp_path, order), "parse")
    assert maps.shape == (12, SIZE, SIZE)
    torch.testing.assert_close(maps.sum(0), torch.ones(SIZE, SIZE))
    for column, name in enumerate(names):
        assert maps[_group(name), 0, column] == 1


def test_the_two_orders_differ_where_they_should() -> None:
    assert ORDERS["celebamask-hq"][2] == "nose"
    assert ORDERS["face-parsing"][2] == "l_brow"
    assert ORDERS["celebamask-hq"][13] == ORDERS["face-parsing"][17] == "hair"


def test_a_mirrored_face_s_classes_change_sides_and_larger_parses_become_shares(
    tmp_path: Path,
) -> None:
    image = np.ones((4 * SIZE, 4 * SIZE), np.uint8)
    image[40:48, 20:40] = ORDERS["celebamask-hq"].index("l_eye")
    image[41:47, 80:100] = ORDERS["celebamask-hq"].index("r_eye")
    cv2.imwrite(str(tmp_path / "a.png"), image)
    options = _parse_options(tmp_path, "celebamask-hq")
    maps, flipped = _maps(options, "parse"), _maps(options, "parse", mirrored=True)
    left, right = _group("l_eye"), _group("r_eye")
    assert maps[left].sum() == 8 * 20 / 16
    assert maps[right].sum() == 6 * 20 / 16
    torch.testing.assert_close(flipped[left], maps[right].flip(-1))
    torch.testing.assert_close(flipped[right], maps[left].flip(-1))
    skin = _group("skin")
    torch.testing.assert_close(flipped[skin], maps[skin].flip(-1))


def test_raw_parses_of_12_maps_or_19_classes(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).dirichlet(np.ones(19), (8, 8)).transpose(2, 0, 1)
    np.save(tmp_path / "a.npy", classes)
    maps = _maps(_parse_options(tmp_path, "face-parsing"), "parse", size=8)
    lips = classes[[ORDERS["face-parsing"].index(n) for n in ("mouth", "u_lip", "l_lip")]]
    np.testing.assert_allclose(maps[_group("mouth")], lips.sum(0), atol=1e-6)
    with pytest.raises(DataError, match=r"19 classes mean nothing without --label-order"):
        _maps(_parse_options(tmp_path, None), "parse")
    own = maps.numpy()
    np.save(tmp_path / "b.npy", own)
    again = _maps(_parse_options(tmp_path, None), "parse", "b", size=8)
    np.testing.assert_array_equal(again, own)
    for wrong, said in ((own[:5], r"\(12,h,w\) or \(19,h,w\)"), (own * 9, "not scores")):
        np.save(tmp_path / "c.npy", wrong)
        with pytest.raises(DataError, match=said):
            _maps(_parse_options(tmp_path, None), "parse", "c")


@pytest.mark.parametrize(
    ("image", "order", "said"),
    [
        (np.zeros((8, 8)), None, "mean nothing without --label-order celebamask-hq or face-p"),
        (np.zeros((8, 8)), "alphabetical", "one of celebamask-hq, face-parsing"),
        (np.full((8, 8), 19), "face-parsing", "class 19; the classes are 0 to 18"),
        (np.zeros((8, 8, 3)), "face-parsing", "not one 8-bit grey channel"),
    ],
)
def test_unusable_parses_are_refused(
    image: np.ndarray, order: str | None, said: str, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image.astype(np.uint8))
    with pytest.raises(DataError, match=said):
        _maps(_parse_options(tmp_path, order), "parse")


def test_codes_of_a_face_are_taken_as_they_are(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).normal(size=(9, SIZE, SIZE)).astype(np.float32)
    np.save(tmp_path / "a.npy", codes)
    options = LabelOptions(dict_labels=tmp_path)
    np.testing.assert_array_equal(_maps(options, "dict"), codes)
    np.testing.assert_array_equal(_maps(options, "dict", mirrored=True), codes[..., ::-1])
    np.save(tmp_path / "b.npy", codes[:8])
    with pytest.raises(DataError, match=r"\(9,h,w\) is read"):
        _maps(options, "dict", "b")


class _Payload:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a payload was unpickled",))


@pytest.mark.parametrize("prior", ["heat", "parse", "dict"])
def test_a_pickled_payload_is_refused_unopened(prior: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([_Payload()], dtype=object), allow_pickle=True)
    options = {
        "heat": LabelOptions(landmark_labels=str(tmp_path), landmark_side=64),
        "parse": _parse_options(tmp_path, None),
        "dict": LabelOptions(dict_labels=tmp_path),
    }
    with pytest.raises(DataError, match=r"holds pickled objects.*refused"):
        _maps(options[prior], prior)
    (tmp_path / "a.npy").write_bytes(pickle.dumps(_Payload()))
    with pytest.raises(DataError, match=r"holds pickled objects.*refused"):
        _maps(options[prior], prior)
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"no readable"):
        _maps(options[prior], prior)
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(DataError, match=r"not one plain array"):
        _maps(options[prior], prior)


def _dictionary(folder: Path, **changes: np.ndarray) -> LabelOptions:
    rng = np.random.default_rng(0)
    for part, side in (("left_eye", 5), ("right_eye", 5), ("nose", 3), ("mouth", 6)):
        atoms = changes.get(part, rng.random((4, 512 * side * side)).astype(np.float32))
        np.save(folder / f"{part}_32_center.npy", atoms)
    return LabelOptions(dict_labels=folder)


def test_dfdnet_s_components_fill_their_boxes(tmp_path: Path) -> None:
    options = _dictionary(tmp_path)
    maps = _maps(options, "dict", "any name", size=128)
    assert maps.shape == (9, 128, 128)
    assert maps.amax() == pytest.approx(1.0)
    inside = maps[8] == 1
    assert 0.1 < inside.float().mean() < 0.3
    assert maps[:, ~inside].abs().sum() == 0
    assert maps[0, 59, 48] > 0.5, "the left eye"
    assert maps[2, 59, 80] > 0.5, "the right eye"
    assert maps[0, 59, 80] == maps[6, 59, 48] == 0
    mirrored = _maps(options, "dict", mirrored=True, size=128)
    torch.testing.assert_close(mirrored[0], maps[2].flip(-1))
    torch.testing.assert_close(mirrored[4], maps[4].flip(-1))


def test_unusable_components_are_refused(tmp_path: Path) -> None:
    options = _dictionary(tmp_path, nose=np.array([_Payload()], dtype=object))
    with pytest.raises(DataError, match=r"nose_32_center.npy: holds pickled objects"):
        _maps(options, "dict")
    options = _dictionary(tmp_path, nose=np.zeros((4, 7), np.float32))
    with pytest.raises(DataError, match=r"atoms, channels, h, w"):
        _maps(options, "dict")
    (tmp_path / "nose_32_center.npy").unlink()
    with pytest.raises(DataError, match=r"no nose_256_center.npy"):
        _maps(options, "dict")
