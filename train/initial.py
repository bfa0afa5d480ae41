"""What a network starts with: the weights of `--init`, the colours of `--normalise`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.sources import FaceSource
from data.validation import fixed_lq
from models.artifact import load_network
from models.network import FaceSR
from models.prior_source import BANK, StandIn
from models.restorer import to_batch
from models.space import Space
from models.student import student_input
from models.zoo.normalised import BUFFERS
from train.learner import TrainingError

COLOUR_FACES = 200
"""Training faces whose pixels give the colours of `--normalise`."""


def fresh_network(space: Space, whole: Space, seed: int) -> FaceSR:
    """Return the network of `space`, starting as the one of `whole` with this seed does.

    Where `space` is `whole` with fewer priors, both share every tensor of one name and shape, so
    that trainings with and without a prior start alike.
    """
    torch.manual_seed(seed)
    net = FaceSR(whole)
    if space == whole:
        return net
    part, given = FaceSR(space), net.state_dict()
    own = part.state_dict()
    own |= {n: v for n, v in given.items() if n in own and own[n].shape == v.shape}
    part.load_state_dict(own)
    return part


def fit_stand_in(net: FaceSR, faces: FaceSource, degradation: str) -> None:
    """Let a control arm of the priors learn what it needs from LQ of training faces."""
    if not isinstance(net.student, StandIn):
        return
    size, inputs = net.space.student_size, []
    for i in np.resize(np.linspace(0, len(faces) - 1, min(BANK, len(faces))).astype(int), BANK):
        hq = faces.image(int(i))
        lq = fixed_lq(hq, int(i), degradation=degradation, scale=net.scale)
        inputs.append(student_input(to_batch(lq), size))
    net.student.fit(torch.cat(inputs).contiguous())


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
