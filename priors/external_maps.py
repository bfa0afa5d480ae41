"""Parses and dictionaries from outside -> the 12 parse maps and the 9 dict maps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from data.errors import DataError
from models.space import PRIOR_CHANNELS
from priors.external_files import all_files, find, read_npy, resized

GROUPS = (
    ("background",),
    ("skin",),
    ("l_brow",),
    ("r_brow",),
    ("l_eye",),
    ("r_eye",),
    ("eye_g",),
    ("l_ear", "r_ear", "ear_r"),
    ("nose",),
    ("mouth", "u_lip", "l_lip"),
    ("hair", "hat"),
    ("neck", "neck_l", "cloth"),
)
"""Classes of CelebAMask-HQ, under its own names, that each of the 12 maps is the share of."""
ORDERS: dict[str, tuple[str, ...]] = {
    "celebamask-hq": (
        *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow"),
        *("l_ear", "r_ear", "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l"),
        *("neck", "cloth"),
    ),
    "face-parsing": (
        *("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear"),
        *("r_ear", "ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth"),
        *("hair", "hat"),
    ),
}
"""Class names by number: CelebAMask-HQ's own `g_mask.py`, and face-parsing.PyTorch's."""
SIDES = (0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10, 11)
"""The map that each of the 12 becomes in the mirrored face."""

CODES = PRIOR_CHANNELS["dict"]
COMPONENTS = ("left_eye", "right_eye", "nose", "mouth")
CENTRES = {
    "left_eye": (194, 238),
    "right_eye": (318, 238),
    "nose": (256, 304),
    "mouth": (256, 374),
}
"""Where the components are in an aligned face, in px at 512."""
SIDES_512 = {"left_eye": 80, "right_eye": 80, "nose": 50, "mouth": 110}
"""DFDNet's sides of the components, in px at 512."""
DFDNET_CHANNELS = {256: 128, 128: 256, 64: 512, 32: 512}
"""Channels of DFDNet's features by scale; there a component's side is its own x scale / 512."""
CODE_SIDES = (2, 3, 0, 1, 4, 5, 6, 7, 8)


class ParseFolder:
    """A folder of index PNGs of 19 classes, or of raw (12,h,w) or (19,h,w) .npy of shares."""

    suffixes = (".png", ".npy")

    def __init__(self, folder: Path, order: str | None) -> None:
        """order: one of `ORDERS`; only raw (12,h,w) files go without."""
        if order is not None and order not in ORDERS:
            raise DataError(f"--label-order {order}: one of {', '.join(ORDERS)}")
        if order is None and any(folder.rglob("*.png")):
            raise DataError(f"{folder}: index PNGs mean nothing without {_choices()}")
        self.folder, self.order = folder, order
        self.told = f"parse of a folder, label order {order or 'of the 12 maps'}"

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """Shares (12,size,size) of the classes of each map; the pixels are not looked at."""
        path = find(self.folder, name, self.suffixes)
        maps = self._indices(path) if path.suffix == ".png" else self._raw(path)
        maps = resized(maps, size)
        return maps[list(SIDES)].flip(-1) if mirrored else maps

    def _indices(self, path: Path) -> Tensor:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DataError(f"{path}: cannot be decoded")
        if image.ndim != 2 or image.dtype != np.uint8:
            raise DataError(
                f"{path}: not one 8-bit grey channel; a parse is class numbers 0 to 18, not "
                "colours or a palette"
            )
        table = self._table()
        if int(image.max()) >= len(table):
            raise DataError(f"{path}: class {int(image.max())}; the classes are 0 to 18")
        groups = torch.from_numpy(table[image])
        return torch.stack([(groups == number).float() for number in range(len(GROUPS))])

    def _raw(self, path: Path) -> Tensor:
        maps = torch.from_numpy(read_npy(path))
        if maps.ndim != 3 or len(maps) not in (len(GROUPS), len(ORDERS["face-parsing"])):
            raise DataError(f"{path}: shape {tuple(maps.shape)}; (12,h,w) or (19,h,w) is read")
        if maps.min() < -1e-3 or maps.max() > 1 + 1e-3:
            raise DataError(f"{path}: values outside 0..1; give each class's share, not scores")
        if len(maps) == len(GROUPS):
            return maps
        table = torch.from_numpy(self._table().astype(np.int64))
        return torch.zeros(len(GROUPS), *maps.shape[1:]).index_add(0, table, maps)

    def _table(self) -> np.ndarray:
        """The map (19,) that each class number goes to."""
        if self.order is None:
            raise DataError(f"{self.folder}: the 19 classes mean nothing without {_choices()}")
        places = {name: i for i, group in enumerate(GROUPS) for name in group}
        return np.array([places[name] for name in ORDERS[self.order]], np.uint8)

    def files(self) -> tuple[Path, list[Path]]:
        """The folder and every file of labels."""
        return self.folder, all_files(self.folder, self.suffixes)

    def has(self, name: str) -> bool:
        """Whether the face of this name has a file."""
        return any((self.folder / f"{name}{suffix}").is_file() for suffix in self.suffixes)


