"""The haircuts of synthetic faces, as outlines in frontal units (512 = the width of an image)."""

from __future__ import annotations

from dataclasses import dataclass

Half = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Style:
    """A haircut as right halves of outlines (dx, y) in frontal units, top to bottom."""

    outer: Half
    opening: Half
    """Where the face shows through."""
    back: Half | None = None
    """What hangs behind the neck."""
    flow: str = "fall"
    """fall: from a parting over the sphere and down; rise: away from the face; curl."""
    fray: float = 0.16
    part: float = 0.0


_SHORT_OPENING: Half = (
    (0, 118),
    (52, 113),
    (96, 124),
    (114, 150),
    (118, 190),
    (124, 240),
    (160, 272),
    (230, 420),
    (230, 620),
)
_LONG_OPENING: Half = (
    (0, 92),
    (34, 108),
    (80, 146),
    (110, 194),
    (119, 256),
    (121, 320),
    (116, 386),
    (108, 450),
    (118, 620),
)
STYLES: dict[str, Style] = {
    "buzz": Style(
        ((0, 34), (74, 48), (119, 94), (138, 160), (137, 226), (130, 258)),
        _SHORT_OPENING,
        flow="rise",
        fray=0.30,
    ),
    "short": Style(
        ((0, 8), (80, 16), (132, 66), (149, 140), (145, 206), (136, 240), (129, 262)),
        _SHORT_OPENING,
        flow="rise",
        fray=0.20,
    ),
    "swept": Style(
        ((0, 2), (84, 8), (140, 60), (154, 140), (147, 206), (136, 240), (129, 262)),
        (
            (0, 110),
            (60, 116),
            (102, 136),
            (116, 168),
            (119, 210),
            (124, 244),
            (160, 272),
            (230, 620),
        ),
        flow="sweep",
        fray=0.14,
        part=42.0,
    ),
    "fringe": Style(
        ((0, 6), (86, 14), (146, 66), (172, 150), (180, 250), (176, 340), (150, 402), (110, 410)),
        (
            (0, 188),
            (62, 186),
            (101, 200),
            (117, 240),
            (121, 310),
            (122, 370),
            (112, 440),
            (110, 620),
        ),
        back=((0, 60), (130, 90), (168, 200), (166, 380), (100, 400)),
        fray=0.15,
    ),
    "long": Style(
        ((0, 10), (82, 18), (142, 72), (168, 160), (182, 262), (194, 372), (202, 470), (200, 640)),
        _LONG_OPENING,
        back=((0, 60), (140, 100), (175, 240), (190, 420), (196, 640)),
        fray=0.12,
    ),
    "wavy": Style(
        ((0, 2), (92, 12), (156, 70), (188, 162), (206, 270), (220, 380), (226, 480), (214, 640)),
        _LONG_OPENING,
        back=((0, 60), (150, 100), (190, 240), (205, 420), (205, 640)),
        flow="wave",
        fray=0.16,
    ),
    "curly": Style(
        ((0, -30), (100, -14), (178, 50), (206, 140), (196, 232), (160, 300)),
        (
            (0, 116),
            (56, 112),
            (100, 130),
            (120, 170),
            (126, 220),
            (136, 270),
            (180, 320),
            (230, 620),
        ),
        back=((0, 20), (170, 60), (196, 180), (150, 320)),
        flow="curl",
        fray=0.22,
    ),
    "tied": Style(
        ((0, 24), (76, 33), (124, 80), (143, 152), (142, 212), (132, 254)),
        (
            (0, 104),
            (56, 108),
            (98, 132),
            (116, 172),
            (121, 214),
            (127, 248),
            (165, 278),
            (230, 620),
        ),
        flow="rise",
        fray=0.10,
    ),
}
