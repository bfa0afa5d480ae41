"""Where to compute."""

from __future__ import annotations

import torch


class DeviceError(ValueError):
    """A device that this machine does not have; the message says what to use."""


DEVICES = ("auto", "cuda", "mps", "cpu")


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the first that is there of cuda, mps, cpu.

    Raises DeviceError for a device that this machine does not have.
    """
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
