"""Is what `restore` puts back better, and is what it leaves alone better left? Faces whose truth is known.

    python benchmarks/judging.py --faces DIR --weights lite-x4-blind --csv benchmarks/judging.csv
    python benchmarks/judging.py --faces DIR --sharpness 1 --once --csv FILE

The faces are sharp at 256 pixels. Each is spoilt in six ways, restored as in a photograph, and compared with the truth
beside bicubic interpolation, by LPIPS and PSNR. With --once no face goes through the network again.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from elsface_lite.data.blind import Blind
from elsface_lite.data.degradation import generator, resize
from elsface_lite.data.inputs import as_image
from elsface_lite.data.sources import faces_in
from elsface_lite.files import whole_file
from elsface_lite.inference import super_resolve
from elsface_lite.inference.box import Box
from elsface_lite.inference.optimize import optimize
from elsface_lite.inference.restore import restore
from elsface_lite.metrics.image import lpips, psnr
from elsface_lite.network.weights import load_pretrained

SIDE = 256  # of the truth


def spoilt(hr: Tensor, number: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The ways: a name, what the photograph has (3, s, s), and the truth, (3, 128, 128) or (3, 256, 256)."""
    blind, half = Blind(4, clean=0), resize(hr, 128, 128)
    small, large = blind(half, generator(number, 0)), blind(hr, generator(number, 1))
    yield "spoilt, 32 pixels", small, half
    yield "spoilt, 64 pixels", large, hr
    yield "spoilt, 32 pixels, enlarged to 256", resize(small, SIDE, SIDE), hr
    yield "spoilt, 64 pixels, enlarged to 256", resize(large, SIDE, SIDE), hr
    yield "blurred, 256 pixels", resize(resize(hr, 100, 100), SIDE, SIDE), hr
    yield "sharp, 128 pixels", half, hr


def go_over_once() -> None:
    """Has `restore` put no face through its network again."""
    super_resolve.unfinished = lambda side, before: False


def restored(network: torch.nn.Module, face: Tensor) -> Tensor | None:
    """What `restore` makes of a picture that is a face and nothing else; None if it leaves it alone."""
    side = face.shape[-1]
    (result,) = restore(face, weights=network, faces={"picture 1": [Box(side / 2, side / 2, side)]}, progress=False)
    return result.faces[0].after


@torch.inference_mode()
def main() -> None:
    """Measures, and writes a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="folder of faces, sharp at 256 pixels")
    parser.add_argument("--weights", default="lite-x4-blind")
    parser.add_argument("--sharpness", type=float, default=0.0)
    parser.add_argument("--once", action="store_true", help="through the network a single time")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th face")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    if options.once:
        go_over_once()
    network = optimize(load_pretrained(options.weights, options.sharpness))
    found: dict[str, list[list[float]]] = {}
    for number, path in enumerate(tqdm(faces_in(options.faces)[:: options.every], disable=None)):
        for way, face, truth in spoilt(resize(as_image(path), SIDE, SIDE), number):
            side, sr = truth.shape[-1], restored(network, face)
            if sr is None:
                found.setdefault(way, [])
                continue
            before, after = (resize(image, side, side)[None] for image in (face, sr))
            values = [measure(image, truth[None]).item() for measure in (lpips, psnr) for image in (before, after)]
            found.setdefault(way, []).append(values)
    count = number + 1
    header = "way faces restored better_by_lpips better_by_psnr lpips_before lpips_after psnr_before psnr_after"
    with whole_file(options.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(header.split())
        for way, rows in found.items():
            better = [sum(row[1] < row[0] for row in rows), sum(row[3] > row[2] for row in rows)]
            means = [f"{sum(column) / len(rows):.4f}" for column in zip(*rows, strict=True)]
            table.writerow([way, count, len(rows), *better, *means])
            print(way, count, len(rows), *better, *means)


if __name__ == "__main__":
    main()
