"""The student of the fitted priors, loaded into a network that is to be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.sources import FaceSource
from models.network import FaceSR
from priors.fitted import fit_or_load


def load_student(
    net: FaceSR, source: FaceSource, *, store: Path, steps: int, seed: int
) -> dict[str, Any]:
    """Load the strongest fit of these faces into the student and return its identity.

    Without one, the quick tier is fitted and kept in `store`. Nothing to do without priors.
    """
    if net.student is None:
        return {}
    fitted = fit_or_load(
        source,
        net.space.priors,
        folder=store,
        size=net.space.student_size,
        scale=net.scale,
        student_steps=steps,
        seed=seed,
    )
    fitted.load_into(net.student)
    return {"fingerprint": fitted.fingerprint, "tier": fitted.info.tier}
