"""Control arms: what stands in for the student's maps, to see what these are worth.

A stand-in takes the student's place in `FaceSR`. The student stays inside it, so that all arms
have the same size and start from the same weights; what a stand-in stores besides is not counted,
and only `real` and `coords` may enter the challenge (`models.rules`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.space import PRIOR_CHANNELS
from models.student import Student, student_input
from models.student_heads import pixel_centres

REAL, ORACLE, EXTERNAL = "real", "oracle", "external"
TEMPLATE_SIDE = 32
"""Side at which the template is kept; a mean over faces is smooth."""
BANK = 64
"""Faces among which `shuffled` chooses another one."""
REMEMBERED = 64
"""Faces whose truth `oracle` keeps."""
CLEAN_FLOOR = 1e-3


class StandIn(nn.Module):
    """Gives maps of every prior of the student, from something else than the LQ face.

    Called like the student: LQ faces (B,3,S,S) -> maps by prior, (B,C,S,S).
    """

    def __init__(self, student: Student, size: int) -> None:
        super().__init__()
        self.student = student
        self.size = size

    def fit(self, faces: Tensor) -> None:
        """Learn what the arm needs from training LQ (N,3,S,S) in [0,1], N at least `BANK`."""

    def _channels(self) -> dict[str, int]:
        return {prior: PRIOR_CHANNELS[prior] for prior in self.student.priors}


class Template(StandIn):
    """The same maps for every face: the mean over training faces."""

    def __init__(self, student: Student, size: int) -> None:
        super().__init__(student, size)
        for prior, channels in self._channels().items():
            self.register_buffer(prior, torch.zeros(1, channels, TEMPLATE_SIDE, TEMPLATE_SIDE))

    @torch.no_grad()
    def fit(self, faces: Tensor) -> None:
        for prior, maps in _said(self.student, faces).items():
            mean = maps.mean(0, keepdim=True)
            small = F.interpolate(mean, (TEMPLATE_SIDE, TEMPLATE_SIDE), mode="area")
            self.get_buffer(prior).copy_(small)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {
            prior: F.interpolate(
                self.get_buffer(prior), x.shape[-2:], mode="bilinear", align_corners=False
            ).expand(len(x), -1, -1, -1)
            for prior in self.student.priors
        }


class Shuffled(StandIn):
    """The student's maps of another face, always the same one for the same LQ."""

    salt = b"first"
    bank: Tensor

    def __init__(self, student: Student, size: int) -> None:
        super().__init__(student, size)
        self.register_buffer("bank", torch.zeros(BANK, 3, size, size))

    def fit(self, faces: Tensor) -> None:
        self.bank.copy_(faces[:BANK])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        chosen = []
        for face in x:
            number = _number(face, self.salt) % BANK
            same = (self.bank[number] - face).abs().mean() < CLEAN_FLOOR
            chosen.append((number + 1) % BANK if same else number)
        return cast("dict[str, Tensor]", self.student(self.bank[chosen]))


class Reshuffled(Shuffled):
    """`shuffled` once more with another choice: how much two equal arms differ."""

    salt = b"second"


class Noise(StandIn):
    """White noise of the mean and deviation of each map, always the same for the same LQ."""

    def __init__(self, student: Student, size: int) -> None:
        super().__init__(student, size)
        for prior, channels in self._channels().items():
            self.register_buffer(prior, torch.zeros(2, channels, 1, 1))

    @torch.no_grad()
    def fit(self, faces: Tensor) -> None:
        for prior, maps in _said(self.student, faces).items():
            moments = (maps.mean((0, 2, 3)), maps.std((0, 2, 3)))
            self.get_buffer(prior).copy_(torch.stack(moments)[:, :, None, None])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for prior, channels in self._channels().items():
            mean, deviation = self.get_buffer(prior)
            drawn = []
            for face in x:
                generator = torch.Generator().manual_seed(_number(face, prior.encode()) % 2**63)
                drawn.append(torch.randn((channels, *x.shape[-2:]), generator=generator))
            maps[prior] = mean + deviation * torch.stack(drawn).to(x.device)
        return maps


