"""Starting from weights that exist: `--init`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import nn

from models.artifact import load_network
from train.learner import TrainingError


def load_initial(net: nn.Module, path: Path) -> dict[str, Any]:
    """Load the weights of a network's file into `net` and return where they come from.

    Raises ArtifactError for a file that is no network, TrainingError for another network's.
    """
    loaded = load_network(path)
    own, given = net.state_dict(), loaded.net.state_dict()
    wrong = sorted(
        name
        for name in set(own) | set(given)
        if name not in own or name not in given or own[name].shape != given[name].shape
    )
    if wrong:
        shown = ", ".join(wrong[:6]) + (", ..." if len(wrong) > 6 else "")
        raise TrainingError(f"--init {path}: not this network's weights, it differs in {shown}")
    net.load_state_dict(given)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.name, "sha256": digest, "metadata": loaded.metadata}
