"""Fits the model of NIQE that the package ships: makes elsface_lite/metrics/niqe_faces.npz.

python data/fit_niqe.py --faces FOLDER_OF_FACES --table CSV

The shipped one: the 1,334 pictures of the training split that are under the MIT licence, all of SFHQ and SFHQ-T2I
(David Beniaguev, faces that a program made, of all ages and skins), from 256x256 brought to 128x128, in patches of 32.
Without --table all pictures of the folder count: let them be sharp, and such as may be used.
"""

import argparse
import csv
from pathlib import Path

from tqdm import tqdm

from elsface_lite.data.pairs import HR_SIZE, load_face
from elsface_lite.data.sources import faces_in
from elsface_lite.metrics.niqe import FACES_MODEL, fit_model, write_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--table", type=Path, help="columns file, split and licence: only what is train and MIT")
    parser.add_argument("--size", type=int, default=HR_SIZE, help="side of a face in pixels")
    parser.add_argument("--block", type=int, default=32, help="side of a patch in pixels, even")
    parser.add_argument("--out", type=Path, default=FACES_MODEL)
    args = parser.parse_args()
    files = faces_in(args.faces)
    if args.table:
        with args.table.open(encoding="utf-8", newline="") as table:
            rows = [
                row for row in csv.DictReader(table) if row["licence"].startswith("MIT") and row["split"] == "train"
            ]
        files = sorted(args.faces / row["file"] for row in rows)
    images = (load_face(file, args.size)[None].float() / 255 for file in tqdm(files))
    write_model(fit_model(images, args.block), args.out)
    print(f"{args.out}: {len(files)} faces of {args.size}x{args.size} pixels, patches of {args.block}x{args.block}")


if __name__ == "__main__":
    main()