class Coords(StandIn):
    """The place alone: |x| and y, 0 at the middle, in the first two maps of each prior, else 0."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        line = pixel_centres(x.shape[-1], x) * 2 - 1
        place = torch.stack(torch.meshgrid(line.abs(), line, indexing="xy"))
        maps = {}
        for prior, channels in self._channels().items():
            whole = F.pad(place, (0, 0, 0, 0, 0, channels - 2))
            maps[prior] = whole.expand(len(x), -1, -1, -1)
        return maps


class OracleError(RuntimeError):
    """The oracle was asked about a face whose HQ it was not told."""


class Oracle(StandIn):
    """The student's maps of the clean HQ, which `tell_truth` must have told. Diagnostic only."""

    def __init__(self, student: Student, size: int) -> None:
        super().__init__(student, size)
        self._truth: OrderedDict[int, Tensor] = OrderedDict()

    def tell(self, x: Tensor, hq: Tensor) -> None:
        """Remember the HQ (B,3,H,W) of LQ faces (B,3,S,S)."""
        clean = student_input(hq, self.size)
        for face, truth in zip(x, clean, strict=True):
            self._truth[_number(face, b"")] = truth
        while len(self._truth) > max(REMEMBERED, len(x)):
            self._truth.popitem(last=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        try:
            clean = torch.stack([self._truth[_number(face, b"")] for face in x])
        except KeyError as error:
            raise OracleError(
                "prior source oracle needs the HQ of every face: it can be trained and validated, "
                "not used to restore"
            ) from error
        return cast("dict[str, Tensor]", self.student(clean))


class LabelError(ValueError):
    """Labels from outside are needed and not there; the message names the face or the flags."""


class Labels(Protocol):
    """Labels from outside, by the name of the face (`priors.external`)."""

    def maps(self, name: str, face: Tensor, mirrored: bool, size: int) -> dict[str, Tensor]:
        """Maps by prior (C,size,size) of the face of this name.

        face: the LQ (3,h,w) as the network sees it; mirrored: it is, and so must the maps be.
        """


class External(StandIn):
    """Maps made of labels from outside, looked up by the face's name: outside the rules."""

    def __init__(self, student: Student, size: int) -> None:
        super().__init__(student, size)
        self.labels: dict[bool, Labels] = {}
        """Labels of the faces that are trained on (True) and of all others (False)."""

    def of_names(
        self, faces: Tensor, names: Sequence[str], mirrored: Sequence[bool], *, trained: bool
    ) -> dict[str, Tensor]:
        """Maps by prior (B,C,S,S) of LQ faces (B,3,h,w) with these names."""
        if trained not in self.labels:
            return self(faces)
        labels = self.labels[trained]
        each = [
            labels.maps(name, face, flip, self.size)
            for name, face, flip in zip(names, faces, mirrored, strict=True)
        ]
        return {
            prior: torch.stack([maps[prior] for maps in each]).to(faces.device)
            for prior in self.student.priors
        }

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        raise LabelError(
            "the prior maps of this network are made of labels from outside (prior source "
            "external), which this command does not have: train, evaluate.py and restore.py take "
            "them, with --allow-noncompliant and the flags of the labels"
        )


STAND_INS: dict[str, type[StandIn]] = {
    "template": Template,
    "shuffled": Shuffled,
    "reshuffled": Reshuffled,
    "noise": Noise,
    "coords": Coords,
    ORACLE: Oracle,
    EXTERNAL: External,
}
SOURCES = (REAL, *STAND_INS)
"""Where the maps come from: the student, or a stand-in."""


def stand_in(net: nn.Module, source: str) -> None:
    """Put the stand-in `source` in the place of the student of a `FaceSR`; `real` changes nothing.

    A network without priors has none to replace.
    """
    student = getattr(net, "student", None)
    if source == REAL or student is None:
        return
    net.student = STAND_INS[source](student, net.space.student_size)  # type: ignore[union-attr,arg-type]


def source_of(net: nn.Module) -> str:
    """The name of the network's prior source."""
    kind = type(getattr(net, "student", None))
    return next((name for name, one in STAND_INS.items() if one is kind), REAL)


def externals(net: nn.Module) -> Iterator[External]:
    """The stand-ins for external labels in a network, or in the members of an ensemble."""
    yield from (module for module in net.modules() if isinstance(module, External))


def labelled_maps(
    net: nn.Module,
    faces: Tensor,
    names: Sequence[str | None],
    mirrored: Sequence[bool],
    *,
    trained: bool,
) -> dict[str, Tensor] | None:
    """Maps of whole LQ faces (B,3,h,w) by their names; None where the network needs no names.

    Raises `LabelError` where a face has no name.
    """
    student = getattr(net, "student", None)
    if not isinstance(student, External):
        return None
    known = [name for name in names if name is not None]
    if len(known) != len(names):
        return student(faces)
    return student.of_names(faces, known, mirrored, trained=trained)


def tell_truth(net: nn.Module, lq: Tensor, hq: Tensor) -> None:
    """Let an oracle see the HQ (B,3,H,W) of whole LQ faces (B,3,h,w); of others nothing happens."""
    student = getattr(net, "student", None)
    if isinstance(student, Oracle):
        student.tell(student_input(lq, student.size), hq)


@torch.no_grad()
def _said(student: Student, faces: Tensor) -> dict[str, Tensor]:
    """The student's maps of many faces, some at a time."""
    parts = [student(some) for some in faces.split(8)]
    return {prior: torch.cat([part[prior] for part in parts]) for prior in student.priors}


def _number(face: Tensor, salt: bytes) -> int:
    """A number that stands for the pixels of one face (3,S,S)."""
    pixels = (face.detach().float() * 255).round().to(torch.uint8).cpu().contiguous()
    return int.from_bytes(hashlib.sha256(salt + pixels.numpy().tobytes()).digest()[:8], "big")
