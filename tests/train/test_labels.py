"""A network of external labels: looked up by name, mirrored with the face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.batches import BatchMaker
from models.artifact import load_network, save_network
from models.network import FaceSR
from models.prior_source import EXTERNAL, External, LabelError, stand_in
from models.restorer import restore
from priors.external import open_labels
from tests.external import options_of, write_labels
from tests.train.conftest import SmoothFaces, tiny_net
from train.learner import face_maps

PRIORS = ("parse", "heat", "dict")
CPU = torch.device("cpu")


def test_restoring_uses_the_face_s_own_labels_mirrored_with_it(tmp_path: Path) -> None:
    write_labels(tmp_path, ["0", "1"])
    net = tiny_net(PRIORS)
    stand_in(net, EXTERNAL)
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.2)
    student = net.student
    assert isinstance(student, External)
    student.labels[False] = open_labels(options_of(tmp_path), PRIORS, trained=False, device=CPU)
    lq = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    asked: list[tuple[str, bool]] = []
    inner = student.labels[False]

    class Asked:
        def maps(self, name: str, face: torch.Tensor, mirrored: bool, size: int) -> Any:
            asked.append((name, mirrored))
            return inner.maps(name, face, mirrored, size)

    student.labels[False] = Asked()
    own, other = restore(net, lq, name="0")[-1], restore(net, lq, name="1")[-1]
    assert (own != other).any(), "the labels matter"
    restore(net, lq, name="0", flip_ensemble=True)
    assert asked == [("0", False), ("1", False), ("0", False), ("0", True)]
    with pytest.raises(LabelError, match="which this command does not have"):
        restore(net, lq)
    with pytest.raises(LabelError, match="0: the LQ is 30x32 px"):
        restore(net, lq[:, :30].copy(), name="0")


def test_labels_follow_the_flips_of_the_training_faces(tmp_path: Path) -> None:
    source = SmoothFaces()
    source.side = 128
    write_labels(tmp_path, source.names)
    net = tiny_net(PRIORS)
    stand_in(net, EXTERNAL)
    assert isinstance(net.student, External)
    read = open_labels(options_of(tmp_path), PRIORS, trained=True, device=CPU)
    net.student.labels[True] = read
    seen = set()
    for step in range(4):
        batch = _maker(source)(step)
        maps = face_maps(net, batch)
        assert maps is not None
        for k, (name, mirrored) in enumerate(zip(batch.names, batch.mirrored, strict=True)):
            seen.add(mirrored)
            wanted = read.maps(name, batch.face[k], mirrored, 32)
            for prior in PRIORS:
                torch.testing.assert_close(maps[prior][k], wanted[prior])
    assert seen == {True, False}


def test_a_batch_says_which_faces_are_mirrored() -> None:
    source = SmoothFaces()
    for step in range(4):
        batch = _maker(source, degradation="bicubic")(step)
        for k, (name, mirrored) in enumerate(zip(batch.names, batch.mirrored, strict=True)):
            hq = source.image(source.names.index(name)) / np.float32(255)
            found = batch.hq[k].permute(1, 2, 0).numpy()
            np.testing.assert_allclose(found, hq[:, ::-1] if mirrored else hq, atol=1e-6)
    unflipped = _maker(source, flip=False)
    assert not any(any(unflipped(step).mirrored) for step in range(6))


def _maker(source: SmoothFaces, degradation: str = "bicubic", *, flip: bool = True) -> BatchMaker:
    return BatchMaker(
        source,
        seed=3,
        faces=2,
        crops=1,
        lq_crop=None,
        degradation=degradation,
        scale=4,
        flip=flip,
    )


def test_a_network_of_external_labels_is_as_large_and_needs_names(tmp_path: Path) -> None:
    net = tiny_net(PRIORS)
    size = sum(p.numel() for p in net.parameters())
    stand_in(net, EXTERNAL)
    assert sum(p.numel() for p in net.parameters()) == size
    save_network(tmp_path / "net.safetensors", net)
    loaded = load_network(tmp_path / "net.safetensors").net
    assert isinstance(loaded, FaceSR)
    with pytest.raises(LabelError, match="labels from outside"):
        loaded(torch.rand(1, 3, 32, 32))
