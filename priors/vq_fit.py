"""Training of the codes' autoencoder, and its trial against patch codes with the same decoder.

Both learn for the same number of steps from the same faces; on faces held out, each decodes its
own codes and those of another face. The autoencoder is kept if it is ahead of both rivals.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from priors.codebook import RESTART_EVERY, Codebook
from priors.decode import box_psnr_of
from priors.dictionary import CODE_DIM, CODES, PatchCodes, fit_codes
from priors.dictionary import WIDTH as PATCH
from priors.schooling import BETAS, rate_at
from priors.vq import CELL, GAIN, WIDTH, Autoencoder, ReplacedCodes, VqCodes, bands, flat_weights

LOG = logging.getLogger(__name__)
AHEAD = 1.0
"""How many dB own codes must be ahead of another face's."""
COMMITMENT = 0.25
"""Weight of the encoder's distance to its code (van den Oord et al. 2017, equation 3)."""
HELD_OUT = 0.08
"""Share of the faces that the trial is on."""
MOST_HELD = 64
NOISE = 0.04
"""Largest standard deviation of the noise on worn faces."""
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Length and size of the training."""

    steps: int = 5000
    batch: int = 64
    rate: float = 1e-3
    width: int = WIDTH
    codes: int = CODES
    free: float = 0.1
    """Share of the steps, the first ones, without quantisation; the codebook starts from them."""
    worn: float = 0.5
    """Share of the faces that the encoder sees blurred and noisy; the target stays clean."""
    patches: int = 200_000
    """Patches that the rival learns from."""


TOY = Plan(steps=24, batch=4, width=8, patches=2000, rate=5e-3)
"""On a CPU, enough to see that it runs."""


@dataclass(frozen=True)
class Trial:
    """PSNR in dB in the part boxes of held-out faces, by the autoencoder and by its rival."""

    own: float
    shuffled: float
    rival: float
    rival_shuffled: float

    @property
    def kept(self) -> bool:
        """Whether the autoencoder is worth keeping."""
        return self.own > self.rival and self.own - self.shuffled >= AHEAD

    def array(self) -> np.ndarray:
        """The four numbers, float32."""
        return np.array([getattr(self, f.name) for f in fields(self)], np.float32)


def fit_vq(
    faces: np.ndarray,
    rng: np.random.Generator,
    *,
    size: int,
    device: torch.device,
    plan: Plan | None = None,
) -> VqCodes | ReplacedCodes:
    """Codes learned from HQ faces (N, S, S, 3) uint8 RGB: an autoencoder's, or patch codes.

    size: side of the student's maps, for the rival. The same faces, generator and device type give
    the same codes on a CPU, nearly the same on a GPU.
    """
    plan = plan or Plan()
    held = min(MOST_HELD, max(2, round(HELD_OUT * len(faces))))
    learned, kept = faces[held:], faces[:held]
    high, low = (part.to(device) for part in bands(learned))
    seed = int(rng.integers(2**31))
    net, book = train_vq(high, low, seed, plan)
    LOG.info("codes of an autoencoder learned, %d steps", plan.steps)
    patches = fit_codes(learned, rng, size=size, codes=plan.codes, samples=plan.patches)
    rival = train_rival(patches, high, low, seed, plan)
    quantised = vq_quantiser(net, book)
    own, shuffled = trial(net, quantised, kept)
    other, other_shuffled = trial(rival, patch_quantiser(patches, device), kept)
    result = Trial(own, shuffled, other, other_shuffled)
    LOG.info("decoded codes in part boxes, dB: %s, %s", result, "kept" if result.kept else "PCA")
    if not result.kept:
        values = {f.name: getattr(patches, f.name) for f in fields(patches)}
        return ReplacedCodes(**values, trial=result.array())
    return vq_codes(net, book, high, result)


Quantiser = Callable[[Tensor], Tensor]
"""High frequencies (B, 1, S, S) -> the codes (B, D, S/2, S/2) that a decoder is given."""


def train_vq(high: Tensor, low: Tensor, seed: int, plan: Plan) -> tuple[Autoencoder, Codebook]:
    """Autoencoder and codebook learned from bands (N, 1, S, S)."""
    generator = torch.Generator().manual_seed(seed)
    net = new_net(seed, plan.width, high.device)
    optimiser = torch.optim.Adam(net.parameters(), betas=BETAS)
    book: Codebook | None = None
    for step in range(plan.steps):
        one, given = drawn(high, low, plan.batch, generator)
        with half_precision(high.device):
            found = net.encode(worn(one, plan.worn, generator))
        found = found.float()
        commit = found.new_zeros(())
        code = found
        if step >= plan.free * plan.steps:
            flat = found.detach().permute(0, 2, 3, 1).reshape(-1, CODE_DIM)
            book = book or Codebook.from_vectors(flat, plan.codes, generator)
            ids = book.ids(flat)
            near = unflat(book.codes[ids], found)
            book.follow(flat, ids)
            if step % RESTART_EVERY == 0 and step < 0.8 * plan.steps:
                book.restart(flat, generator)
            commit = COMMITMENT * functional.mse_loss(found, near)
            code = found + (near - found).detach()
        with half_precision(high.device):
            rebuilt = net.decode(code, given)
        loss = rebuilding_loss(rebuilt.float(), one) + commit
        improve(optimiser, loss, plan.rate * rate_at(step, plan.steps))
    assert book is not None
    return net.eval(), book


def train_rival(
    patches: PatchCodes, high: Tensor, low: Tensor, seed: int, plan: Plan
) -> Autoencoder:
    """The same decoder, learned for the same number of steps from patch codes."""
    generator = torch.Generator().manual_seed(seed)
    net = new_net(seed, plan.width, high.device)
    optimiser = torch.optim.Adam(net.decoder.parameters(), betas=BETAS)
    quantised = patch_quantiser(patches, high.device)
    for step in range(plan.steps):
        one, given = drawn(high, low, plan.batch, generator)
        code = quantised(one)
        with half_precision(high.device):
            rebuilt = net.decode(code, given)
        loss = rebuilding_loss(rebuilt.float(), one)
        improve(optimiser, loss, plan.rate * rate_at(step, plan.steps))
    return net.eval()


def new_net(seed: int, width: int, device: torch.device) -> Autoencoder:
    """An untrained autoencoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(width).to(device)


