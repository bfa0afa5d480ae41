"""Exporting as typed: ONNX that computes the same, weights that load again."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch

from models.artifact import load_network, save_network
from models.restorer import passes_of
from models.zoo import build
from scripts import export
from tests.train.conftest import tiny_net


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with two networks of one shape."""
    for number in (1, 2):
        torch.manual_seed(number)
        save_network(tmp_path / f"{number}.safetensors", build("espcn"))
    return tmp_path


@pytest.mark.parametrize("kind", ["facesr", "espcn"])
def test_the_onnx_network_computes_the_same(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tiny_net(("parse", "heat")) if kind == "facesr" else build("espcn")
    save_network(place / "net.safetensors", net)
    argv = ["--checkpoint", str(place / "net.safetensors"), "--side", "32"]
    assert export.main([*argv, "--to", str(place / "net.onnx")]) == 0
    assert "LQ 32 px" in capsys.readouterr().out
    lq = torch.rand(1, 3, 32, 32)
    session = onnxruntime.InferenceSession(str(place / "net.onnx"))
    found = torch.from_numpy(session.run(None, {"lq": lq.numpy()})[0])
    with torch.no_grad():
        wanted = passes_of(net.eval(), lq)[-1]
    assert wanted.std() > 0.05
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_a_network_that_onnx_gets_wrong_is_not_left(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    argv = ["--checkpoint", str(place / "1.safetensors"), "--side", "16"]
    assert export.main([*argv, "--to", str(place / "net.onnx")]) == 2
    assert "from its source; nothing is left" in capsys.readouterr().err
    assert not (place / "net.onnx").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_averaged_weights_are_written(suffix: str, place: Path) -> None:
    both = ["--checkpoint", *(str(place / f"{number}.safetensors") for number in (1, 2))]
    out = place / f"mean{suffix}"
    assert export.main([*both, "--to", str(out)]) == 2, "outputs cannot be one network"
    assert export.main([*both, "--average", "weights", "--to", str(out)]) == 0
    mean = load_network(out)
    first, second = (load_network(place / f"{n}.safetensors").net.state_dict() for n in (1, 2))
    for name, value in mean.net.state_dict().items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    assert len(mean.metadata["averaged"]) == 2
    with pytest.raises(SystemExit):
        export.main([*both, "--average", "weights", "--to", str(out)])
