"""Write a trained network in another form: ONNX, or the weights of one network or of an average.

    python scripts/export.py --checkpoint runs/train_derived-001/best.safetensors --to face.onnx
    python scripts/export.py --checkpoint runs/a/snapshots/*.safetensors --average weights \\
        --to mean.safetensors
    python scripts/export.py --checkpoint runs/a/last.safetensors --publish --to face.safetensors

The ONNX network takes `lq` (1,3,S,S), RGB float32 in [0,1], S from --side, and gives `restored`
(1,3,S*4,S*4), the last pass, not clamped. It is opened again with ONNX Runtime and
compared with the network before the file is left.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import logging  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import replace  # noqa: E402

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from models.artifact import (  # noqa: E402
    ArtifactError,
    Loaded,
    newest_network,
    save_network,
    save_params,
)
from models.ensemble import Ensemble, load_networks  # noqa: E402
from models.files import write_whole  # noqa: E402
from models.prior_source import EXTERNAL, ORACLE, source_of  # noqa: E402
from models.restorer import passes_of  # noqa: E402
from models.size import count  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.run_folder import RUNS  # noqa: E402

SUFFIXES = (".onnx", ".safetensors", ".pth")
OPSET = 18
OWN_FOLDERS, FACE_FOLDERS = ("cache", "out"), ("data", "val")
"""Folders in a configuration that mean nothing elsewhere, and those whose last part does."""
TOLERANCE = 1e-4
"""Largest difference allowed between the network and its ONNX form, in [0,1]."""


class LastPass(nn.Module):
    """A network that returns one tensor: its last pass."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, lq: Tensor) -> Tensor:
        return passes_of(self.net, lq)[-1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    flags = parse(argv)
    torch.manual_seed(flags.seed)
    return ended("export", lambda: run(flags), (ArtifactError, OSError))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags; argparse exits on an unknown one."""
    parser = network_parser(__doc__ or "", None, flip=False, several=True)
    add = parser.add_argument
    add("--to", type=Path, required=True, help=f"file to write: {', '.join(SUFFIXES)}")
    add("--side", type=int, default=128, help="ONNX: width and height of the LQ in px")
    publish_help = ".safetensors: half precision, without the folders of this machine"
    add("--publish", action="store_true", help=publish_help)
    flags = parser.parse_args(argv)
    if flags.to.suffix not in SUFFIXES:
        parser.error(f"--to {flags.to}: end it with {', '.join(SUFFIXES)}")
    if flags.side < 8 or flags.side % 8:
        parser.error(f"--side {flags.side}: a multiple of 8")
    if flags.publish and flags.to.suffix != ".safetensors":
        parser.error("--publish writes a .safetensors")
    if flags.to.exists():
        parser.error(f"--to {flags.to}: there is a file already; remove it or give another name")
    return flags


def run(flags: argparse.Namespace) -> int:
    """Load, write, tell."""
    paths = flags.checkpoint or [newest_network(RUNS)]
    loaded = load_networks(paths, flags.average)
    if source_of(loaded.net) == ORACLE:
        raise ArtifactError(f"{paths[0]} needs the HQ of every face (prior source oracle)")
    if source_of(loaded.net) == EXTERNAL:
        raise ArtifactError(
            f"{paths[0]} needs external labels of every face (prior source external), and is "
            "outside the challenge's rules: it is not exported"
        )
    if isinstance(loaded.net, Ensemble):
        raise ArtifactError("one network can be exported: --average weights, or one --checkpoint")
    print(f"{', '.join(map(str, paths))}: {count(loaded.net).total:,} parameters")
    if flags.dry_run:
        return 0
    flags.to.parent.mkdir(parents=True, exist_ok=True)
    if flags.to.suffix == ".onnx":
        difference = export_onnx(loaded.net, flags.to, flags.side)
        print(f"{flags.to}: at most {difference:.1e} from the network, LQ {flags.side} px")
    else:
        write_weights(published(loaded) if flags.publish else loaded, flags.to)
        print(f"{flags.to}: next: python scripts/audit.py --checkpoint {flags.to}")
    return 0


def published(loaded: Loaded) -> Loaded:
    """The network in half precision; of the folders that it was made from, their names alone."""
    config = loaded.metadata.get("config")
    if not isinstance(config, dict):
        return replace(loaded, net=loaded.net.half())
    kept = {name: value for name, value in config.items() if name not in OWN_FOLDERS}
    named = {name: Path(kept[name]).name for name in FACE_FOLDERS if kept.get(name)}
    return replace(
        loaded, net=loaded.net.half(), metadata={**loaded.metadata, "config": {**kept, **named}}
    )


def write_weights(loaded: Loaded, path: Path) -> None:
    """Write the network as this project's file, or as a `.pth` for the field's tools."""
    state = loaded.net.state_dict()
    if path.suffix == ".pth":
        save_params(path, loaded.net, state, state, loaded.metadata)
    else:
        save_network(path, loaded.net, state, loaded.metadata)


def export_onnx(net: nn.Module, path: Path, side: int) -> float:
    """Write `net` as ONNX; returns the largest difference from it on random LQ.

    Raises `ArtifactError` where ONNX Runtime gives something else than the network.
    """
    import onnxruntime

    lq = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    last = LastPass(net).eval()
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            last,
            (lq,),
            dynamo=True,
            input_names=["lq"],
            output_names=["restored"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    data = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    other = lq.flip(-1).contiguous()  # not the input that it was traced with
    with torch.no_grad():
        wanted = last(other)
    found = torch.from_numpy(session.run(None, {"lq": other.numpy()})[0])
    largest = float((found - wanted).abs().max())
    if not largest <= TOLERANCE:
        raise ArtifactError(f"the ONNX network is {largest:.1e} from its source; nothing is left")
    write_whole(path, lambda part: Path(part).write_bytes(data))
    return largest


if __name__ == "__main__":
    sys.exit(main())
