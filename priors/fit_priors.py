"""Fit the facial priors of a set of HQ faces and show them: `python priors/fit_priors.py`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2  # noqa: E402

from data.sources import OpenedData  # noqa: E402
from models.size import count  # noqa: E402
from models.space import PRIORS  # noqa: E402
from models.student import Student  # noqa: E402
from priors.checks import check  # noqa: E402
from priors.fitted import FittedPriors, save  # noqa: E402
from priors.pictures import prior_sheet  # noqa: E402
from priors.verdict import table  # noqa: E402
from train import ending, session  # noqa: E402
from train.prior_fit import PriorsConfig, told_fit  # noqa: E402
from train.run_folder import RunFolder  # noqa: E402

COMMAND = "fit_priors"
PICTURED, CHECKED = 6, 32
"""Validation faces in the picture, and those that the checks are measured on."""


def main(argv: Sequence[str]) -> int:
    """Fit as the flags say; return the exit status."""
    begun = time.monotonic()
    config, found = session.read_flags(PriorsConfig, COMMAND, argv, __doc__ or COMMAND)
    device = session.set_up_torch(config)
    preset = session.preset_of(config)
    priors = PRIORS if config.priors is None else config.priors
    if not priors:
        print("No priors asked for: nothing to fit.")
        return 0
    size = count(Student(priors))
    print(f"student of {', '.join(priors)}: {size.total:,} parameters and learned buffers")
    data = session.open_faces(config, scale=preset.scale)
    print(f"{len(data.train)} faces of {data.train.side} px, student at {preset.student_size} px")
    if config.dry_run:
        print("Dry run: all is there. Leave out --dry-run to fit.")
        return 0
    folder = session.open_folder(config, COMMAND, found)
    fitted = told_fit(config, priors, data, device)
    assert fitted is not None
    seconds = time.monotonic() - begun
    show(fitted, data, folder, seconds)
    print(next_command(config, priors))
    return 0


def show(fitted: FittedPriors, data: OpenedData, folder: RunFolder, seconds: float) -> None:
    """Write the fit, its picture and its checks to the run folder and print them."""
    save(fitted, folder.path / "fit")
    pairs = [data.val.pair(i) for i in range(min(CHECKED, len(data.val)))]
    checks = check(fitted, pairs)
    print(table(checks))
    about = {"fingerprint": fitted.fingerprint, "seconds": seconds, "pairs": len(pairs)}
    results = {**about, "info": asdict(fitted.info), "checks": [asdict(c) for c in checks]}
    (folder.path / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    picture = folder.path / "priors.png"
    sheet = prior_sheet(fitted, pairs[:PICTURED])
    cv2.imwrite(str(picture), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    print(f"priors {fitted.fingerprint} after {seconds:.0f} s; picture: {picture}")


def next_command(config: PriorsConfig, priors: Sequence[str]) -> str:
    """What to type next."""
    words = ["python", "search/run_search.py", "--priors", *priors]
    if config.data is not None:
        words += ["--data", str(config.data)]
    if config.val is not None:
        words += ["--val", str(config.val)]
    words += ["--preset", "quick" if config.preset == "quick" else "lab"]
    return f"next: {shlex.join(words)}"


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
