"""FaceSR: the one network class, supernet and derived network alike.

Read top to bottom it is the figure of FRSNet (`restore_from`, without `fused`) and MFPSNet
(`forward`: a first pass without priors, a second one with the fused priors, shared weights).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import Tail, damp, dense_stack, to_grid, unshuffled
from models.fusion import Fusion, PriorBranch, lq_level
from models.mixing import MixWeights
from models.operations import SLOPE
from models.space import Space
from models.student import Student, student_input
from models.trellis import EndMixer, TrellisNet


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
            fused = {
                e: unshuffled(nodes * space.filters("fusion", e), self.base_depth - e)
                for e in space.ends("fusion")
            }
            self.from_fusion = EndMixer(space, "fusion", fused, c)
            for conv in self.from_fusion.convs.values():
                damp(conv, 0.1)
        self.out = damp(nn.Conv2d(c, c, 1), 1.0)

    def forward(
        self, sr: dict[int, Tensor], fused: dict[int, Tensor] | None, weights: MixWeights | None
    ) -> Tensor:
        grids = {level: to_grid(x, level) for level, x in sr.items()}
        mixed = self.from_sr(grids, weights)
        if fused is not None:
            grids = {depth: to_grid(x, self.base_depth - depth) for depth, x in fused.items()}
            mixed = mixed + self.from_fusion(grids, weights)
        return self.out(F.leaky_relu(mixed, SLOPE))


class FaceSR(nn.Module):
    """Blind face super-resolution network of a `Space`.

    With options still open it is the supernet and needs `weights`; of a genotype it is the
    derived network. LQ (B,3,h,w) RGB in [0,1], h and w multiples of `lq_multiple`.
    """

    lq_multiple = 8
    """LQ sides must be multiples of this: the deepest trellis level is LQ / 8."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        width = space.width
        c = width.channels
        self.space = space
        self.scale = space.scale
        self.unshuffle = 8 // space.scale
        self.intake = nn.Conv2d(3 * self.unshuffle**2, c, 3, padding=1)
        self.extract = dense_stack(c, width.growth, width.blocks)
        self.sr_intake = nn.Conv2d(c, space.filters("sr", space.sr_trellis.start), 1)
        self.sr = TrellisNet(space, "sr")
        self.redistill = Redistill(space)
        self.blocks = dense_stack(c, width.growth, width.blocks)
        self.blocks_out = damp(nn.Conv2d(c, c, 3, padding=1), 1.0)
        self.tail = Tail(c, width.tail)
        self.student: nn.Module | None = None
        """A `Student`, or what stands in for one (`models.prior_source`)."""
        if space.priors:
            self.feedback = damp(nn.Conv2d(3 * 8**2, c, 1), 0.0)
            self.student = Student(space.priors)
            self.branches = nn.ModuleDict({p: PriorBranch(space, p) for p in space.priors})
            self.fusion = Fusion(space)

    def prior_maps(self, face: Tensor) -> dict[str, Tensor]:
        """Whole LQ faces (B,3,h,w) -> the student's maps by prior, (B,channels,S,S)."""
        if self.student is None:
            return {}
        maps: dict[str, Tensor] = self.student(student_input(face, self.space.student_size))
        return maps

    def forward(
        self,
        lq: Tensor,
        maps: dict[str, Tensor] | None = None,
        weights: MixWeights | None = None,
        *,
        first_only: bool = False,
    ) -> list[Tensor]:
        """The restored image of each pass, (B,3,h*scale,w*scale), not clamped.

        maps: the priors' maps for exactly this LQ (on a crop, the maps of the whole face cropped
        alike); None lets the student see `lq` as a whole face. weights: see `MixWeights`.
        first_only: stop after the first pass.
        """
        if lq.shape[-1] % self.lq_multiple or lq.shape[-2] % self.lq_multiple:
            raise ValueError(
                f"LQ is {lq.shape[-2]}x{lq.shape[-1]}: sides must be multiples of "
                f"{self.lq_multiple} (models.restorer.restore pads)"
            )
        skip = F.interpolate(
            lq, scale_factor=float(self.scale), mode="bicubic", align_corners=False
        )
        shallow = self.intake(F.pixel_unshuffle(lq, self.unshuffle))
        restored = [self._restore(shallow, None, weights) + skip]
        if self.student is None or first_only:
            return restored
        if maps is None:
            maps = self.prior_maps(lq)
        branches = {p: self.branches[p](maps[p], lq, weights) for p in self.space.priors}
        shallow = shallow + self.feedback(F.pixel_unshuffle(restored[0], 8))
        restored.append(self._restore(shallow, branches, weights) + skip)
        return restored

    def _restore(
        self,
        shallow: Tensor,
        branches: dict[str, dict[int, Tensor]] | None,
        weights: MixWeights | None,
    ) -> Tensor:
        """One pass from the shallow features on the base grid to the residual image."""
        deep = self.extract(shallow)
        features = self.sr(self.sr_intake(deep), weights)
        fused = None if branches is None else self.fusion(features, branches, weights)
        distilled = deep + self.redistill(features, fused, weights)
        refined = self.blocks_out(self.blocks(distilled)) + shallow
        return self.tail(refined)

    @torch.no_grad()
    def prior_weights(self) -> dict[str, float]:
        """Mean factor of each prior in the last forward pass (empty without priors)."""
        if self.student is None or self.fusion.weighting.last is None:
            return {}
        return dict(zip(self.space.priors, self.fusion.weighting.last.tolist(), strict=True))
