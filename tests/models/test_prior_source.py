"""Control arms: what each gives, that it is the same for the same face, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.artifact import load_network, save_network
from models.network import FaceSR
from models.prior_source import (
    BANK,
    EXTERNAL,
    ORACLE,
    STAND_INS,
    OracleError,
    source_of,
    stand_in,
    tell_truth,
)
from models.rules import audit
from models.size import count
from tests.train.conftest import tiny_net

PRIORS = ("parse", "heat", "dict")
ARMS = [source for source in STAND_INS if source != EXTERNAL]
"""The stand-ins that need no labels; for `external` see tests/train/test_labels.py."""
SIZE = 32


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: the student's maps of 32 px gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """Return smooth random LQ (BANK,3,S,S)."""
    torch.manual_seed(0)
    coarse = torch.rand(BANK, 3, 4, 4)
    return torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")


def _net() -> FaceSR:
    """Return a network whose student tells faces apart, always with the same weights."""
    net = tiny_net(PRIORS)
    assert net.student is not None
    torch.manual_seed(1)
    for value in net.student.parameters():
        torch.nn.init.normal_(value, std=0.2)
    return net


def _maps(source: str, faces: Tensor, x: Tensor) -> dict[str, Tensor]:
    net = _net()
    stand_in(net, source)
    if source != "real":
        net.student.fit(faces)  # type: ignore[union-attr,operator]
    tell_truth(net, x, x)
    with torch.no_grad():
        return net.prior_maps(x)


@pytest.mark.parametrize("source", ["real", *ARMS])
def test_maps_have_the_students_shapes_and_are_the_same_again(source: str, faces: Tensor) -> None:
    x = faces[3:6].flip(-1)
    first, again = _maps(source, faces, x), _maps(source, faces, x)
    for prior, channels in {"parse": 12, "heat": 26, "dict": 9}.items():
        assert first[prior].shape == (3, channels, SIZE, SIZE)
        torch.testing.assert_close(first[prior], again[prior], rtol=0, atol=0)
        assert first[prior].std() > 0


def test_what_the_arms_give(faces: Tensor) -> None:
    x = faces[3:5].flip(-1)
    real = _maps("real", faces, x)
    template = _maps("template", faces, x)
    torch.testing.assert_close(template["parse"][0], template["parse"][1])
    every = _maps("real", faces, faces)["heat"].mean(0)
    assert (template["heat"][0] - every).abs().mean() < 0.05 * every.abs().max()
    shuffled, other = _maps("shuffled", faces, x), _maps("reshuffled", faces, x)
    bank = _maps("real", faces, faces)["parse"]
    for arm in (shuffled, other):
        assert (arm["parse"][0] - real["parse"][0]).abs().max() > 1e-3
        assert (bank - arm["parse"][0]).abs().amax((1, 2, 3)).min() < 1e-4, "a face of the bank"
    assert (shuffled["parse"] - other["parse"]).abs().max() > 1e-3
    coords = _maps("coords", faces, x)["heat"]
    assert coords[:, 2:].abs().max() == 0
    assert coords[0, 0, 5, 0] == coords[0, 0, 5, -1] > 0.9
    assert coords[0, 1, 0, 7] == -coords[0, 1, -1, 7] < -0.9
    noise, every = (_maps(*what)["dict"] for what in (("noise", faces, x), ("real", faces, faces)))
    away = (noise - every.mean((0, 2, 3), keepdim=True)).mean((0, 2, 3)).abs()
    assert (away < 0.2 * every.std((0, 2, 3))).all()


def test_shuffled_never_gives_the_face_itself(faces: Tensor) -> None:
    real, shuffled = (_maps(source, faces, faces) for source in ("real", "shuffled"))
    assert (real["parse"] - shuffled["parse"]).abs().amax((1, 2, 3)).min() > 1e-4


def test_the_oracle_knows_what_it_was_told_and_nothing_else(faces: Tensor) -> None:
    net = _net()
    student = net.student
    assert student is not None
    stand_in(net, ORACLE)
    lq = faces[:2] * 0.5
    tell_truth(net, lq, hq=faces[:2])
    with torch.no_grad():
        torch.testing.assert_close(net.prior_maps(lq)["parse"], student(faces[:2])["parse"])
    with pytest.raises(OracleError, match="not used to restore"):
        net.prior_maps(faces[2:3])


@pytest.mark.parametrize("source", ARMS)
def test_a_control_arm_is_as_large_and_is_saved_and_judged(
    source: str, faces: Tensor, tmp_path: Path
) -> None:
    net = _net()
    size = count(net)
    stand_in(net, source)
    net.student.fit(faces)  # type: ignore[union-attr,operator]
    assert count(net) == size
    save_network(tmp_path / "net.safetensors", net)
    loaded = load_network(tmp_path / "net.safetensors")
    assert source_of(loaded.net) == source
    x = faces[7:8].flip(-1)
    for one in (net, loaded.net):
        tell_truth(one, x, x)
    with torch.no_grad():
        found, wanted = loaded.net.prior_maps(x), net.prior_maps(x)  # type: ignore[operator]
    for prior in PRIORS:
        assert (found[prior] - wanted[prior]).abs().mean() < 1e-4
    kept = [one.kept for one in audit(loaded.net, {}) if "control arm" in one.text]
    assert kept == [source == "coords"]
