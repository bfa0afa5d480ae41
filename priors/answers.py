"""What the teachers say of HQ faces, asked once per face and kept as tensors on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.batches import batch_stream
from data.sources import FaceSource
from priors.dictionary import Codes
from priors.heat import PointModel
from priors.parse import ParseAtlas


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """The fitted teachers, None where a prior was not asked for."""

    parse: ParseAtlas | None = None
    heat: PointModel | None = None
    dict: Codes | None = None

    @property
    def priors(self) -> tuple[str, ...]:
        """Names of the teachers that are there."""
        return tuple(p for p in ("parse", "heat", "dict") if getattr(self, p) is not None)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the teachers say of one HQ face; None where there is no teacher."""

    parse: np.ndarray | None
    """(K, S/2, S/2) uint8: class probabilities x 255."""
    points: np.ndarray | None
    """(N, 2) float32 shares of the side."""
    codes: np.ndarray | None
    """(2, S/2, S/2) int16: code ids of the face and of its mirror image."""


def ask(teachers: Teachers, hq: np.ndarray, size: int) -> Answer:
    """The teachers' answer to one HQ face (S, S, 3) uint8 RGB, for a student at `size`."""
    both = np.stack([hq, hq[:, ::-1]])
    parse = points = codes = None
    if teachers.parse is not None:
        parse = np.rint(255 * teachers.parse.maps(both[:1], size // 2)[0]).astype(np.uint8)
    if teachers.heat is not None:
        points = teachers.heat.points(both[:1])[0].astype(np.float32)
    if teachers.dict is not None:
        codes = teachers.dict.ids(both, size).astype(np.int16)
    return Answer(parse=parse, points=points, codes=codes)


@dataclass(frozen=True, kw_only=True)
class Said:
    """Answers to some faces, stacked; None where there is no teacher."""

    parse: Tensor | None
    """(B, K, S/2, S/2) uint8: class probabilities x 255."""
    points: Tensor | None
    """(B, N, 2) shares of the side."""
    codes: Tensor | None
    """(B, S/2, S/2) int16 code ids."""


@dataclass(frozen=True, kw_only=True)
class AnswerBook:
    """Answers to many faces: `Answer`'s fields with a first axis, one row per asked face."""

    row: dict[int, int]
    """Row of each asked face."""
    parse: Tensor | None
    points: Tensor | None
    codes: Tensor | None
    swap: Tensor | None
    """(N,) mirror partner of each point."""
    device: torch.device

    def to(self, device: torch.device | str) -> AnswerBook:
        """The book on another device."""

        def moved(held: Tensor | None) -> Tensor | None:
            return None if held is None else held.to(device)

        return AnswerBook(
            row=self.row,
            parse=moved(self.parse),
            points=moved(self.points),
            codes=moved(self.codes),
            swap=moved(self.swap),
            device=torch.device(device),
        )

    def of(self, faces: Sequence[int], flips: Sequence[bool]) -> Said:
        """What was said of these faces, or of their mirror images where `flips` says so.

        The atlas' classes are symmetric; mirrored points change places with their partners.
        """
        rows = torch.tensor([self.row[face] for face in faces], device=self.device)
        mirrored = torch.tensor(flips, device=self.device)
        parse = points = codes = None
        if self.parse is not None:
            parse = self.parse[rows]
            parse = torch.where(mirrored[:, None, None, None], parse.flip(-1), parse)
        if self.points is not None:
            assert self.swap is not None
            points = self.points[rows]
            other = points[:, self.swap]
            other = torch.stack([1 - other[..., 0], other[..., 1]], -1)
            points = torch.where(mirrored[:, None, None], other, points)
        if self.codes is not None:
            codes = self.codes[rows, mirrored.long()]
        return Said(parse=parse, points=points, codes=codes)


@dataclass(frozen=True)
class _Asking:
    """Asks the teachers about the i-th of some faces; a worker process gets a copy."""

    teachers: Teachers
    source: FaceSource
    faces: Sequence[int]
    size: int

    def __call__(self, i: int) -> Answer:
        return ask(self.teachers, self.source.image(self.faces[i]), self.size)


def ask_all(
    teachers: Teachers, source: FaceSource, faces: Sequence[int], size: int, workers: int = 0
) -> AnswerBook:
    """The teachers' answers to some faces of a source, asked by `workers` processes.

    A face takes about 66 KB at a student size of 128.
    """
    asking = _Asking(teachers, source, tuple(faces), size)
    said = list(batch_stream(asking, 0, len(faces), workers))

    def together(name: str) -> Tensor | None:
        if getattr(said[0], name) is None:
            return None
        return torch.from_numpy(np.stack([getattr(one, name) for one in said]))

    heat = teachers.heat
    return AnswerBook(
        row={face: i for i, face in enumerate(faces)},
        parse=together("parse"),
        points=together("points"),
        codes=together("codes"),
        swap=None if heat is None else torch.from_numpy(np.asarray(heat.swap)),
        device=torch.device("cpu"),
    )
