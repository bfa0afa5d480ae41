"""Labels of every prior for some faces, as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from priors.external import LabelOptions


def write_labels(root: Path, names: list[str]) -> list[str]:
    """Write labels of every prior for these faces; returns the flags that name them."""
    for i, name in enumerate(names):
        rng = np.random.default_rng(i)
        for kind in ("points", "parse", "codes"):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(root / "points" / f"{name}.npy", rng.uniform(20, 100, (68, 2)))
        cv2.imwrite(str(root / "parse" / f"{name}.png"), rng.integers(0, 19, (32, 32)))
        np.save(root / "codes" / f"{name}.npy", rng.normal(size=(9, 16, 16)))
    where = ["--landmark-labels", str(root / "points"), "--landmark-side", "128"]
    where += ["--parse-labels", str(root / "parse"), "--label-order", "face-parsing"]
    return [*where, "--dict-labels", str(root / "codes")]


def options_of(root: Path) -> LabelOptions:
    """Return what `write_labels` wrote below `root`."""
    return LabelOptions(
        landmark_labels=str(root / "points"),
        landmark_side=128,
        parse_labels=root / "parse",
        label_order="face-parsing",
        dict_labels=root / "codes",
    )
