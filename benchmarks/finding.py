"""How many of the faces in a photograph are found, and how much is taken for a face that is none?

    python benchmarks/finding.py --faces FOLDER

makes photographs of known faces: aligned crops (the geometry of CelebA's), laid on pictures without faces, with soft
edges. It needs nothing but such a folder; `--against TABLE` adds the columns of an earlier run, for "before".
"""

import argparse
import csv
import math
import random
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFilter
from timing import write_rows

from elsface_lite import Box, find_faces
from elsface_lite.data.sources import faces_in

SIDES = (16, 20, 24, 32, 48, 80, 160)
BACKGROUNDS = ("coffee", "rocket", "chelsea")  # a cup, a launch, a cat
Truth = list[Box]


def background(megapixels: float) -> Image.Image:
    """Three pictures without faces side by side, mirrored over and over, so that they keep their detail."""
    parts = [Image.fromarray(getattr(skimage.data, name)()).resize((450, 300)) for name in BACKGROUNDS]
    row = np.concatenate([np.asarray(part) for part in parts], 1)
    block = np.concatenate([np.concatenate([row, row[:, ::-1]], 1), np.concatenate([row[::-1], row[::-1, ::-1]], 1)])
    width = round(math.sqrt(megapixels * 4 / 3) * 1000)
    height = round(megapixels * 1e6 / width)
    repeats = (math.ceil(height / block.shape[0]), math.ceil(width / block.shape[1]), 1)
    return Image.fromarray(np.tile(block, repeats)[:height, :width])


def lay(photo: Image.Image, face: Image.Image, box: Box) -> None:
    """Lays a face where the box says, faded towards its sides."""
    side = round(box.side)
    mask = Image.new("L", (256, 256), 0)
    ImageDraw.Draw(mask).ellipse((10, 2, 246, 254), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(8)).resize((side, side), Image.Resampling.LANCZOS)
    turned = [
        part.rotate(-math.degrees(box.angle), Image.Resampling.BICUBIC, expand=True)
        for part in (face.resize((side, side), Image.Resampling.LANCZOS), mask)
    ]
    corner = (round(box.x - turned[0].width / 2), round(box.y - turned[0].height / 2))
    photo.paste(turned[0], corner, turned[1])