def drawn(
    high: Tensor, low: Tensor, batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Both bands (B, 1, S, S) of random faces, half of them mirrored."""
    rows = torch.randint(len(high), (batch,), generator=generator).to(high.device)
    mirrored = torch.randint(2, (batch, 1, 1, 1), generator=generator).bool().to(high.device)
    one, given = (torch.where(mirrored, part[rows].flip(-1), part[rows]) for part in (high, low))
    return one, given


def worn(high: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """High frequencies (B, 1, S, S), some of the faces blurred over 3 to 7 pixels and made noisy.

    What can be read from worn faces too is what a student can tell from an LQ.
    """
    if not share:
        return high
    chosen = torch.rand(len(high), 1, 1, 1, generator=generator) < share
    widths = torch.randint(1, 4, (len(high), 1, 1, 1), generator=generator)
    levels = NOISE * torch.rand(len(high), 1, 1, 1, generator=generator)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    own = torch.Generator(high.device).manual_seed(seed)
    noise = torch.randn(high.shape, generator=own, device=high.device)
    out = high
    for reach in (1, 2, 3):
        blurred = functional.avg_pool2d(high, 2 * reach + 1, 1, reach, count_include_pad=False)
        picked = (chosen & (widths == reach)).to(high.device)
        out = torch.where(picked, blurred + levels.to(high.device) * noise, out)
    return out


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def rebuilding_loss(rebuilt: Tensor, high: Tensor) -> Tensor:
    """L1 + L1 of the differences between neighbours, in units of 1 / GAIN."""
    error = GAIN * (rebuilt - high)
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.abs().mean() + across + down


def improve(optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step down the loss."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()


def unflat(flat: Tensor, like: Tensor) -> Tensor:
    """Vectors (B h w, D) as (B, D, h, w), the shape of `like`."""
    count, dims, height, width = like.shape
    return flat.reshape(count, height, width, dims).permute(0, 3, 1, 2)


def vq_quantiser(net: Autoencoder, book: Codebook) -> Quantiser:
    """The autoencoder's own codes."""

    def quantised(high: Tensor) -> Tensor:
        found = net.encode(high)
        return unflat(book.codes[book.ids(found.permute(0, 2, 3, 1).reshape(-1, CODE_DIM))], found)

    return quantised


def patch_quantiser(patches: PatchCodes, device: torch.device) -> Quantiser:
    """`PatchCodes.ids` and its codebook on tensors, for a grid of half the side."""
    basis = torch.tensor(np.asarray(patches.basis), device=device)
    codes = torch.tensor(np.asarray(patches.codebook), device=device)
    book = Codebook(codes, codes[:, 0], codes)
    first = PATCH + CELL // 2 - PATCH // 2

    def quantised(high: Tensor) -> Tensor:
        grid = high.shape[-1] // CELL
        padded = functional.pad(high, (PATCH,) * 4, mode="reflect")
        end = first + CELL * (grid - 1) + PATCH
        cut = functional.unfold(padded[..., first:end, first:end], PATCH, stride=CELL)
        reduced = cut.transpose(1, 2) @ basis
        length = reduced.norm(dim=-1, keepdim=True)
        bent = reduced * ((length / patches.knee).log1p() / length.clamp_min(1e-9)) / patches.unit
        near = book.codes[book.ids(bent.reshape(-1, CODE_DIM))]
        return near.reshape(len(high), grid, grid, CODE_DIM).permute(0, 3, 1, 2)

    return quantised


@torch.no_grad()
def trial(net: Autoencoder, quantised: Quantiser, faces: np.ndarray) -> tuple[float, float]:
    """PSNR in part boxes of faces rebuilt from their own codes, and from the next face's."""
    device = next(net.parameters()).device
    high, low = (part.to(device) for part in bands(faces))
    codes = torch.cat([quantised(part) for part in high.split(CHUNK)])
    both = []
    for given in (codes, codes.roll(-1, 0)):
        pairs = zip(given.split(CHUNK), low.split(CHUNK), strict=True)
        rebuilt = torch.cat([net.decode(code, part) for code, part in pairs])
        both.append(box_psnr_of(list(rebuilt[:, 0].cpu().numpy()), list(high[:, 0].cpu().numpy())))
    return both[0], both[1]


@torch.no_grad()
def vq_codes(net: Autoencoder, book: Codebook, high: Tensor, result: Trial) -> VqCodes:
    """The teacher; its codes have unit mean square over the faces."""
    found = torch.cat([net.encode(part) for part in high[: MOST_HELD * 2].split(CHUNK)])
    flat = found.permute(0, 2, 3, 1).reshape(-1, CODE_DIM)
    near = book.codes[book.ids(flat)]
    unit = max(float(near.square().mean().sqrt()), 1e-6)
    spread = float((flat - near).square().sum(1).mean()) / unit**2
    return VqCodes(
        codebook=(book.codes / unit).cpu().numpy(),
        spread=spread,
        weights=flat_weights(net),
        unit=unit,
        trial=result.array(),
    )
