"""FaceSR: the one network class, supernet and derived network alike.

Read top to bottom it is the figure of FRSNet (`_restore`, without `branches`) and MFPSNet
(`forward`: a first pass without priors, a second one with the fused priors, shared weights).
`Space.frame` has variants: no SR trellis, priors in a single pass, another tail or skip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import Tail, damp, dense_stack
from models.fusion import Fusion, PriorBranch
from models.join import DirectJoin, Redistill
from models.mixing import MixWeights, coefficients, scaled, total
from models.space import Space
from models.student import Student, student_input
from models.trellis import TrellisNet

Branches = dict[str, dict[int, Tensor]]
"""Per prior its features by end depth."""


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
        uses = space.framed("sr/use")
        if "trellis" in uses:
            self.sr_intake = nn.Conv2d(c, space.filters("sr", space.sr_trellis.start), 1)
            self.sr = TrellisNet(space, "sr")
            self.redistill = Redistill(space)
        self.blocks = dense_stack(c, width.growth, width.blocks + width.extra)
        out = nn.Conv2d(c, c, 3, padding=1)
        self.blocks_out = damp(out, 1.0) if "trellis" in uses else out  # else as in rdb-plain
        self.tail = Tail(space)
        self.student: nn.Module | None = None
        """A `Student`, or what stands in for one (`models.prior_source`)."""
        if space.priors:
            if space.passes > 1:
                self.feedback = damp(nn.Conv2d(3 * 8**2, c, 1), 0.0)
            self.student = Student(space.priors)
            self.branches = nn.ModuleDict({p: PriorBranch(space, p) for p in space.priors})
            self.fusion = Fusion(space)
            if "none" in uses:
                self.direct = DirectJoin(space)

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
        first_only: stop after the first of several passes.
        """
        if lq.shape[-1] % self.lq_multiple or lq.shape[-2] % self.lq_multiple:
            raise ValueError(
                f"LQ is {lq.shape[-2]}x{lq.shape[-1]}: sides must be multiples of "
                f"{self.lq_multiple} (models.restorer.restore pads)"
            )
        skip = self._skip(lq, weights)
        shallow = self.intake(F.pixel_unshuffle(lq, self.unshuffle))
        if self.student is None:
            return [self._restore(shallow, None, weights) + skip]
        if first_only and self.space.passes > 1:
            return [self._restore(shallow, None, weights) + skip]
        if maps is None:
            maps = self.prior_maps(lq)
        branches = {p: self.branches[p](maps[p], lq, weights) for p in self.space.priors}
        return self._passes(shallow, skip, branches, weights)

    def _skip(self, lq: Tensor, weights: MixWeights | None) -> Tensor:
        """The enlarged LQ that every pass adds to."""
        open_now = coefficients("skip/kind", self.space.framed("skip/kind"), weights)
        enlarged = [
            scaled(
                F.interpolate(lq, scale_factor=float(self.scale), mode=kind, align_corners=False),
                coefficient,
            )
            for kind, coefficient in open_now
        ]
        return total(enlarged)

    def _passes(
        self, shallow: Tensor, skip: Tensor, branches: Branches, weights: MixWeights | None
    ) -> list[Tensor]:
        """The image of every pass: one with priors, or one without and then one or more with them.

        Of several open numbers of passes, the last image is the weighted sum of theirs.
        """
        open_now = coefficients("passes", self.space.framed("passes"), weights)
        wanted = {int(option): coefficient for option, coefficient in open_now}
        last: list[Tensor] = []
        if 1 in wanted:
            last.append(scaled(self._restore(shallow, branches, weights) + skip, wanted[1]))
        restored: list[Tensor] = []
        for number in range(1, max(wanted) + 1 if max(wanted) > 1 else 1):
            if number == 1:
                restored.append(self._restore(shallow, None, weights) + skip)
                continue
            fed = shallow + self.feedback(F.pixel_unshuffle(restored[-1], 8))
            restored.append(self._restore(fed, branches, weights) + skip)
            if number in wanted:
                last.append(scaled(restored[-1], wanted[number]))
        return [*restored[:-1], total(last)]

    def _restore(
        self, shallow: Tensor, branches: Branches | None, weights: MixWeights | None
    ) -> Tensor:
        """One pass from the shallow features on the base grid to the residual image."""
        joins: dict[int, Tensor | None] = {}
        if self.space.modules:
            places = coefficients("join/after", self.space.framed("join/after"), weights)
            joins = {int(place): coefficient for place, coefficient in places}
        features = shallow
        for done, block in enumerate([*self.extract, *self.blocks, None]):
            if done in joins:
                features = self._joined(features, branches, joins[done], weights)
            if block is not None:
                features = block(features)
        return self.tail(self.blocks_out(features) + shallow, weights)

    def _joined(
        self,
        features: Tensor,
        branches: Branches | None,
        place: Tensor | None,
        weights: MixWeights | None,
    ) -> Tensor:
        """Features on the base grid plus what trellis and priors make of them, times `place`."""
        terms = [features]
        for use, coefficient in coefficients("sr/use", self.space.framed("sr/use"), weights):
            if use == "trellis":
                ends = self.sr(self.sr_intake(features), weights)
                fused = None if branches is None else self.fusion(ends, branches, weights)
                term = self.redistill(ends, fused, weights)
            elif branches is not None:
                term = self.direct(self.fusion(features, branches, weights), weights)
            else:
                continue
            terms.append(scaled(scaled(term, coefficient), place))
        return total(terms)

    @torch.no_grad()
    def prior_weights(self) -> dict[str, float]:
        """Mean factor of each prior in the last forward pass (empty without priors)."""
        if self.student is None or self.fusion.weighting.last is None:
            return {}
        return dict(zip(self.space.priors, self.fusion.weighting.last.tolist(), strict=True))
