"""Cuts parts of 128x128 out of faces of 256x256: python data/parts.py FACES PARTS

A network is trained on HR of 128 pixels. A part of a face of 256 is such HR, and its LR shows a face that has 64 pixels
in its photograph, piece by piece: lite-x4-blind was trained on them, too.
"""

import sys
from pathlib import Path

from PIL import Image

SIDE = 128
PLACES = [(64, 32), (20, 40), (108, 40), (64, 100)]  # left and top: the middle, both sides, the mouth


def corners(number: int) -> list[tuple[int, int]]:
    """Where the parts of a face begin: four places, and one more that is another for each face."""
    return [*PLACES, (10 + number * 37 % 108, number * 53 % 128)]


def main(faces: Path, parts: Path) -> None:
    """Writes the parts as WebP without loss."""
    parts.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(faces.iterdir())):
        with Image.open(path) as picture:
            face = picture.convert("RGB")
        for count, (left, top) in enumerate(corners(number)):
            part = face.crop((left, top, left + SIDE, top + SIDE))
            part.save(parts / f"{path.stem}_{count}.webp", lossless=True, method=0)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
