"""Say whether a network keeps the challenge's rules; the exit status is 1 where one is broken.

    python scripts/audit.py --checkpoint runs/train_derived-001/best.safetensors

Checked are size, data, priors and the weights it started from, as its training recorded them.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import json  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from models.artifact import ArtifactError, load_network, newest_network  # noqa: E402
from models.device import choose_device  # noqa: E402
from models.rules import audit  # noqa: E402
from models.size import format_table  # noqa: E402
from train.leaf import ended, network_parser  # noqa: E402
from train.run_folder import RUNS  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 where a rule is broken, or 2 where nothing could be read."""
    parser = network_parser(__doc__ or "", "also write the findings to this JSON file", flip=False)
    flags = parser.parse_args(argv)
    return ended("audit", lambda: run(flags), (ArtifactError,))


def run(flags: argparse.Namespace) -> int:
    """Load the network, print its size and every finding."""
    path = flags.checkpoint or newest_network(RUNS)
    loaded = load_network(path, choose_device(flags.device))
    print(f"{path}\n{format_table(loaded.net)}\n")
    if flags.dry_run:
        return 0
    findings = audit(loaded.net, loaded.metadata)
    for finding in findings:
        print(f"{'ok    ' if finding.kept else 'BROKEN'}  {finding.text}")
    if flags.out:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        flags.out.write_text(json.dumps([vars(finding) for finding in findings], indent=1) + "\n")
    broken = sum(not finding.kept for finding in findings)
    print(f"\n{broken} rules broken" if broken else "\nevery rule is kept")
    print(f"next: python scripts/package_submission.py --checkpoint {path} --inputs LQ_FOLDER")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
