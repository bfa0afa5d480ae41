"""One fresh random generator per sample, so that a step can be made again on its own."""

from __future__ import annotations

import numpy as np


def sample_rng(seed: int, step: int, index: int, stream: int = 0) -> np.random.Generator:
    """Generator of every random choice about sample `index` of step `step`, in a fixed state.

    Equal arguments give equal numbers, whatever was drawn before and in whichever process;
    different arguments give independent streams. `stream` keeps uses apart (training, validation).
    All four are whole numbers >= 0; a negative one raises ValueError.
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(stream, step, index))
    return np.random.Generator(np.random.PCG64(sequence))
