"""How FID and KID depend on the number of images: makes fid_against_n.csv, which chapter 07 plots.

python data/fid_against_n.py --faces FOLDER_OF_FACES

The faces are brought to 128x128. Two comparisons, each between two sets of n images and repeated with other faces:
"real": faces against n other faces of the same folder, which differ by nothing but the draw (the truth is 0);
"bicubic": bicubic x4 of n faces against those faces.
"""

import argparse
import csv
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from elsface_lite.data.degradation import upscale
from elsface_lite.data.pairs import FacePairs
from elsface_lite.data.sources import faces_in
from elsface_lite.files import whole_file
from elsface_lite.metrics.sets import frechet_distance, inception_features, kernel_distance

SIZES = (10, 20, 50, 100, 200, 500, 1000)
REPEATS = 10
COLUMNS = ("comparison", "n", "repeats", "fid", "fid_spread", "kid", "kid_spread")


def features(faces: Path) -> tuple[Tensor, Tensor]:
    """Inception features of the HR faces of a folder, and of their bicubic versions: (n, 2048) each."""
    pairs, hr_features, bicubic_features = FacePairs(faces_in(faces), scale=4), [], []
    for i in tqdm(range(len(pairs))):
        lr, hr = (image[None] for image in pairs[i])
        hr_features.append(inception_features(hr))
        bicubic_features.append(inception_features(upscale(lr, 4)))
    return torch.cat(hr_features), torch.cat(bicubic_features)


def row(comparison: str, hr: Tensor, other: Tensor, n: int) -> tuple[object, ...]:
    """Mean and spread over repeated draws of n and n images; as many draws as there are disjoint ones, at most 10."""
    needed = 2 * n if comparison == "real" else n
    repeats = min(REPEATS, len(hr) // needed)
    order = torch.randperm(len(hr), generator=torch.Generator().manual_seed(n))
    fids, kids = [], []
    for draw in order[: repeats * needed].split(needed):
        first, second = (hr[draw[:n]], hr[draw[n:]]) if comparison == "real" else (other[draw], hr[draw])
        fids.append(frechet_distance(first, second))
        kids.append(kernel_distance(first, second))
    numbers = []
    for values in (torch.stack(fids), torch.stack(kids)):
        numbers += [f"{values.mean():.5g}", f"{values.std():.3g}" if repeats > 1 else ""]
    return (comparison, n, repeats, *numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    hr, bicubic = features(args.faces)
    plan = [("real", n) for n in SIZES if 2 * n <= len(hr)] + [("bicubic", n) for n in SIZES if n <= len(hr)]
    rows = [row(comparison, hr, bicubic, n) for comparison, n in plan]
    with whole_file(args.out) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
