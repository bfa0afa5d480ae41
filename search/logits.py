"""The architecture logits: one vector per open decision, beside the network and never in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from models.space import Decision, Space, SpaceError

NOISE = 1e-3
"""Standard deviation of the first logits: nearly uniform, without exact ties."""


class Logits:
    """One float32 vector per decision with more than one option, by name."""

    def __init__(self, space: Space, *, seed: int = 0, device: torch.device | str = "cpu") -> None:
        self.decisions: tuple[Decision, ...] = tuple(
            d for d in space.decisions() if len(d.options) > 1
        )
        draw = np.random.default_rng(seed)
        self.vectors: dict[str, Tensor] = {}
        for decision in self.decisions:
            noise = draw.normal(0.0, NOISE, len(decision.options)).astype(np.float32)
            self.vectors[decision.name] = torch.from_numpy(noise).to(device).requires_grad_()

    def parameters(self) -> Iterator[Tensor]:
        """The vectors, for an optimiser."""
        return iter(self.vectors.values())

    def probabilities(self) -> dict[str, Tensor]:
        """Softmax of every vector by decision name; differentiable."""
        return {name: vector.softmax(dim=0) for name, vector in self.vectors.items()}

    def state(self) -> dict[str, Tensor]:
        """Detached copies by name, for a checkpoint."""
        return {name: vector.detach().cpu().clone() for name, vector in self.vectors.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over the vectors of `state`; SpaceError if names or lengths differ."""
        if set(state) != set(self.vectors):
            odd = sorted(set(state) ^ set(self.vectors))[:3]
            raise SpaceError(f"logits of another space: {odd} are not in both")
        for name, vector in self.vectors.items():
            if state[name].shape != vector.shape:
                raise SpaceError(
                    f"logits of {name}: {len(state[name])} options stored, {len(vector)} open"
                )
            with torch.no_grad():
                vector.copy_(state[name])


def plain(probabilities: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """The same probabilities as plain numbers (what `derive` and JSON take)."""
    return {name: p.detach().double().tolist() for name, p in probabilities.items()}


def uniform_distance(probabilities: Mapping[str, list[float]]) -> float:
    """Mean over decisions of the total-variation distance from uniform, 0 (uniform) to 1.

    sum over options of |p - 1/n| / 2: a search in which this stayed near 0 found nothing.
    """
    distances = [
        0.5 * sum(abs(p - 1 / len(values)) for p in values) for values in probabilities.values()
    ]
    return float(np.mean(distances)) if distances else 0.0


def mean_entropy(probabilities: Mapping[str, list[float]]) -> float:
    """Mean over decisions of the entropy over log n, from 0 (decided) to 1 (uniform)."""
    entropies = []
    for values in probabilities.values():
        p = np.clip(np.asarray(values), 1e-12, None)
        entropies.append(float(-(p * np.log(p)).sum() / np.log(len(p))))
    return float(np.mean(entropies)) if entropies else 0.0
