"""Prior branches and their fusion with the super-resolution features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import resample, to_grid, unshuffled
from models.mixing import MixWeights, coefficients, scaled, total
from models.space import PRIOR_CHANNELS, Space
from models.trellis import EndMixer, TrellisNet


def lq_level(scale: int) -> int:
    """Level of the LQ grid, equally the depth of the base grid: log2(8 / scale)."""
    return (8 // scale).bit_length() - 1


def on_lq_grid(maps: Tensor, height: int, width: int) -> Tensor:
    """Prior maps (B,C,S,S) of a whole face brought to its LQ grid, (B,C,height,width)."""
    if maps.shape[-2:] == (height, width):
        return maps
    return F.interpolate(
        maps, size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )


class PriorBranch(nn.Module):
    """A prior's maps and the LQ image -> features of the prior at every open end depth."""

    def __init__(self, space: Space, prior: str) -> None:
        super().__init__()
        filters = space.filters(prior, space.prior_trellis.start)
        self.intake = nn.Conv2d(PRIOR_CHANNELS[prior] + 3, filters, 3, padding=1)
        self.trellis = TrellisNet(space, prior)

    def forward(
        self, maps: Tensor, lq: Tensor, weights: MixWeights | None = None
    ) -> dict[int, Tensor]:
        maps = on_lq_grid(maps, *lq.shape[-2:])
        return self.trellis(self.intake(torch.cat((maps, lq), 1)), weights)


class Weighting(nn.Module):
    """How much each prior counts: `none` (all 1), a learned gate, or channel attention.

    Factors lie in (0, 2) and start at 1. `last` keeps the mean factor per prior for the log.
    """

    def __init__(self, options: tuple[str, ...], priors: int, channels: int) -> None:
        super().__init__()
        self.options = options
        self.priors = priors
        self.last: Tensor | None = None
        if "gate" in options:
            self.gate = nn.Parameter(torch.zeros(priors))
        if "attention" in options:
            hidden = max(channels // 2, 4)
            self.squeeze = nn.Conv2d((priors + 1) * channels, hidden, 1)
            self.excite = nn.Conv2d(hidden, priors * channels, 1)
            nn.init.zeros_(self.excite.weight)
            nn.init.zeros_(self.excite.bias)  # type: ignore[arg-type]

    def forward(
        self, base: Tensor, joined: list[Tensor], weights: MixWeights | None
    ) -> list[Tensor]:
        """base and joined (B,C,h,w) -> the joined features, weighted."""
        terms = [
            scaled(self._factors(option, base, joined), coefficient)
            for option, coefficient in coefficients("fusion/weighting", self.options, weights)
        ]
        factors = total(terms)
        self.last = factors.detach().float().mean((0, 2, 3, 4))
        return [x * factors[:, i].to(x.dtype) for i, x in enumerate(joined)]

    def _factors(self, option: str, base: Tensor, joined: list[Tensor]) -> Tensor:
        """(B or 1, priors, C or 1, 1, 1)"""
        if option == "none":
            return base.new_ones((1, self.priors, 1, 1, 1))
        if option == "gate":
            return 2 * torch.sigmoid(self.gate).view(1, -1, 1, 1, 1)
        pooled = torch.cat([x.mean((2, 3), keepdim=True) for x in (base, *joined)], 1)
        gates = self.excite(F.leaky_relu(self.squeeze(pooled), 0.2))
        return 2 * torch.sigmoid(gates).view(base.shape[0], self.priors, base.shape[1], 1, 1)


class Fusion(nn.Module):
    """Features of the face and of the priors, joined on the LQ grid, through the fusion trellis."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        out = space.filters("fusion", space.fusion_trellis.start)
        nodes = space.cell.nodes
        self.lq_level = lq_level(space.scale)
        self.prior_names = space.priors
        if "trellis" in space.framed("sr/use"):
            sr_channels = {
                end: unshuffled(nodes * space.filters("sr", end), end - self.lq_level)
                for end in space.ends("sr")
            }
            self.join_sr = EndMixer(space, "sr", sr_channels, out)
        if "none" in space.framed("sr/use"):
            self.join_body = nn.Conv2d(space.width.channels, out, 1)
        self.join_priors = nn.ModuleDict(
            {
                p: EndMixer(space, p, {e: nodes * space.filters(p, e) for e in space.ends(p)}, out)
                for p in space.priors
            }
        )
        self.weighting = Weighting(space.open_weightings(), len(space.priors), out)
        self.trellis = TrellisNet(space, "fusion")

    def forward(
        self,
        face: dict[int, Tensor] | Tensor,
        priors: dict[str, dict[int, Tensor]],
        weights: MixWeights | None = None,
    ) -> dict[int, Tensor]:
        """Fused features by end depth.

        face: ends of the SR trellis by level, or without one the body's features (B,C,h,w) on the
        base grid; priors: per prior its features by end depth.
        """
        base = self._base(face, weights)
        joined = []
        for name in self.prior_names:
            features = {depth: resample(x, 2.0**depth) for depth, x in priors[name].items()}
            joined.append(self.join_priors[name](features, weights))
        weighted = self.weighting(base, joined, weights)
        return self.trellis(total([base, *weighted]), weights)

    def _base(self, face: dict[int, Tensor] | Tensor, weights: MixWeights | None) -> Tensor:
        if isinstance(face, Tensor):
            return resample(self.join_body(face), 2.0**self.lq_level)
        on_grid = {end: to_grid(x, end - self.lq_level) for end, x in face.items()}
        return self.join_sr(on_grid, weights)
