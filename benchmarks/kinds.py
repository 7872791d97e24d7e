"""Who gains least? What networks make of faces, by kind of face, and of whom they make somebody else.

    python benchmarks/kinds.py --faces DIR --networks bicubic lite-x4 lite-x4-gan --csv FILE --sheet FILE

Kinds are the prefixes of the files ("lab" of lab_london-016_1.jpg), and four groups of skin by the individual typology
angle of HR's cheeks, arctan((L* - 50) / b*) in degrees (Chardon, Cretois and Hourseau 1991; the groups of Del Bino and
Bernerd 2013, two and two of them together). It is a property of the photograph: dim light counts as dark skin.
Networks are named as in perception.py. The sheet has the faces whom the last network changes least, in the middle and
most by the distance of identities: LR enlarged, each network, HR.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import torch
from perception import SCALE, measure, network_of
from skimage.color import rgb2lab
from torch import Tensor
from torchvision.utils import make_grid

from elsface_lite.data.degradation import quantize
from elsface_lite.data.images import write_png
from elsface_lite.data.pairs import FacePairs
from elsface_lite.data.sources import faces_in
from elsface_lite.files import whole_file
from elsface_lite.metrics.evaluator import bootstrap_interval

METRICS = ["psnr", "lpips", "identity"]
ORDER = "identity"  # of the sheet
CHEEKS = (slice(60, 72), [*range(38, 50), *range(78, 90)])  # of aligned faces: below the eyes, beside the nose
SKINS = {"light": 41.0, "intermediate": 28.0, "tan": 10.0, "dark": -90.0}  # the least angle of each, in degrees
EACH = 3  # faces of the sheet: so many of the least changed, as many in the middle, and of the most


def skin(hr: Tensor) -> str:
    """The group of an aligned face (3, 128, 128) by the median angle of its cheeks."""
    rows, columns = CHEEKS
    lightness, _, yellow = rgb2lab(hr[:, rows][:, :, columns].permute(1, 2, 0).numpy()).reshape(-1, 3).T
    angle = torch.atan2(torch.tensor(lightness) - 50, torch.tensor(yellow).clamp_min(1e-6)).rad2deg().median()
    return next(name for name, least in SKINS.items() if angle >= least)


def kinds(paths: list[Path], pairs: FacePairs) -> dict[str, Tensor]:
    """Each kind's faces, as indices; "all" is the first."""
    labels = [(path.stem.split("_")[0], f"skin: {skin(pairs[index][1])}") for index, path in enumerate(paths)]
    names = [*sorted({source for source, _ in labels}), *(f"skin: {name}" for name in SKINS)]
    chosen = {name: torch.tensor([i for i, label in enumerate(labels) if name in label]) for name in names}
    return {"all": torch.arange(len(paths)), **{name: faces for name, faces in chosen.items() if len(faces) > 1}}


def rows_of(network: str, values: dict[str, Tensor], groups: dict[str, Tensor]) -> Iterator[list[str]]:
    """A row for each kind and metric: mean and interval."""
    for kind, faces in groups.items():
        for metric in values:
            column = values[metric][faces]
            numbers = [f"{value:.4f}" for value in (column.mean().item(), *bootstrap_interval(column))]
            yield [network, kind, metric, *numbers, str(len(faces))]


@torch.inference_mode()
def main() -> None:
    """Measures, writes the table, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="folder of aligned HR faces")
    parser.add_argument("--networks", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, required=True)
    options = parser.parse_args()
    paths = faces_in(options.faces)
    pairs = FacePairs(paths, SCALE)
    groups, networks = kinds(paths, pairs), {name: network_of(name) for name in options.networks}
    rows: list[list[str]] = []
    for name, network in networks.items():
        values = measure(network, pairs, METRICS, name).values()
        if name == options.networks[0]:
            first = values["psnr"]
        values["psnr gain"] = values["psnr"] - first  # of each face over the first network
        rows += rows_of(Path(name).stem, values, groups)
    with whole_file(options.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["network", "kind", "metric", "mean", "low", "high", "n"], *rows])
    order, middle = values[ORDER].argsort().tolist(), len(paths) // 2
    cells = []
    for index in dict.fromkeys([*order[:EACH], *order[middle - EACH // 2 :][:EACH], *order[-EACH:]]):
        lr, hr = pairs[index]
        cells += [*(quantize(network(lr[None]))[0] for network in networks.values()), hr]
        print(paths[index].name, f"{values[ORDER][index]:.3f}")
    write_png(make_grid(cells, len(networks) + 1, 2, pad_value=1.0), options.sheet)


if __name__ == "__main__":
    main()
