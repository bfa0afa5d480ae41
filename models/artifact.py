"""Trained networks as files: safetensors with all that is needed to build the network again.

`<name>.safetensors` holds the tensors of the state dict and JSON metadata; `<name>.pth` (`params`,
`params_ema`, the same metadata) is for the field's other tools. Nothing is ever unpickled: a file
from a stranger is safe to open, and one that is broken gives an `ArtifactError` with the fix.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.files import write_whole
from models.foreign import STATES, own_names
from models.network import FaceSR
from models.prior_source import REAL, source_of, stand_in
from models.space import Space, SpaceError
from models.zoo import ZOO, build
from models.zoo.normalised import is_normalised

FORMAT = 1
LARGEST_FILE = 1 << 30
"""Bytes; two hundred times a network under the cap."""

LONGEST = {"layers": 64, "levels": 16, "blocks": 256, "extra": 256, "nodes": 16}
"""Bounds on the counts of a space from a file, so that a hostile one cannot build for hours."""


class ArtifactError(ValueError):
    """A file that is no usable network; the message names the file, the reason and the fix."""


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode on its device, and the file's metadata (JSON values)."""

    net: nn.Module
    metadata: dict[str, Any]


def describe(net: nn.Module) -> dict[str, Any]:
    """What `build_network` needs to make this network again: kind, and its space or its name."""
    if isinstance(net, FaceSR):
        if not net.space.is_genotype:
            raise ArtifactError("a supernet is no finished network: derive a genotype first")
        space, genotype = net.space.to_dict(), net.space.choices()
        source = {} if source_of(net) == REAL else {"prior_source": source_of(net)}
        return {"kind": "facesr", "space": space, "genotype": genotype, **source}
    name = getattr(net, "name", None)
    if name in ZOO:
        about = {"kind": "zoo", "model": name, "scale": getattr(net, "scale", 4)}
        return {**about, "normalised": True} if is_normalised(net) else about
    raise ArtifactError(f"{type(net).__name__} is neither FaceSR nor of the zoo ({', '.join(ZOO)})")


