"""Faces that nobody has in sharp: what networks make of them, by NIQE and to be looked at.

    python benchmarks/real_faces.py --faces DIR --networks bicubic lite-x4 real-esrgan --csv FILE --sheet FILE

A face is a picture of its own, as crops of photographs are, enlarged from whatever the photograph had. Every network,
also those of others, is used as `restore` uses ours: it gets the picture halved as often as that loses no detail, and
goes over its result again while that is smaller than the picture. With --once it does not, and what comes out is
enlarged by bicubic interpolation. A face that is left alone is measured as it is: so all are, by "bicubic". A network
is named as in perception.py; a row of the sheet is a face, a column a network.
"""

import argparse
import csv
from pathlib import Path

import torch
from judging import go_over_once, restored
from perception import network_of
from torchvision.utils import make_grid

from elsface_lite.data.degradation import resize
from elsface_lite.data.images import write_png
from elsface_lite.data.inputs import as_image
from elsface_lite.data.sources import faces_in
from elsface_lite.files import whole_file
from elsface_lite.metrics.evaluator import Evaluator

SHOWN = 256  # pixels of a face on the sheet


@torch.inference_mode()
def main() -> None:
    """Restores, measures, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--networks", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--once", action="store_true", help="through the network a single time")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th face")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, required=True)
    options = parser.parse_args()
    faces = [as_image(path) for path in faces_in(options.faces)[:: options.every]]
    if options.once:
        go_over_once()
    columns, rows = [], []
    for name in options.networks:
        network, evaluator, column = network_of(name), Evaluator(["niqe"]), []
        for face in faces:
            sr = restored(network, face)
            sr = face if sr is None else resize(sr, *face.shape[-2:])
            evaluator.update(sr[None], face[None])
            column.append(resize(sr, SHOWN, SHOWN))
        columns.append(column)
        (row,) = evaluator.table()
        rows.append([Path(name).stem, *(f"{value:.4f}" for value in (row.mean, row.low, row.high)), row.n])
        print(*rows[-1], flush=True)
    with whole_file(options.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["network", "niqe", "low", "high", "n"], *rows])
    cells = [image for face in zip(*columns, strict=True) for image in face]
    write_png(make_grid(cells, len(columns), 2, pad_value=1.0), options.sheet)


if __name__ == "__main__":
    main()
