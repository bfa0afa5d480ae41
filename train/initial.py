"""What a network starts with: the weights of `--init`, the colours of `--normalise`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.sources import FaceSource
from models.artifact import load_network
from models.zoo.normalised import BUFFERS
from train.learner import TrainingError

COLOUR_FACES = 200
"""Training faces whose pixels give the colours of `--normalise`."""


def colours(faces: FaceSource) -> dict[str, Tensor]:
    """Return mean and deviation of the channels over the first faces, (1,3,1,1), in [0,1]."""
    pixels = [faces.image(i)[::4, ::4].reshape(-1, 3) for i in range(len(faces))[:COLOUR_FACES]]
    values = np.concatenate(pixels).astype(np.float64) / 255
    found = (values.mean(0), values.std(0))
    return {
        name: torch.tensor(value, dtype=torch.float32).view(1, 3, 1, 1)
        for name, value in zip(BUFFERS, found, strict=True)
    }


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
