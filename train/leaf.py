"""What commands that use a finished network share: their flags, and how they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from models.device import DEVICES, DeviceError
from models.ensemble import AVERAGES
from train.flags import FlagParser


def network_parser(
    description: str, out_help: str | None, *, flip: bool = True, several: bool = False
) -> argparse.ArgumentParser:
    """Return a parser with the flags of every such command.

    flip: adds --flip-ensemble. several: --checkpoint is a list, and --average is added.
    """
    parser = FlagParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    one = "best.safetensors or best.pth; left out: the newest run's"
    if several:
        add("--checkpoint", type=Path, nargs="+", default=[], help=f"{one}; several are averaged")
        average = "what of several networks is averaged; weights: of one shape only"
        add("--average", choices=AVERAGES, default=AVERAGES[0], help=average)
    else:
        add("--checkpoint", type=Path, help=one)
    if flip:
        ensemble = "average with the mirrored face's restoration"
        add("--flip-ensemble", action="store_true", help=ensemble)
    add("--seed", type=int, default=0, help="seed of what is drawn at random")
    if out_help is not None:
        add("--out", type=Path, help=out_help)
    add("--device", default="auto", choices=DEVICES, help="where to compute")
    add("--dry-run", action="store_true", help="open and check everything, print sizes, stop there")
    return parser


def ended(command: str, work: Callable[[], int], expected: tuple[type[Exception], ...]) -> int:
    """Return the exit status of `work`; 2 after an expected error, 130 after Ctrl-C, both told."""
    told: tuple[type[Exception], ...] = (*expected, DeviceError)
    try:
        return work()
    except KeyboardInterrupt:
        sys.stderr.write(f"{command}: stopped; what is written so far is whole\n")
        return 130
    except told as error:
        sys.stderr.write(f"{command}: {error}\n")
        return 2