def photograph(
    faces: list[Image.Image], megapixels: float, sides: list[int], angles: list[int]
) -> tuple[Image.Image, Truth]:
    """A photograph with a face of each side and angle, on a grid, each at a random place of its cell."""
    photo, chance, truth = background(megapixels), random.Random(0), []
    wanted = [(side, angle) for side in sides for angle in angles]
    chance.shuffle(wanted)
    columns = math.ceil(math.sqrt(len(wanted) * photo.width / photo.height))
    rows = math.ceil(len(wanted) / columns)
    for number, (side, angle) in enumerate(wanted):
        free = [size / count - 1.5 * side for size, count in ((photo.width, columns), (photo.height, rows))]
        x, y = (
            (number % columns) * photo.width / columns + 0.75 * side + chance.random() * max(0.0, free[0]),
            (number // columns) * photo.height / rows + 0.75 * side + chance.random() * max(0.0, free[1]),
        )
        truth.append(Box(round(x), round(y), side, math.radians((angle + 180) % 360 - 180)))
        lay(photo, faces[number % len(faces)], truth[-1])
    return photo, truth


def is_found(face: Box, found: list[Box]) -> bool:
    """Whether one of the found boxes is this face: its place, its size, and how it is turned, to 30 degrees."""
    return any(
        math.hypot(box.x - face.x, box.y - face.y) < 0.3 * face.side
        and 1 / 1.5 < box.side / face.side < 1.5
        and abs(math.remainder(box.angle - face.angle, 2 * math.pi)) < math.radians(30)
        for box in found
    )


def is_near(box: Box, truth: Truth) -> bool:
    """Whether a found box is at least on a face."""
    return any(math.hypot(box.x - face.x, box.y - face.y) < 0.6 * max(face.side, box.side) for face in truth)


def jpeg(photo: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def noisy(photo: Image.Image, sigma: float) -> Image.Image:
    values = np.asarray(photo) + np.random.default_rng(0).normal(0, 255 * sigma, (photo.height, photo.width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def covered(face: Image.Image, place: tuple[int, int, int, int]) -> Image.Image:
    face = face.resize((128, 128))
    ImageDraw.Draw(face).rectangle(place, fill=(70, 90, 120))
    return face


LIGHTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda photo: photo,
    "a quarter of the light": lambda photo: photo.point(lambda value: value // 4),
    "twice the light": lambda photo: photo.point(lambda value: min(255, 2 * value)),
    "noise of 0.1": lambda photo: noisy(photo, 0.1),
    "blurred by 2 pixels": lambda photo: photo.filter(ImageFilter.GaussianBlur(2)),
    "JPEG of quality 15": lambda photo: jpeg(photo, 15),
}
COVERS = {
    "mask over mouth and nose": (20, 64, 108, 120),
    "bar over the eyes": (24, 38, 104, 58),
    "left half": (0, 0, 63, 127),
}


def measured(what: str, photo: Image.Image, truth: Truth, groups: dict[str, Truth]) -> list[dict[str, Any]]:
    """A row for each group of its faces, and one for what is none."""
    image = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255
    start = time.process_time()
    found = find_faces(image)
    seconds = time.process_time() - start
    megapixels = round(photo.width * photo.height / 1e6, 1)
    facts = {"photograph": what, "megapixels": megapixels}
    rows = [
        facts | {"faces": name, "there": len(faces), "found": sum(is_found(face, found) for face in faces)}
        for name, faces in groups.items()
    ]
    false = sum(not is_near(box, truth) for box in found)
    return [*rows, facts | {"faces": "none: false alarms", "there": 0, "found": false, "seconds": round(seconds, 1)}]


def by_side(truth: Truth) -> dict[str, Truth]:
    return {f"{side} pixels": [face for face in truth if face.side == side] for side in SIDES}


def all_rows(faces: list[Image.Image]) -> list[dict[str, Any]]:
    rows = []
    for megapixels in (3, 12, 48):
        photo, truth = photograph(faces, megapixels, list(SIDES), 10 * [0])
        rows += measured("sizes", photo, truth, by_side(truth))
        if megapixels == 12:
            photo = photo.transpose(Image.Transpose.ROTATE_270)  # clockwise by a quarter
            turned = [Box(photo.width - box.y, box.x, box.side, math.pi / 2) for box in truth]
            rows += measured("sizes, on its side", photo, turned, by_side(turned))
    angles = list(range(0, 360, 30))
    photo, truth = photograph(faces, 1.5, [80], 4 * angles)
    angle = {f"{a} degrees": [t for t in truth if round(math.degrees(t.angle)) % 360 == a] for a in angles}
    rows += measured("angles", photo, truth, angle)
    for name, light in LIGHTS.items():
        photo, truth = photograph(faces, 1, [80], 20 * [0])
        rows += measured("light", light(photo), truth, {name: truth})
    for name, place in COVERS.items():
        photo, truth = photograph([covered(face, place) for face in faces], 1, [80], 20 * [0])
        rows += measured("covered", photo, truth, {name: truth})
    for megapixels in (3, 12):
        rows += measured("no face", background(megapixels), [], {})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures find_faces on photographs made of known faces.")
    parser.add_argument("--faces", type=Path, required=True, help="a folder of aligned faces")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"), help="the table")
    parser.add_argument("--against", type=Path, help="a table of an earlier run, whose numbers stand beside these")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = all_rows([Image.open(path).convert("RGB") for path in faces_in(arguments.faces)])
    if arguments.against:
        with arguments.against.open(encoding="utf-8", newline="") as file:
            before = list(csv.DictReader(file))
        for row, old in zip(rows, before, strict=True):
            row |= {"found before": old["found"], "seconds before": old.get("seconds", "")}
    columns = dict.fromkeys((column for row in rows for column in row), "")
    write_rows(arguments.out, [columns | row for row in rows])


if __name__ == "__main__":
    main()
