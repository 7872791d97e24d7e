"""What is a choice in the recipe worth? Trains one network several times, and measures faces of people never seen.

    python data/recipes.py sharp_loss --faces DIR --people CSV    # writes data/sharp_loss.csv, for chapter 05
    python data/recipes.py optimizer --faces DIR --people CSV     # writes data/optimizer.csv, for chapter 06

Every run is one epoch. A run that was interrupted goes on where it was.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elsface_lite.degradation import downscale, quantize, upscale
from elsface_lite.files import whole_file
from elsface_lite.frequency import band_energy
from elsface_lite.metrics import lpips, psnr, ssim
from elsface_lite.model import ELSFace
from elsface_lite.runs import Run, RunConfig
from elsface_lite.weights import load_pretrained

FINE = [1 / 8, 1]  # what the LR grid of x4 cannot hold, in cycles per HR pixel
SCORES = ("psnr", "ssim", "lpips", "high_frequency_energy", "psnr_bicubic")
EXPERIMENTS: dict[str, list[dict[str, Any]]] = {
    "sharp_loss": [{"sharp_weight": weight} for weight in (0.0, 0.05, 0.2)],
    "optimizer": [{"optimizer": "muon", "learning_rate": 1e-3}, {"optimizer": "adam", "learning_rate": 2e-3}],
}


@torch.inference_mode()
def measure(model: ELSFace, faces: np.ndarray) -> dict[str, float]:
    """Means over faces (n, 3, H, W), uint8; the energy of SR above 1/8 cycle per pixel is a share of HR's."""
    values = []
    for part in np.array_split(faces, -(-len(faces) // 16)):
        hr = torch.tensor(part).float() / 255
        lr = downscale(hr, model.config.scale)
        sr = quantize(model(lr))
        fine_sr, fine_hr = (band_energy(images, FINE)[:, 0] for images in (sr, hr))
        bicubic = psnr(upscale(lr, model.config.scale), hr)
        values.append(torch.stack([psnr(sr, hr), ssim(sr, hr), lpips(sr, hr), fine_sr, fine_hr, bicubic]))
    *scores, fine_sr, fine_hr, bicubic = torch.cat(values, 1).mean(1).tolist()
    return dict(zip(SCORES, [*scores, fine_sr / fine_hr, bicubic], strict=True))


def train(changes: dict[str, Any], seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains (or goes on with) one run, and returns its line of the table."""
    name = "-".join(f"{field}-{value}" for field, value in changes.items())
    folder = arguments.runs / f"{name}-seed-{seed}"
    fixed = dict(epochs=1, batch_size=8, validate_every=10_000, log_every=100, precision=arguments.precision, seed=seed)
    # The split into people comes from the seed as well: another seed is tested on other people.
    data = {"faces": arguments.faces, "people": arguments.people}
    if (folder / "config.toml").exists():
        run = Run(folder)
    else:
        run = Run.create(folder, RunConfig.from_dict({"train": fixed | changes, "data": data}))
    trainer = run.train()
    scores = measure(load_pretrained(folder / "best.safetensors"), run.faces()[1])
    return changes | {"seed": seed, "faces_seen": trainer.total_steps * trainer.config.batch_size} | scores


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Writes the table, whole or not at all."""
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--faces", required=True, help="folder of HR faces")
    parser.add_argument("--people", required=True, help="table with the columns file,identity")
    parser.add_argument("--runs", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for changes in EXPERIMENTS[arguments.experiment]:
            rows.append(train(changes, seed, arguments))
            print(rows[-1], flush=True)
            write(rows, Path(__file__).parent / f"{arguments.experiment}.csv")


if __name__ == "__main__":
    main()