def save_network(
    path: Path,
    net: nn.Module,
    state: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a network to `path` (.safetensors), atomically: the file is whole or not there.

    `state` (an EMA's, say) replaces the network's own tensors and must have the same names and
    shapes; `metadata` (JSON values: configuration, fingerprints, provenance) comes beside the
    description of the network. Raises `ArtifactError`.
    """
    texts = _texts(net, metadata)
    tensors = _tensors_of(net, state)
    write_whole(Path(path), lambda part: save_file(tensors, part, metadata=texts))


def save_params(
    path: Path,
    net: nn.Module,
    params: Mapping[str, Tensor],
    params_ema: Mapping[str, Tensor],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write `path` (.pth) with the keys `params`, `params_ema` and `metadata`, atomically."""
    content = {
        "params": _tensors_of(net, params),
        "params_ema": _tensors_of(net, params_ema),
        "metadata": _texts(net, metadata),
    }
    write_whole(Path(path), lambda part: torch.save(content, part))


def load_network(path: Path, device: torch.device | str = "cpu") -> Loaded:
    """The network of a .safetensors or .pth file, built from its description, in evaluation mode.

    Of a .pth the EMA weights are taken where there are any; one without a description (BasicSR's
    `net_g_*.pth`) is recognised by its tensors if it is of the zoo. Raises `ArtifactError`.
    """
    path = Path(path)
    metadata, state = _read(path)
    if not metadata:
        metadata = _recognise(path, state)
    _refuse_other_tensors(path, build_network(metadata, path, device="meta"), state)
    net = build_network(metadata, path)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    # Channels last: 15 % faster on CPUs, and what the restorer's batches are.
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Loaded(net.eval(), metadata)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a .safetensors or .pth file, without building the network."""
    return _read(Path(path))[0]


def newest_network(runs: Path) -> Path:
    """The newest `best.safetensors` of the run folders in `runs`. Raises `ArtifactError`.

    A quickstart's network lies one folder deeper, in `train/`.
    """
    patterns = ("*/best.safetensors", "*/train/best.safetensors")
    every = [path for pattern in patterns for path in runs.glob(pattern)]
    found = sorted(every, key=lambda path: path.stat().st_mtime)
    if not found:
        raise ArtifactError(
            f"no {runs}/*/best.safetensors here: train first (python train/train_derived.py), "
            "or name a network with --checkpoint"
        )
    return found[-1]


def build_network(metadata: Mapping[str, Any], path: Path, device: str = "cpu") -> nn.Module:
    """A freshly initialised network as `describe` recorded it; `path` is only for messages."""
    try:
        with torch.device(device):
            if metadata.get("kind") == "zoo":
                normalised = metadata.get("normalised") is True
                return build(str(metadata["model"]), int(metadata["scale"]), normalised=normalised)
            if metadata.get("kind") == "facesr":
                _refuse_huge(metadata["space"])
                space = Space.from_dict(metadata["space"]).restrict(metadata["genotype"])
                space.choices()
                net = FaceSR(space)
                stand_in(net, str(metadata.get("prior_source", REAL)))
                return net
    except (SpaceError, KeyError, ValueError, TypeError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ArtifactError(f"{path}: its description builds no network ({said})") from error
    kind = metadata.get("kind")
    raise ArtifactError(f"{path}: kind {kind!r} is unknown; this program reads 'facesr' and 'zoo'")


def _tensors_of(net: nn.Module, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The state to write, on the CPU, one memory each, checked against the network."""
    own = net.state_dict()
    chosen = own if state is None else state
    problem = _difference({k: v.shape for k, v in own.items()}, chosen)
    if problem:
        raise ArtifactError(f"the given state is not this network's: {problem}")
    return {k: v.detach().to("cpu", copy=True).contiguous() for k, v in chosen.items()}


def _texts(net: nn.Module, metadata: Mapping[str, Any] | None) -> dict[str, str]:
    everything = {"format": FORMAT, **(metadata or {}), **describe(net)}
    return {key: json.dumps(value, sort_keys=True) for key, value in everything.items()}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a file of either kind."""
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; give a run's best.safetensors or best.pth")
    if path.stat().st_size > LARGEST_FILE:
        raise ArtifactError(f"{path}: larger than 1 GiB, so not one of this project's networks")
    readers = {".safetensors": _read_safetensors, ".pth": _read_pth}
    if path.suffix not in readers:
        raise ArtifactError(f"{path}: ends in {path.suffix!r}; give a .safetensors or .pth file")
    texts, state = readers[path.suffix](path)
    metadata = _parsed(path, texts)
    version = metadata.get("format", FORMAT)
    if version != FORMAT:
        raise ArtifactError(
            f"{path}: format {version}, this program reads {FORMAT}; use the version that wrote it"
        )
    for name, tensor in state.items():
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            raise ArtifactError(f"{path}: {name} is {tensor.dtype} {tensor.layout}, not a float")
    return metadata, state


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            names = list(file.keys())
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError, OverflowError) as error:
        raise ArtifactError(
            f"{path}: not a whole safetensors file ({error}); copy it again or train again"
        ) from error


def _read_pth(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata texts and EMA weights (else the plain ones) of a PyTorch file."""
    _refuse_bomb(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises anything at all on a hostile file
        raise ArtifactError(
            f"{path}: not a PyTorch file of plain tensors ({type(error).__name__}); "
            "a file that needs code to open is refused, convert it to safetensors where it is from"
        ) from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: holds a {type(content).__name__}, not named tensors")
    state = next((content[key] for key in STATES if content.get(key)), content)
    texts = content.get("metadata", {})
    tensors_only = isinstance(state, dict) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    )
    if not tensors_only or not isinstance(texts, dict):
        raise ArtifactError(f"{path}: has no state dict under {', '.join(STATES)}")
    return texts, own_names(state)


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: a broken archive ({error}); copy it again") from error
    if unpacked > LARGEST_FILE:
        raise ArtifactError(f"{path}: unpacks to {unpacked} bytes, more than a network has")


def _parsed(path: Path, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata values from their JSON texts."""
    parsed = {}
    for key, text in texts.items():
        try:
            parsed[str(key)] = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{path}: its metadata {key!r} is not JSON ({error})") from error
    return parsed


def _recognise(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The description of a network of the zoo that has exactly these tensors."""
    for name in ZOO:
        with torch.device("meta"):
            shapes = {k: v.shape for k, v in build(name).state_dict().items()}
        if not _difference(shapes, state):
            return {"kind": "zoo", "model": name, "scale": 4}
    raise ArtifactError(
        f"{path}: carries no description of its network and is none of {', '.join(ZOO)}; "
        "give the best.safetensors of a run of this project"
    )


def _refuse_huge(space: object) -> None:
    """Raise `ValueError` where a count of the space would take hours or all memory to build."""
    if not isinstance(space, Mapping):
        raise TypeError(f"space is a {type(space).__name__}, not an object")
    for key, value in space.items():
        if isinstance(value, Mapping):
            _refuse_huge(value)
        elif isinstance(value, int) and not 0 <= value <= LONGEST.get(str(key), 4096):
            raise ValueError(f"space has {key} = {value}")


def _refuse_other_tensors(path: Path, net: nn.Module, state: Mapping[str, Tensor]) -> None:
    problem = _difference({k: v.shape for k, v in net.state_dict().items()}, state)
    if problem:
        raise ArtifactError(f"{path}: tensors and description disagree: {problem}")
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ArtifactError(f"{path}: {name} holds values that are not finite; train again")


def _difference(wanted: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> str:
    """The first few differences in names and shapes, in words; empty when there is none."""
    missing = [name for name in wanted if name not in state]
    extra = [name for name in state if name not in wanted]
    other = [
        f"{name} is {tuple(tensor.shape)}, not {tuple(wanted[name])}"
        for name, tensor in state.items()
        if name in wanted and tensor.shape != wanted[name]
    ]
    told = [
        f"{words} {', '.join(found[:3])}{' ...' if len(found) > 3 else ''}"
        for words, found in (("missing", missing), ("unknown", extra), ("wrong shape:", other))
        if found
    ]
    return "; ".join(told)
