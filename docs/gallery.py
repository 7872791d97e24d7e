"""Draws the gallery of restored faces, good and bad ones, from pictures that may be shown: `python docs/gallery.py`.

Writes gallery/*.webp and gallery.csv; docs/tables.py puts that into gallery.md.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from skimage.data import chelsea
from torch import Tensor

from elsface_lite import ELSFace, crop_face, downscale, find_faces, load_pretrained, restore, upscale
from elsface_lite.course.faces import made_up_people
from elsface_lite.course.plots import draw_images
from elsface_lite.course.widgets import distort
from elsface_lite.data.blind import Blind
from elsface_lite.data.degradation import generator
from elsface_lite.data.pairs import load_face
from elsface_lite.data.sources import orl_faces, portraits
from elsface_lite.files import whole_file
from elsface_lite.inference.box import Box
from elsface_lite.metrics.image import psnr, ssim

FOLDER = Path(__file__).parent
SIZE = 128
GREY = "#808080"  # of the words, without paper behind them: they are read on a light page and on a dark one
ORL_PEOPLE = (2, 9, 17, 26, 33, 39)  # of the 40, the first picture of each; not chosen by how well they come out
SPOILT = {"blur, σ 1": {"blur": 1}, "noise, σ 0.1": {"noise": 0.1}, "JPEG, quality 20": {"quality": 20}}
Row = tuple[str, Tensor, Tensor]  # what it shows, LR (3, h, w), HR (3, n h, n w), n being the scale or more


def people(scale: int) -> list[Row]:
    """The two portraits, as the finder of faces cuts them out."""
    found = [(name, crop_face(image, find_faces(image)[0], SIZE)) for name, image in portraits().items()]
    return [(name.replace("_", " "), downscale(hr[None], scale)[0], hr) for name, hr in found]


def orl(scale: int) -> list[Row]:
    """Grey faces of people who are in no training set of ours."""
    faces = orl_faces()
    chosen = [faces.identities.index(f"s{number}") for number in ORL_PEOPLE]
    found = [(faces.identities[i], load_face(faces.paths[i], SIZE, enlarge=True).float() / 255) for i in chosen]
    return [(f"ORL {name}", downscale(hr[None], scale)[0], hr) for name, hr in found]


def spoilt(scale: int) -> list[Row]:
    """The astronaut's LR face after what cameras and programs do to small pictures."""
    _, lr, hr = people(scale)[0]
    return [(name, distort(lr[None], **what)[0], hr) for name, what in SPOILT.items()]


def phones(scale: int) -> list[Row]:
    """Made-up people, as a phone saves them: taken by their numbers, and so is what was done to them."""
    faces = made_up_people()[::6]
    blind = Blind(scale, clean=0)
    return [(f"made-up {6 * i + 1}", blind(hr, generator(i)), hr) for i, hr in enumerate(faces)]


def enlarged(scale: int) -> list[Row]:
    """The same people half as wide, for `draw` to enlarge to the size of HR, as somebody did."""
    blind = Blind(scale, clean=0)
    return [(what, blind(downscale(hr[None], 2)[0], generator(i)), hr) for i, (what, _, hr) in enumerate(phones(scale))]


def turned(scale: int) -> list[Row]:
    """LR faces that stand as no face of the training set does, and one that is of no person."""
    _, lr, hr = people(scale)[1]
    cat = torch.from_numpy(chelsea()[10:266, 90:346].copy()).permute(2, 0, 1)[None].float() / 255
    cat = downscale(cat, 2)
    rows = [(f"turned by {90 * turns}°", lr.rot90(turns, (1, 2)), hr.rot90(turns, (1, 2))) for turns in (1, 2)]
    return [*rows, ("a cat", downscale(cat, scale)[0], cat[0])]


def draw(name: str, rows: Sequence[Row], model: ELSFace) -> list[dict[str, str]]:
    """Writes one picture, a row for each face, and returns the rows of the table."""
    images, titles, table = [], [], []
    for what, lr, hr in rows:
        side = hr.shape[-1]
        bicubic = upscale(lr[None], side // lr.shape[-1])[0]
        whole = {"picture 1": [Box(side / 2, side / 2, side)]}
        lr_face = side == model.config.scale * lr.shape[-1]  # or else a photograph that is a face and nothing else
        (result,) = restore(lr, weights=model, lr=True) if lr_face else restore(bicubic, weights=model, faces=whole)
        sr = result.image
        images += [lr, bicubic, sr, hr]
        titles += [f"{what}, {lr.shape[-1]}×{lr.shape[-2]}", "bicubic", "restored", "HR"]
        scores = {
            f"{metric.__name__.upper()} {kind}": f"{metric(image[None], hr[None]).item():{form}}"
            for metric, form in ((psnr, ".2f"), (ssim, ".3f"))
            for kind, image in (("bicubic", bicubic), ("restored", sr))
        }
        table.append({"picture": name, "face": what, **scores})
    with whole_file(FOLDER / "gallery" / f"{name}.webp") as beside:
        with plt.rc_context({"text.color": GREY}):
            figure = draw_images(images, titles, columns=4, inches=1.8)
        figure.savefig(beside, dpi=150, facecolor="none", pil_kwargs={"quality": 80})
    return table


PICTURES = {
    phones: ["lite-x4-blind", "lite-x4-blind-gan"],
    enlarged: ["lite-x4-blind", "lite-x4-blind-gan"],
    people: ["lite-x4", "lite-x4-gan", "lite-x8"],
    orl: ["lite-x4"],
    spoilt: ["lite-x4", "lite-x4-blind"],
    turned: ["lite-x4"],
}


def main() -> None:
    table: list[dict[str, str]] = []
    for rows, names in PICTURES.items():
        for name in names:
            model = load_pretrained(name)
            table += draw(f"{rows.__name__}-{name}", rows(model.config.scale), model)
    with whole_file(FOLDER / "gallery.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
