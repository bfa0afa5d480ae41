"""How what was searched comes back into the body's features on the base grid."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import damp, to_grid, unshuffled
from models.fusion import lq_level
from models.mixing import MixWeights
from models.operations import SLOPE
from models.space import Space
from models.trellis import EndMixer


class Redistill(nn.Module):
    """Ends of the SR trellis -> (B,C,h,w) on the base grid, two 1x1 convolutions.

    Fused features are added to the SR features, damped: the second pass starts as the first one.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        c, nodes = space.width.channels, space.cell.nodes
        self.base_depth = lq_level(space.scale)
        sr = {e: unshuffled(nodes * space.filters("sr", e), e) for e in space.ends("sr")}
        self.from_sr = EndMixer(space, "sr", sr, c)
        if space.priors:
            self.from_fusion = fused_mixer(space, 0.1)
        self.out = damp(nn.Conv2d(c, c, 1), 1.0)

    def forward(
        self, sr: dict[int, Tensor], fused: dict[int, Tensor] | None, weights: MixWeights | None
    ) -> Tensor:
        grids = {level: to_grid(x, level) for level, x in sr.items()}
        mixed = self.from_sr(grids, weights)
        if fused is not None:
            mixed = mixed + self.from_fusion(on_base_grid(fused, self.base_depth), weights)
        return self.out(F.leaky_relu(mixed, SLOPE))


class DirectJoin(nn.Module):
    """Ends of the fusion trellis -> (B,C,h,w) on the base grid, without an SR trellis between.

    Starts at zero: the network starts as the one without priors.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.base_depth = lq_level(space.scale)
        self.from_fusion = fused_mixer(space, 0.0)

    def forward(self, fused: dict[int, Tensor], weights: MixWeights | None) -> Tensor:
        out: Tensor = self.from_fusion(on_base_grid(fused, self.base_depth), weights)
        return out


def fused_mixer(space: Space, start: float) -> EndMixer:
    """The 1x1 convolutions from every end of the fusion trellis, their first weights x `start`."""
    depth, nodes = lq_level(space.scale), space.cell.nodes
    channels = {
        e: unshuffled(nodes * space.filters("fusion", e), depth - e) for e in space.ends("fusion")
    }
    mixer = EndMixer(space, "fusion", channels, space.width.channels)
    for conv in mixer.convs.values():
        damp(conv, start)
    return mixer


def on_base_grid(fused: dict[int, Tensor], base_depth: int) -> dict[int, Tensor]:
    """Ends of the fusion trellis by depth, all brought to the base grid."""
    return {depth: to_grid(x, base_depth - depth) for depth, x in fused.items()}
