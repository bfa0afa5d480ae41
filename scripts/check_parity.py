"""Compare kernels and LQ faces with the reference numbers in tests/golden; fail if they differ.

Kernels must agree to 1e-6. For each preset and seed, the LQ of the faces that the reference used
must have the same distribution of six statistics: two-sample Kolmogorov-Smirnov p above 0.01.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from data.degradation import degrade  # noqa: E402
from data.kernels import bell_kernel, sinc_kernel  # noqa: E402
from data.lq_statistics import STATISTICS, ks_p_values, lq_statistics  # noqa: E402
from data.sampling import sample_rng  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
FACES_OF = {"first-order": "val/GT", "second-order": "train"}
KERNEL_BOUND, P_BOUND, SEEDS = 1e-6, 0.01, 3


def kernel_error() -> float:
    """Greatest absolute difference between our kernels and the reference's."""
    reference = np.load(GOLDEN / "kernels.npz")
    worst = 0.0
    for entry in json.loads((GOLDEN / "kernels.json").read_text()):
        if entry["family"] == "sinc":
            kernel = sinc_kernel(entry["size"], entry["cutoff"])
        else:
            kernel = bell_kernel(
                entry["family"],
                size=entry["size"],
                sigma_x=entry["sigma_x"],
                sigma_y=entry["sigma_x"] if entry["isotropic"] else entry["sigma_y"],
                theta=entry["theta"],
                beta=entry["beta"] or 1.0,
            )
        worst = max(worst, float(np.abs(kernel - reference[entry["id"]]).max()))
    return worst


def reference_faces(preset: str, root: Path) -> tuple[list[Path], np.ndarray]:
    """Paths of the HQ faces that the reference degraded, and its statistics (n,6) of them.

    Raises FileNotFoundError that lists the first faces missing under `root`.
    """
    golden = np.load(GOLDEN / "lq_statistics.npz")
    key = preset.replace("-", "_")
    found = {path.stem: path for path in sorted((root / FACES_OF[preset]).rglob("*.*"))}
    names = [str(name) for name in golden[f"{key}_names"]]
    missing = [name for name in names if name not in found]
    if missing:
        listed = ", ".join(missing[:5])
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} reference faces are not in {root / FACES_OF[preset]}"
            f" ({listed} ...): --data or FACES must name the folder that holds train/ and val/"
        )
    return [found[name] for name in names], golden[key]


def preset_p_values(preset: str, root: Path, seeds: Sequence[int]) -> dict[int, np.ndarray]:
    """KS p values (6,) of a preset by seed; each face is read once."""
    paths, reference = reference_faces(preset, root)
    rows: dict[int, list[np.ndarray]] = {seed: [] for seed in seeds}
    for index, path in enumerate(paths):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise OSError(f"{path} cannot be read as a picture")
        hq = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        for seed in seeds:
            lq = degrade(hq, sample_rng(seed, 0, index), preset)
            rows[seed].append(lq_statistics(lq, hq))
    return {seed: ks_p_values(np.array(rows[seed]), reference) for seed in seeds}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with train/ and val/ (default: $FACES)")
    parser.add_argument("--presets", nargs="+", choices=FACES_OF, default=list(FACES_OF))
    parser.add_argument("--seed", type=int, default=0, help=f"first of {SEEDS} seeds")
    parser.add_argument("--out", type=Path, help="also write the numbers to this JSON file")
    parser.add_argument("--device", default="auto", help="accepted like everywhere; CPU is used")
    parser.add_argument("--dry-run", action="store_true", help="say what would be compared")
    return parser.parse_args()


def main() -> int:
    """Print the comparison; 0 if all bounds hold, 1 if one does not, 2 without real faces."""
    args = parse_args()
    root = args.data or (Path(os.environ["FACES"]) if os.environ.get("FACES") else None)
    seeds = range(args.seed, args.seed + SEEDS)
    if args.dry_run:
        print(f"would compare kernels, then {', '.join(args.presets)} for seeds {list(seeds)}")
        return 0
    error = kernel_error()
    failed = error > KERNEL_BOUND
    result: dict[str, Any] = {"kernel_max_error": error, "presets": {}}
    print(f"kernels max_error={error:.3g} bound={KERNEL_BOUND:g}")
    if root is None:
        print("no real faces: set FACES or --data to compare the distributions", file=sys.stderr)
        return 2
    for preset in args.presets:
        try:
            by_seed = preset_p_values(preset, root, seeds)
        except OSError as problem:
            print(problem, file=sys.stderr)
            return 2
        for seed, p_values in by_seed.items():
            named = dict(zip(STATISTICS, map(float, p_values), strict=True))
            result["presets"].setdefault(preset, {})[str(seed)] = named
            values = " ".join(f"{name}={p:.3f}" for name, p in named.items())
            print(f"{preset} seed={seed} {values}", flush=True)
            failed = failed or min(named.values()) <= P_BOUND
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    print("parity: " + ("FAILED" if failed else f"every p > {P_BOUND}"))
    print("next: python scripts/benchmark.py degradation")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
