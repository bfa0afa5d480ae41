"""Where to compute."""

from __future__ import annotations

import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor


class DeviceError(ValueError):
    """A device that this machine does not have; the message says what to use."""


DEVICES = ("auto", "cuda", "mps", "cpu")


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the first that is there of cuda, mps, cpu.

    On cuda, float32 is from then on computed as float32 everywhere: TF32 keeps 10 bits of the
    mantissa and moves what the student's closed-form searches find (docs/gpu.md).
    Raises DeviceError for a device that this machine does not have.
    """
    device = _found(name)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return device


def constant(values: tuple[float, ...] | tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """Fixed float32 numbers on the device of `like`; a GPU is sent them once, not in every step."""
    return _kept(values, like.device) if like.is_cuda else torch.tensor(values, device=like.device)


@cache
def _kept(
    values: tuple[float, ...] | tuple[tuple[float, ...], ...], device: torch.device
) -> Tensor:
    return torch.tensor(values, device=device)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was given: for honest times."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compiler_missing(device: torch.device) -> str:
    """What `torch.compile` lacks on this machine for the device, in words; empty: nothing."""
    if not any(map(shutil.which, ("gcc", "g++", "clang"))):
        return "no C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python.h (python3-dev)"
    if device.type == "cuda" and find_spec("triton") is None:
        return "no triton"
    return ""


def _found(name: str) -> torch.device:
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    kind = name.partition(":")[0]
    if kind not in there:
        raise DeviceError(f"--device {name}: choose one of {', '.join(DEVICES)}")
    if not there[kind]:
        raise DeviceError(f"--device {name}: this machine has none; use --device auto")
    return torch.device(name)
