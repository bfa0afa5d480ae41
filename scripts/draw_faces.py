"""Draw a contact sheet of the embedded synthetic faces, some with their parse map and landmarks.

python scripts/draw_faces.py [--out docs/pictures/synthetic-faces.png] [--seed FIRST_INDEX]
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import colorsys  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from data.synthetic import PARSE_CLASSES, SyntheticFace, render_face  # noqa: E402


def palette() -> np.ndarray:
    """One colour per parse class, uint8 (classes, 3) RGB; the background is dark."""
    count = len(PARSE_CLASSES)
    colours = [colorsys.hsv_to_rgb(0.618 * k % 1.0, 0.6, 0.95) for k in range(count)]
    colours[0] = (0.12, 0.12, 0.14)
    return (np.array(colours) * 255.0).astype(np.uint8)


def overlay(face: SyntheticFace) -> np.ndarray:
    """The parse map in colours over the face, and the landmarks as dots, uint8 (S, S, 3) RGB."""
    picture = cv2.addWeighted(face.image, 0.35, palette()[face.parse], 0.65, 0.0)
    for x, y in face.landmarks:
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(picture, centre, 26, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return picture


def sheet(first: int, rows: int, columns: int, size: int) -> np.ndarray:
    """Faces in rows; the last row repeats the one above with its labels drawn over."""
    faces = [render_face(first + k, size) for k in range((rows - 1) * columns)]
    tiles = [face.image for face in faces] + [overlay(face) for face in faces[-columns:]]
    lines = [np.hstack(tiles[k * columns : (k + 1) * columns]) for k in range(rows)]
    return np.vstack(lines)


def main() -> None:
    """Parse the flags, draw, write the PNG."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of synthetic faces.")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/synthetic-faces.png"))
    parser.add_argument("--seed", type=int, default=0, help="index of the first face")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--size", type=int, default=144, help="side of one face in pixels")
    parser.add_argument("--device", default="auto", help="accepted for uniformity; draws on CPU")
    parser.add_argument("--dry-run", action="store_true", help="say what would be drawn and stop")
    flags = parser.parse_args()
    if flags.rows < 2 or flags.columns < 1:
        parser.error("--rows must be at least 2 (faces, then their labels), --columns at least 1")
    print(f"{(flags.rows - 1) * flags.columns} faces from index {flags.seed}, side {flags.size}")
    if flags.dry_run:
        return
    picture = sheet(flags.seed, flags.rows, flags.columns, flags.size)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(flags.out), picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise SystemExit(f"could not write {flags.out}")
    print(f"{flags.out}: {flags.out.stat().st_size / 1024:.0f} KiB")
    print("next: python search/run_search.py --priors parse heat dict")


if __name__ == "__main__":
    main()
