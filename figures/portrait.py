"""Draws the README's picture and the pair on the site's home: `python figures/portrait.py [--weights NAME_OR_FILE]`.

A portrait is spoilt as a phone spoils it, and restored. What it is, and on what terms: portrait/README.md.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from elsface_lite import Blind, generator, load_pretrained, read_image, super_resolve, upscale
from elsface_lite.data.color import to_pil
from elsface_lite.files import whole_file

FOLDER = Path(__file__).parent / "portrait"
WEIGHTS = "lite-x4-blind"
SPOILT = Blind(scale=4, blur=(0.6, 1.0), shrink=(4, 4), noise=6, quality=(75, 80), clean=0)
EYES = (80, 73, 176, 111)  # left, top, right, bottom in the portrait
WIDTH, GAP, LINE = 816, 12, 30  # of the picture, between its parts, of a line of words


def versions(weights: str) -> dict[str, Image.Image]:
    """The portrait as its small picture shows it, restored from that, and as it was, 256×256 each."""
    original = read_image(FOLDER / "original.webp")
    lr = SPOILT(original, generator(0))
    (restored,) = super_resolve([lr], load_pretrained(weights))
    return {"before": to_pil(upscale(lr, 4)), "after": to_pil(restored), "original": to_pil(original)}


def row(pictures: dict[str, Image.Image], box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """Pictures, or a part of each, side by side over the whole width, each with its name below."""
    parts = {name: picture.crop(box) if box else picture for name, picture in pictures.items()}
    width = (WIDTH - GAP * (len(parts) - 1)) // len(parts)
    height = width * next(iter(parts.values())).height // next(iter(parts.values())).width
    page = Image.new("RGB", (WIDTH, height + LINE), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=16)
    for column, (name, part) in enumerate(parts.items()):
        left = column * (width + GAP)
        page.paste(part.resize((width, height), Image.Resampling.LANCZOS), (left, 0))
        draw.text((left + width / 2, height + LINE / 2), name, "#333333", font, anchor="mm")
    return page


def picture(before: Image.Image, after: Image.Image, original: Image.Image) -> Image.Image:
    """Both faces large, and all three pairs of eyes below."""
    faces = row({"a face 64 pixels wide, as a phone saves it": before, "restored": after})
    eyes = row({"saved": before, "restored": after, "as it was": original}, EYES)
    page = Image.new("RGB", (WIDTH, faces.height + eyes.height), "white")
    page.paste(faces, (0, 0))
    page.paste(eyes, (0, faces.height))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=WEIGHTS, help=f"of the network: a name or a file ({WEIGHTS})")
    shown = versions(parser.parse_args().weights)
    for name, image in {"before": shown["before"], "after": shown["after"], "README": picture(**shown)}.items():
        with whole_file(FOLDER / f"{name}.webp") as beside:
            image.save(beside, "WEBP", quality=90, method=6)


if __name__ == "__main__":
    main()
