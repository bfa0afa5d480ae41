"""Landmarks from outside -> the 26 heat maps: exp(-d^2 / 2 s^2), s = 2 px at 128, peak 1.

The maps are filled by `CHOSEN` of the 68 points of iBUG 300-W, which face-alignment gives; 26
points are those already, in the same order; 5 are eyes, nose tip and corners of the mouth, left to
right in the picture. Any other number up to 26 is taken in the order of the file and needs
`mirror.txt` in the folder: for each point the number, from 0, of its partner in the mirrored face.
Maps that are left over are 0.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.errors import DataError
from models.space import PRIOR_CHANNELS
from models.student_heads import draw_points
from priors.external_files import all_files, find, read_npy

MAPS = PRIOR_CHANNELS["heat"]
SUFFIXES = (".npy", ".txt")
MIRROR = "mirror.txt"
WEIGHTS = "FACE_ALIGNMENT_WEIGHTS"
"""Environment variable that names the weights' file."""
CHOSEN = (
    *(4, 8, 12),  # jaw: left, chin, right
    *(17, 19, 21, 22, 24, 26),  # brows
    *(27, 30, 31, 33, 35),  # nose
    *(36, 37, 39, 41, 42, 44, 45, 46),  # eyes: corners, one point of each lid
    *(48, 51, 54, 57),  # outer lips
)
"""Numbers, from 0, of the points of iBUG's 68 that become maps, in the order of the maps."""
PAIRS_68 = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
"""Points of iBUG's 68 that are each other's partners in the mirrored face."""
FACE_BOX = (112 / 512, 144 / 512, 400 / 512, 464 / 512)
"""Left, top, right, bottom of the face in an aligned picture, as shares of its side."""
UNREADABLE = (OSError, RuntimeError, LookupError, EOFError, ValueError, pickle.UnpicklingError)
"""What torch raises for a file that is no, or another, network's."""
DETECTED_SIDE = 512
"""Side in px to which an LQ is enlarged for the detector."""


def partners_of_68() -> list[int]:
    """The partner of each of iBUG's 68 points in the mirrored face."""
    swap = list(range(68))
    for one, other in PAIRS_68:
        swap[one], swap[other] = other, one
    return swap


def partners_of_chosen() -> list[int]:
    """The partner of each of `CHOSEN`, as places in it."""
    return [CHOSEN.index(partners_of_68()[point]) for point in CHOSEN]


KNOWN: dict[int, Callable[[], list[int]]] = {
    68: partners_of_68,
    MAPS: partners_of_chosen,
    5: lambda: [1, 0, 2, 4, 3],
}
"""Partners in the mirrored face by the number of points."""


def heat_maps(points: np.ndarray, size: int) -> Tensor:
    """Heat maps (26,size,size) of points (68,2), or (N,2) with N to 26, as shares of the side."""
    if len(points) == 68:
        points = points[list(CHOSEN)]
    maps = torch.zeros(MAPS, size, size)
    maps[: len(points)] = draw_points(torch.from_numpy(points.astype(np.float32)), size)
    return maps


class LandmarkFolder:
    """A folder of one file (N,2) per face: x and y in px, the first pixel's centre at 0."""

    def __init__(self, folder: Path, side: int | None) -> None:
        """side: of the pictures that were marked, in px."""
        if side is None or side < 1:
            raise DataError(
                "--landmark-labels FOLDER needs --landmark-side: the side in px of the pictures "
                "that the points were marked on, such as 512"
            )
        self.folder, self.side = folder, side
        self.told = f"landmarks of a folder, marked at {side} px"

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """Heat maps (26,size,size); the face's pixels are not looked at."""
        points = self.points(name)
        if mirrored:
            points = points[self._partners(len(points))]
            points[:, 0] = 1 - points[:, 0]
        return heat_maps(points, size)

    def points(self, name: str) -> np.ndarray:
        """The points (N,2) of a face as shares of its side, not mirrored."""
        path = find(self.folder, name, SUFFIXES)
        points = read_points(path)
        self._partners(len(points), path)
        if ((points < 0) | (points > self.side)).any(1).mean() > 0.5:
            raise DataError(
                f"{path}: most points lie outside a picture of {self.side} px: --landmark-side is "
                "the side of the pictures that were marked"
            )
        return (points + 0.5) / self.side

    def _partners(self, count: int, path: Path | None = None) -> list[int]:
        own = self.folder / MIRROR
        if own.is_file():
            return read_mirror(own, count)
        if count not in KNOWN:
            raise DataError(
                f"{path}: {count} points; 68 (iBUG), {MAPS} or 5 are known, any other number up "
                f"to {MAPS} needs {MIRROR} in the folder: each point's partner when mirrored"
            )
        return KNOWN[count]()

    def files(self) -> tuple[Path, list[Path]]:
        """The folder and every file of points."""
        return self.folder, all_files(self.folder, SUFFIXES)

    def has(self, name: str) -> bool:
        """Whether the face of this name has a file."""
        return any((self.folder / f"{name}{suffix}").is_file() for suffix in SUFFIXES)


