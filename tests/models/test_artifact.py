"""Network files: the round trip, and a clear refusal of everything broken or hostile."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.artifact import (
    ArtifactError,
    load_network,
    newest_network,
    read_metadata,
    save_network,
    save_params,
)
from models.network import FaceSR
from models.restorer import passes_of
from models.size import count
from models.space import Space, Width
from models.zoo import build


def small_face_net() -> FaceSR:
    """A derived network with one prior, small enough for a test."""
    width = Width(channels=8, growth=4, blocks=1, sr=8, prior=2, fusion=2, tail=(8, 8, 8))
    space = Space(priors=("parse",), width=width, student_size=32)
    while not space.is_genotype:
        several = next(d for d in space.decisions() if len(d.options) > 1)
        space = space.restrict({several.name: several.options[-1]})
    return FaceSR(space)


def small_zoo_net() -> nn.Module:
    return build("msrresnet-16")


@pytest.fixture(scope="module")
def face_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nets") / "best.safetensors"
    save_network(path, small_face_net(), metadata={"config": {"preset": "quick"}})
    return path


@pytest.mark.parametrize("make", [small_face_net, small_zoo_net])
def test_a_loaded_network_computes_the_same(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = make().eval()
    save_network(tmp_path / "best.safetensors", net, metadata={"note": [1, None, "ä"]})
    loaded = load_network(tmp_path / "best.safetensors")
    assert not loaded.net.training
    assert loaded.metadata["note"] == [1, None, "ä"]
    lq = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        pairs = zip(passes_of(net, lq), passes_of(loaded.net, lq), strict=True)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor)


def test_the_tensors_of_a_file_sum_to_the_counted_size(face_file: Path) -> None:
    stored = sum(tensor.numel() for tensor in load_file(face_file).values())
    assert stored == count(small_face_net()).total


def test_a_given_state_is_what_is_stored(tmp_path: Path) -> None:
    net = small_zoo_net()
    average = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    save_network(tmp_path / "a.safetensors", net, average)
    stored = load_network(tmp_path / "a.safetensors").net.state_dict()
    assert all(torch.equal(stored[name], average[name]) for name in average)
    average.pop("conv_last.bias")
    with pytest.raises(ArtifactError, match=r"missing conv_last\.bias"):
        save_network(tmp_path / "b.safetensors", net, average)
    assert not (tmp_path / "b.safetensors").exists()


def test_a_pth_gives_its_ema_weights(tmp_path: Path) -> None:
    net = small_zoo_net()
    average = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    save_params(tmp_path / "best.pth", net, net.state_dict(), average, {"seed": 3})
    content = torch.load(tmp_path / "best.pth", weights_only=True)
    assert torch.equal(content["params"]["conv_last.bias"], net.state_dict()["conv_last.bias"])
    loaded = load_network(tmp_path / "best.pth")
    assert torch.equal(loaded.net.state_dict()["conv_last.bias"], average["conv_last.bias"])
    assert (loaded.metadata["seed"], loaded.metadata["model"]) == (3, "msrresnet-16")


def test_the_baselines_own_checkpoint_is_recognised(tmp_path: Path) -> None:
    torch.save({"params_ema": build("msrresnet-24").state_dict()}, tmp_path / "net_g_latest.pth")
    assert load_network(tmp_path / "net_g_latest.pth").metadata["model"] == "msrresnet-24"
    torch.save({"params": nn.Linear(2, 2).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(ArtifactError, match="carries no description"):
        load_network(tmp_path / "other.pth")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.safetensors"
    save_network(path, small_zoo_net(), metadata={"try": 1})

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_network(path, small_zoo_net(), metadata={"try": 2})
    assert read_metadata(path)["try"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]


def test_a_supernet_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        net = FaceSR(Space(priors=()))
    with pytest.raises(ArtifactError, match="derive a genotype"):
        save_network(tmp_path / "best.safetensors", net)


class Evil:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_nothing_is_unpickled(tmp_path: Path, writer: str) -> None:
    path, target = tmp_path / "best.pth", tmp_path / "made"
    if writer == "pickle":
        path.write_bytes(pickle.dumps({"params": Evil(target)}))
    else:
        torch.save({"params": Evil(target)}, path)
    with pytest.raises(ArtifactError, match="needs code to open is refused"):
        load_network(path)
    assert not target.exists()


def with_metadata(path: Path, source: Path, **changes: Any) -> Path:
    """A copy of a file with other metadata; None removes a key, bytes stand as they are."""
    texts = {key: json.dumps(value) for key, value in read_metadata(source).items()}
    texts |= {k: v.decode() if isinstance(v, bytes) else json.dumps(v) for k, v in changes.items()}
    kept = {key: text for key, text in texts.items() if changes.get(key, "") is not None}
    save_file(load_file(source), path, metadata=kept)
    return path


def test_broken_files_name_the_reason(tmp_path: Path, face_file: Path) -> None:
    data = face_file.read_bytes()
    broken = {
        "empty.safetensors": b"",
        "short.safetensors": data[: len(data) // 2],
        "header.safetensors": struct.pack("<Q", 1 << 60) + data[8:],
        "text.safetensors": b"not a network at all",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match="not a whole safetensors file"):
            load_network(tmp_path / name)
    with pytest.raises(ArtifactError, match="no such file"):
        load_network(tmp_path / "absent.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"give a \.safetensors or \.pth"):
        load_network(tmp_path / "net.onnx")


def test_metadata_that_lies_is_refused(tmp_path: Path, face_file: Path) -> None:
    good = read_metadata(face_file)
    huge = {**good["space"], "width": {**good["space"]["width"], "blocks": 10**9}}
    wide = {**good["space"], "width": {**good["space"]["width"], "channels": 16}}
    refused: list[tuple[str, dict[str, Any]]] = [
        ("not JSON", {"space": b"{"}),
        ("kind 'gan' is unknown", {"kind": "gan"}),
        ("KeyError: 'genotype'", {"genotype": None}),
        ("blocks = 1000000000", {"space": huge}),
        ("tensors and description disagree: wrong shape", {"space": wide}),
        ("tensors and description disagree", {"kind": "zoo", "model": "rdb-plain", "scale": 4}),
        ("format 99", {"format": 99}),
        ("several options are open", {"genotype": {}}),
        ("builds no network", {"genotype": {"no/such": "decision"}}),
        ("builds no network", {"space": [1, 2]}),
    ]
    for reason, changes in refused:
        path = with_metadata(tmp_path / "lie.safetensors", face_file, **changes)
        with pytest.raises(ArtifactError, match=reason):
            load_network(path)


def test_tensors_that_are_no_weights_are_refused(tmp_path: Path, face_file: Path) -> None:
    tensors = load_file(face_file)
    texts = {key: json.dumps(value) for key, value in read_metadata(face_file).items()}
    first = next(iter(tensors))
    for bad, reason in (
        (torch.full_like(tensors[first], float("nan")), "not finite"),
        (tensors[first].to(torch.int32), "not a float"),
    ):
        save_file({**tensors, first: bad}, tmp_path / "bad.safetensors", metadata=texts)
        with pytest.raises(ArtifactError, match=reason):
            load_network(tmp_path / "bad.safetensors")


def test_the_newest_run_is_found_by_time(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="train first"):
        newest_network(tmp_path)
    for number, name in enumerate(("z-old", "a-new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.safetensors").touch()
        os.utime(tmp_path / name / "best.safetensors", (number, number))
    assert newest_network(tmp_path).parent.name == "a-new"
    (tmp_path / "quickstart-001" / "train").mkdir(parents=True)
    (tmp_path / "quickstart-001" / "train" / "best.safetensors").touch()
    assert newest_network(tmp_path).parent.parent.name == "quickstart-001"
