"""Dict teacher, gpu tier: high frequencies as one of 512 learned codes of 8 numbers.

A vector-quantised autoencoder (van den Oord et al., Neural Discrete Representation Learning, 2017)
of the same luma band as the patch codes: `dictionary.split_luma`. The decoder is given the
low-pass, so that codes need not repeat it. The grid of codes is half of dictionary.SIDE; other
grids take the nearest of its codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from priors.dictionary import CODE_DIM, Codes, PatchCodes, split_luma

CELL = 2
"""Pixels at SIDE along a cell of the grid."""
GAIN = 8.0
"""High frequencies are multiplied by it, to about unit size."""
WIDTH = 48
BLOCKS = 2
CHUNK = 32


class Residual(nn.Module):
    """x + two convolutions of it, (B, C, h, w) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return x + self.body(x)


class Autoencoder(nn.Module):
    """Encoder of high frequencies and decoder that also sees the low-pass."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        square = CELL * CELL
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(CELL),
            nn.Conv2d(square, width, 3, 1, 1),
            *(Residual(width) for _ in range(BLOCKS)),
            nn.SiLU(),
            nn.Conv2d(width, CODE_DIM, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CODE_DIM + square, width, 3, 1, 1),
            *(Residual(width) for _ in range(BLOCKS)),
            nn.SiLU(),
            nn.Conv2d(width, square, 3, 1, 1),
            nn.PixelShuffle(CELL),
        )

    def encode(self, high: Tensor) -> Tensor:
        """High frequencies (B, 1, h, w) -> vectors (B, D, h/CELL, w/CELL)."""
        return self.encoder(GAIN * high)

    def decode(self, codes: Tensor, low: Tensor) -> Tensor:
        """Codes (B, D, h/CELL, w/CELL) and low-pass (B, 1, h, w) -> high frequencies."""
        given = functional.pixel_unshuffle(low - 0.5, CELL)
        return self.decoder(torch.cat([codes, given.to(codes.dtype)], 1)) / GAIN


@dataclass(frozen=True, kw_only=True)
class VqCodes(Codes):
    """Codes of a learned autoencoder."""

    weights: np.ndarray
    """All weights of the `Autoencoder`, in its own order."""
    unit: float
    """Root mean square of the encoder's vectors; codes are divided by it."""
    trial: np.ndarray
    """(4,) PSNR in part boxes on held-out faces, see `vq_fit.Trial`."""

    @cached_property
    def net(self) -> Autoencoder:
        """The autoencoder, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            net = Autoencoder(width_of(len(self.weights)))
        vector_to_parameters(torch.tensor(np.asarray(self.weights)), net.parameters())
        return net.eval().requires_grad_(False)

    def vectors(self, faces: np.ndarray, size: int) -> np.ndarray:
        """Unquantised codes (N, size/2, size/2, D) of HQ faces (N, S, S, 3) uint8 RGB."""
        parts = []
        for i in range(0, len(faces), CHUNK):
            high, _ = bands(faces[i : i + CHUNK])
            parts.append(self.net.encode(high).permute(0, 2, 3, 1).numpy() / self.unit)
        whole, grid = np.concatenate(parts), size // 2
        side = whole.shape[1]
        if grid == side:
            return whole
        near = np.minimum(((np.arange(grid) + 0.5) * side / grid).astype(int), side - 1)
        return whole[:, near[:, None], near]

    def rebuilt(self, ids: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """High frequencies (N, SIDE, SIDE) of codes (N, SIDE/2, SIDE/2) on faces' own low-pass."""
        codes = torch.from_numpy(self.unit * self.codebook[ids]).float().permute(0, 3, 1, 2)
        return self.net.decode(codes, bands(faces)[1])[:, 0].numpy()


@dataclass(frozen=True, kw_only=True)
class ReplacedCodes(PatchCodes):
    """Patch codes that were kept in place of an autoencoder's, which did not beat them."""

    trial: np.ndarray
    """(4,) PSNR in part boxes on held-out faces, see `vq_fit.Trial`."""


def bands(faces: np.ndarray) -> tuple[Tensor, Tensor]:
    """High frequencies and low-pass (N, 1, SIDE, SIDE) of faces (N, S, S, 3) uint8 RGB."""
    both = [split_luma(face) for face in faces]
    high, low = (torch.from_numpy(np.stack(column))[:, None] for column in zip(*both, strict=True))
    return high, low


def flat_weights(net: Autoencoder) -> np.ndarray:
    """All weights of an autoencoder as one array."""
    return parameters_to_vector(net.parameters()).detach().float().cpu().numpy()


def width_of(count: int) -> int:
    """The width of the autoencoder that has `count` weights."""
    for width in range(8, 257, 8):
        with torch.device("meta"):
            if sum(p.numel() for p in Autoencoder(width).parameters()) == count:
                return width
    raise ValueError(f"no autoencoder has {count} weights")