def _choices() -> str:
    return (
        f"--label-order {' or '.join(ORDERS)}: CelebAMask-HQ and face-parsing.PyTorch number the "
        "same classes differently"
    )


class CodeFolder:
    """A folder of raw (9,h,w) .npy: 8 numbers of a code and its confidence, per face."""

    told = "codes of a folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """The face's own maps (9,size,size); mirrored their columns are, what they mean stays."""
        path = find(self.folder, name, (".npy",))
        maps = torch.from_numpy(read_npy(path))
        if maps.ndim != 3 or len(maps) != CODES:
            raise DataError(f"{path}: shape {tuple(maps.shape)}; ({CODES},h,w) is read")
        maps = resized(maps, size)
        return maps.flip(-1) if mirrored else maps

    def files(self) -> tuple[Path, list[Path]]:
        """The folder and every file of labels."""
        return self.folder, all_files(self.folder, (".npy",))

    def has(self, name: str) -> bool:
        """Whether the face of this name has a file."""
        return (self.folder / f"{name}.npy").is_file()


def is_dictionary(folder: Path) -> bool:
    """Whether a folder holds DFDNet's component files, such as left_eye_256_center.npy."""
    return any(folder.glob("left_eye*_center.npy"))


class ComponentDictionary:
    """DFDNet's dictionary of components (Li et al., ECCV 2020) as maps of an aligned face.

    Of each component's atoms (K,C,h,w) two maps are made, the mean over atoms and channels of the
    features' size and its deviation over the atoms, each at most 1; they lie in the component's
    box, 0 outside. Maps 0 to 7 are left eye, right eye, nose, mouth, two each; the ninth
    is 1 in the boxes. Choosing an atom for a face needs DFDNet's own VGG features, which are not
    built here: so these maps are the same for every face.
    """

    told = "DFDNet's component dictionary"

    def __init__(self, folder: Path) -> None:
        """Raises `DataError` where a component is missing, pickled or of another shape."""
        self.folder = folder
        self._paths: dict[str, Path] = {}
        summaries = {}
        for part in COMPONENTS:
            found = sorted(folder.glob(f"{part}*_center.npy"), key=_scale_of)
            if not found:
                raise DataError(f"{folder}: no {part}_256_center.npy beside the other components")
            self._paths[part] = found[-1]
            summaries[part] = _summary(_atoms(found[-1], part))
        self._summaries = summaries

    def label(self, name: str, face: Tensor, mirrored: bool, size: int) -> Tensor:
        """The maps (9,size,size)."""
        maps = torch.zeros(CODES, size, size)
        for number, part in enumerate(COMPONENTS):
            x, y, side = (v * size / 512 for v in (*CENTRES[part], SIDES_512[part]))
            length = max(1, round(side))
            left, top = max(0, round(x - side / 2)), max(0, round(y - side / 2))
            length = min(length, size - left, size - top)
            place = (slice(top, top + length), slice(left, left + length))
            maps[2 * number : 2 * number + 2][(slice(None), *place)] = resized(
                self._summaries[part], length
            )
            maps[(CODES - 1, *place)] = 1
        return maps[list(CODE_SIDES)].flip(-1) if mirrored else maps

    def files(self) -> tuple[Path, list[Path]]:
        """The folder and the components' files."""
        return self.folder, list(self._paths.values())

    def has(self, name: str) -> bool:
        """The dictionary is of no face."""
        return True


def _scale_of(path: Path) -> int:
    """256 of left_eye_256_center.npy; 0 where the name tells none."""
    word = path.name.removesuffix("_center.npy").rpartition("_")[2]
    return int(word) if word.isdigit() else 0


def _atoms(path: Path, part: str) -> Tensor:
    """Atoms (K,C,h,w) of a file (K,C,h,w), or (K,C*h*w) as DFDNet stores them."""
    atoms = torch.from_numpy(read_npy(path))
    scale = _scale_of(path)
    if atoms.ndim == 2 and scale in DFDNET_CHANNELS:
        side, channels = SIDES_512[part] * scale // 512, DFDNET_CHANNELS[scale]
        if atoms.shape[1] == channels * side * side:
            atoms = atoms.unflatten(1, (channels, side, side))
    if atoms.ndim != 4 or 0 in atoms.shape:
        raise DataError(
            f"{path}: shape {tuple(atoms.shape)}; a component is (atoms, channels, h, w), or flat "
            "as DFDNet stores it"
        )
    return atoms


def _summary(atoms: Tensor) -> Tensor:
    """Mean and deviation over atoms (2,h,w) of the mean size of features (K,C,h,w), at most 1."""
    sizes = atoms.abs().mean(1)
    both = torch.stack([sizes.mean(0), sizes.std(0, correction=0)])
    return both / both.amax((1, 2), keepdim=True).clamp_min(1e-6)
