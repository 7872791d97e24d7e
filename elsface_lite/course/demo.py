"""The demonstration: four faces spoilt as a phone spoils them, restored, measured and drawn."""

import os
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from ..data.blind import Blind
from ..data.degradation import generator, upscale
from ..data.images import write_png
from ..data.sources import portraits
from ..errors import ElsfaceError
from ..files import whole_file
from ..inference.faces import crop_face, find_faces
from ..inference.restore import restore
from ..metrics.image import psnr, ssim
from ..network.elsface import ELSFace
from ..network.weights import load_pretrained
from .faces import made_up_people

MADE_UP = (0, 12)  # of the made-up people


class Row(NamedTuple):
    """One face, (3, h, w) each, RGB in [0, 1]; `lr` is smaller by the scale."""

    name: str
    lr: Tensor
    bicubic: Tensor
    elsface: Tensor
    hr: Tensor


def demo(out: str | os.PathLike[str], weights: str | os.PathLike[str] = "lite-x4-blind", sharpness: float = 0.0) -> str:
    """Spoils two people of the two portraits and two made-up ones, restores them, and writes every step as PNG.

    Args:
        out: folder for demo.png, all side by side, and the single pictures.
        weights, sharpness: as in `load_pretrained`.

    Returns:
        A table of PSNR and SSIM (RGB) for bicubic and ELSFace.

    Raises:
        ElsfaceError: the weights cannot be loaded, or the folder cannot be written to.
    """
    model = load_pretrained(weights, sharpness)
    # Sizes of 32 and 64 pixels, somewhat blurred and noisy, and a JPEG: drawn by the number of the face.
    phone = Blind(model.config.scale, blur=(0.4, 1.0), shrink=(4, 4), noise=4, quality=(80, 90), clean=0)
    rows = [_row(name, hr, phone(hr, generator(number)), model) for number, (name, hr) in enumerate(_faces().items())]
    for row in rows:
        for step in ("lr", "bicubic", "elsface", "hr"):
            write_png(getattr(row, step), Path(out) / f"{row.name}-{step}.png")
    picture = Path(out) / "demo.png"
    _draw(rows, picture)
    return f"{_table(rows)}\nLR, bicubic, ELSFace and HR side by side: {picture}"


def _faces() -> dict[str, Tensor]:
    """HR faces by name: of the portraits (3, 128, 128), made up (3, 256, 256)."""
    faces = {}
    for name, photograph in portraits().items():
        boxes = find_faces(photograph)
        if not boxes:
            raise ElsfaceError(
                f"no face found in the portrait {name}: run `elsface-lite info` and report what it prints."
            )
        faces[name] = crop_face(photograph, boxes[0])
    people = made_up_people()
    return faces | {f"made_up_{number}": people[number] for number in MADE_UP}


def _row(name: str, hr: Tensor, lr: Tensor, model: ELSFace) -> Row:
    restored = restore(lr, weights=model, lr=True)[0].image
    return Row(name, lr, upscale(lr[None], model.config.scale)[0], restored, hr)


def _scores(sr: Tensor, hr: Tensor) -> tuple[float, float]:
    return psnr(sr[None], hr[None]).item(), ssim(sr[None], hr[None]).item()


def _table(rows: list[Row]) -> str:
    lines = [f"{'':14}{'bicubic':>18}{'ELSFace':>18}", f"{'':14}{'PSNR dB    SSIM':>18}{'PSNR dB    SSIM':>18}"]
    for row in rows:
        scores = [*_scores(row.bicubic, row.hr), *_scores(row.elsface, row.hr)]
        lines.append("{:14}{:10.2f}{:8.4f}{:10.2f}{:8.4f}".format(row.name, *scores))
    return "\n".join(lines)


def _draw(rows: list[Row], path: Path) -> None:
    figure = Figure(figsize=(8.4, 2.3 * len(rows)), facecolor="white", layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        titles = [f"LR, {row.lr.shape[-1]}x{row.lr.shape[-2]}", "bicubic", "ELSFace", "HR"]
        for ax, title, image in zip(line, titles, [row.lr, row.bicubic, row.elsface, row.hr], strict=True):
            ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(
                title if title in ("HR",) or image is row.lr else f"{title}, {_scores(image, row.hr)[0]:.2f} dB"
            )
        line[0].set_ylabel(row.name.replace("_", " "))
    with whole_file(path) as beside:
        figure.savefig(beside, dpi=150)
