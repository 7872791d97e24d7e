"""Does the Sharp Loss help? Trains one network with several weights of it, and measures faces of people never seen.

    python data/sharp_loss.py --faces DIR --people CSV --runs runs/sharp_loss --csv data/sharp_loss.csv

A run that was interrupted goes on where it was. Chapter 05 draws what comes out.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from elsface_lite.degradation import downscale, quantize
from elsface_lite.files import whole_file
from elsface_lite.frequency import band_energy
from elsface_lite.metrics import lpips, psnr, ssim
from elsface_lite.model import ELSFace
from elsface_lite.runs import Run, RunConfig
from elsface_lite.weights import load_pretrained

FINE = [1 / 8, 1]  # what the LR grid of x4 cannot hold, in cycles per HR pixel
COLUMNS = ("sharp_weight", "seed", "faces_seen", "psnr", "ssim", "lpips", "high_frequency_energy")


@torch.inference_mode()
def measure(model: ELSFace, faces: np.ndarray) -> dict[str, float]:
    """Means over faces (n, 3, H, W), uint8; the energy of SR above 1/8 cycle per pixel is a share of HR's."""
    values = []
    for part in np.array_split(faces, -(-len(faces) // 16)):
        hr = torch.tensor(part).float() / 255
        sr = quantize(model(downscale(hr, model.config.scale)))
        energies = [band_energy(images, FINE).flatten(1).mean(1) for images in (sr, hr)]
        values.append(torch.stack([psnr(sr, hr), ssim(sr, hr), lpips(sr, hr), *energies]))
    scores, (fine_sr, fine_hr) = torch.cat(values, 1).mean(1).split((3, 2))
    return dict(zip(COLUMNS[3:], [*scores.tolist(), (fine_sr / fine_hr).item()], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--people", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/sharp_loss"))
    parser.add_argument("--csv", type=Path, default=Path("data/sharp_loss.csv"))
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 0.05, 0.2], help="of the Sharp Loss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for weight in arguments.weights:
            train = dict(
                sharp_weight=weight, seed=seed, epochs=1, batch_size=8, validate_every=10_000, log_every=100,
                precision=arguments.precision,
            )  # fmt: skip
            # The split into people comes from the seed: seed 1 is tested on other people, too.
            data = {"faces": arguments.faces, "people": arguments.people}
            folder = arguments.runs / f"weight-{weight:g}-seed-{seed}"
            started = (folder / "config.toml").exists()
            run = Run(folder) if started else Run.create(folder, RunConfig.from_dict({"train": train, "data": data}))
            trainer = run.train()
            scores = measure(load_pretrained(folder / "best.safetensors"), run.faces()[1])
            faces_seen = trainer.total_steps * trainer.config.batch_size
            rows.append({"sharp_weight": weight, "seed": seed, "faces_seen": faces_seen} | scores)
            with whole_file(arguments.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows({name: f"{value:.5g}" for name, value in row.items()} for row in rows)
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