def read_points(path: Path) -> np.ndarray:
    """Points (N,2) float32 of a .npy or a .txt (x and y in a line). Raises `DataError`."""
    if path.suffix == ".npy":
        points = read_npy(path)
    else:
        try:
            points = np.loadtxt(path, dtype=np.float32, ndmin=2)
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: write x and y of one point a line ({error})") from error
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise DataError(f"{path}: shape {points.shape}; points are (N,2), x and y")
    if not np.isfinite(points).all():
        raise DataError(f"{path}: holds values that are not finite")
    return points


def read_mirror(path: Path, count: int) -> list[int]:
    """The partner of each of `count` points. Raises `DataError`."""
    try:
        partners = [int(word) for word in path.read_text(encoding="utf-8").split()]
    except ValueError as error:
        raise DataError(f"{path}: write whole numbers, each point's partner ({error})") from error
    back = len(partners) == count and sorted(partners) == list(range(count))
    if count > MAPS and count != 68:
        raise DataError(f"{path.parent}: {count} points; 68, or at most {MAPS}")
    if not back or any(partners[p] != i for i, p in enumerate(partners)):
        raise DataError(f"{path}: needs {count} numbers from 0, partners that name each other")
    return partners


class Detector:
    """68 points that face-alignment (Bulat & Tzimiropoulos, ICCV 2017) finds in the LQ itself.

    The faces are aligned, so that its face detector is not needed: the box is `FACE_BOX`.
    """

    told = "68 landmarks that face-alignment 2DFAN-4 finds in the LQ"

    def __init__(self, weights: Path | None, device: torch.device, modules: int = 4) -> None:
        """weights: 2DFAN-4's file; None: the file that `FACE_ALIGNMENT_WEIGHTS` names, or else the
        package's own download. modules: hourglasses of the network in the file.

        Raises `DataError` with the fix where package or weights are missing.
        """
        named = os.environ.get(WEIGHTS)
        file = weights or (Path(named) if named else None)
        self._find = _load(file, device, modules)
        if file is not None:
            self.told += f", weights {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """Heat maps (26,size,size) of an LQ (3,h,w) in [0,1]: mirrored or not is in its pixels."""
        large = torch.nn.functional.interpolate(
            face[None].float(), (DETECTED_SIDE,) * 2, mode="bicubic", align_corners=False
        )
        picture = (large[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        with torch.autocast(face.device.type, enabled=False):
            points = self._find(picture)
        return heat_maps((points + 0.5) / DETECTED_SIDE, size)

    def files(self) -> None:
        """None: the labels are made when they are asked for."""

    def has(self, name: str) -> bool:
        """Every face has them."""
        return True


def _load(
    weights: Path | None, device: torch.device, modules: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The function from RGB uint8 (S,S,3) to 68 points (68,2) in px."""
    where = "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar"
    fix = f"download {where} and name it with --face-alignment-weights, or {WEIGHTS}"
    if weights is not None and not weights.is_file():
        raise DataError(f"{weights}: no such file of face-alignment's weights: {fix}")
    try:
        import face_alignment  # takes seconds, and few need it
        from face_alignment.models import FAN
    except ImportError as error:
        raise DataError(
            f"face-alignment is not here: pip install face-alignment ({error})"
        ) from error

    class FromFile(face_alignment.FaceAlignment):
        def _load_native(self, name: str, size: int, device: str, dtype: torch.dtype) -> object:
            if weights is None:
                return super()._load_native(name, size, device, dtype)
            net = FAN(modules)
            net.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
            return net.to(device, dtype=dtype).eval()

    kind = face_alignment.LandmarksType.TWO_D
    options = {"flip_input": False, "face_detector": "folder", "compile": False}
    try:
        found = FromFile(kind, device=str(device), **options)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise DataError(
            f"face-alignment's weights cannot be downloaded ({error}): {fix}"
        ) from error
    except UNREADABLE as error:
        raise DataError(f"face-alignment's weights cannot be read ({error}): {fix}") from error
    box = [share * DETECTED_SIDE for share in FACE_BOX]

    def points(picture: np.ndarray) -> np.ndarray:
        return np.asarray(found.get_landmarks_from_image(picture, [box])[0], np.float32)

    return points
