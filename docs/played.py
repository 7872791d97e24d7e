"""Makes what the site's two widgets without a kernel show (played.js): `python docs/played.py`, with new weights."""

import json
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import torch
from einops import rearrange
from torch import Tensor

from elsface_lite import downscale, load_pretrained, upscale
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.frequency import band_psnr, low_pass
from elsface_lite.course.plots import band_name
from elsface_lite.course.widgets.attention import attend
from elsface_lite.course.widgets.frequency import EDGES, spectrum_colors
from elsface_lite.course.widgets.pictures import webp
from elsface_lite.files import whole_file

FOLDER = Path(__file__).parent / "_static" / "played"
WEIGHTS, SCALE = "lite-x4", 4
CUTOFFS = [step / 100 for step in range(1, 51)]  # cycles per pixel
COLUMNS = 10  # of low-passed faces in one picture


def attention(face: Tensor) -> tuple[dict[str, object], dict[str, bytes]]:
    """The roots of all weights of the first layer: a row for each token that asks, 64 columns for each head, of 255 the
    largest. Of a root 8 bits keep more where it is small.

    And those by place alone, on the same scale: a row for each place in a window.
    """
    model = load_pretrained(WEIGHTS)
    tokens, (first, *_) = attend(model, downscale(face, SCALE))
    side = tokens.shape[-1] // model.config.window
    weights = rearrange(first.weights, "(y x) head (i j) k -> (y i x j) head k", y=side, i=model.config.window)
    by_place = rearrange(first.by_place[0], "head t k -> t head k")
    most = torch.maximum(weights.amax((0, 2)), by_place.amax((0, 2)))
    roots = [(part / most[:, None]).sqrt().flatten(1) for part in (weights, by_place)]
    levels, places = ((255 * root).round().byte() / 255 for root in roots)
    colors = torch.from_numpy(mpl.colormaps["viridis"](torch.linspace(0, 1, 256).numpy())[:, None, :3]).permute(2, 0, 1)
    files = {"weights": webp(levels.expand(3, -1, -1)), "places": webp(places.expand(3, -1, -1))}
    files |= {"lr": webp(tokens), "viridis": webp(colors)}
    return {"most": most.tolist(), "window": model.config.window}, files


def bands(face: Tensor) -> tuple[dict[str, object], dict[str, bytes]]:
    """The face at each cutoff, its spectrum, and PSNR by band."""
    low = torch.cat([low_pass(face, cutoff) for cutoff in CUTOFFS])
    sheet = rearrange(low, "(y x) c h w -> c (y h) (x w)", x=COLUMNS)
    numbers = {
        "cutoffs": CUTOFFS,
        "names": [band_name(*band) for band in pairwise(EDGES)],
        "low": [
            [round(min(value, 99.0), 1) for value in row] for row in band_psnr(low, face.expand_as(low), EDGES).tolist()
        ],
        "bicubic": [
            round(value, 1) for value in band_psnr(upscale(downscale(face, SCALE), SCALE), face, EDGES)[0].tolist()
        ],
    }
    return numbers, {"hr": webp(face[0]), "spectrum": webp(spectrum_colors(face)), "low": webp(sheet, quality=85)}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    face, numbers = portrait_faces()["astronaut"][None], {}
    for make in (attention, bands):
        numbers[make.__name__], files = make(face)
        for name, content in files.items():
            with whole_file(FOLDER / f"{name}.webp") as beside:
                beside.write_bytes(content)
    with whole_file(FOLDER / "numbers.json") as beside:
        beside.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
