"""What is a choice worth? Trains networks that differ in it, and measures them on faces of people never seen.

    python data/experiments.py search --faces DIR --people CSV    # writes data/search.csv

Every line of a table is a run of its own, which `elsface-lite train` with the `--set` arguments in the column `set`,
`train.seed`, `train.batch_size=8`, `train.epochs=1`, `train.symmetric=false` (unless `set` says otherwise) and, where
the processor has it, `train.precision=bf16` trains as well. A run that was interrupted goes on where it was, one that
is finished is only read. The same command started twice, with OMP_NUM_THREADS=1, shares the runs out between two cores.

Of the ablations it also keeps what one can look at: data/ablations/portraits.webp has the two portraits of
`sources.portraits`, data/ablations/spectra.csv the mean spectrum of the held-out faces. The picture has a row, and the
table a column, for HR, for bicubic, and for what each line restores with its first seed.

One line is no choice of the package: `only_r=True` takes the subtraction out of every high-pass, as chapter 08 does.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import filelock
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from elsface_lite.course.frequency import band_energy, radial_profile
from elsface_lite.data.degradation import downscale, quantize, upscale
from elsface_lite.data.sources import portraits
from elsface_lite.files import whole_file
from elsface_lite.inference.faces import crop_face, find_faces
from elsface_lite.metrics.image import lpips, psnr, ssim
from elsface_lite.network.elsface import ELSFace
from elsface_lite.network.hfeb import HighPass
from elsface_lite.network.weights import load_pretrained
from elsface_lite.training.batches import Pair
from elsface_lite.training.faces import pairs_of
from elsface_lite.training.run import Run, trainer_of
from elsface_lite.training.run_config import RunConfig

Changes = dict[str, Any]  # of the presets `lite`, by table and field: {"model.channels": 48}
FINE = [1 / 8, 1]  # what the LR grid of x4 cannot hold, in cycles per HR pixel
SCORES = ("psnr", "ssim", "lpips", "high_frequency_energy", "psnr_bicubic")


@dataclass(frozen=True)
class Experiment:
    """Runs that are compared. Every line is trained with every seed; the people held out are always the same."""

    lines: list[Changes]
    seeds: tuple[int, ...] = (0,)
    looks: bool = False  # whether what the lines restore is kept as pictures and spectra


def model(**changes: Any) -> Changes:
    """Changes of the network."""
    return {f"model.{field}": value for field, value in changes.items()}


# What lite was until `search` found a better one: where the search began.
EARLIER = {"train.shift": 0} | model(channels=64, hfebs=2, hfeb_blocks=5)

# The bare high-pass: of the same parameters, r where the package has r - upsample(pool(r)).
ONLY_R = {"only_r": True}

# Plain residual blocks in the place of HFEBs, with as many parameters as lite.
PLAIN = model(hfebs=0, hfeb_skip=False, cnn_recursions=1, cnn_blocks=28)

EXPERIMENTS = {
    "sharp_loss": Experiment([{"train.sharp_weight": weight} for weight in (0.0, 0.05, 0.2)]),
    "optimizer": Experiment(
        [
            {"train.optimizer": "muon", "train.learning_rate": 1e-3},
            {"train.optimizer": "adam", "train.learning_rate": 1e-3},  # 2e-3 diverged for an earlier lite
        ]
    ),
    "symmetry": Experiment([{"train.symmetric": symmetric} for symmetric in (False, True)], seeds=(0, 1)),
    # Of 27,878 faces, as many steps with each number of them: the fewest are seen ninety times, all of them twice. Both
    # ends have a second seed.
    "faces": Experiment(
        [
            {"data.at_most": faces, "train.epochs": epochs, "train.batch_size": 32, "train.validate_every": 170}
            | {"train.symmetric": True, "train.seed": seed}
            for faces, epochs, seed in ((600, 90, 0), (2500, 22, 0), (5378, 10, 0), (0, 2, 0), (600, 90, 1), (0, 2, 1))
        ]
    ),
    "search": Experiment(
        [
            EARLIER | line  # no shifts: one epoch shows how fast a network learns, and shifts blur that
            for line in (
                {},
                model(channels=48, hfebs=3, hfeb_blocks=6),
                model(channels=80, hfebs=1, hfeb_blocks=6),
                model(hfebs=4, hfeb_blocks=2),
                model(hfebs=1, hfeb_blocks=12),
                model(channels=48, hfebs=1, hfeb_blocks=24),  # lite
                model(hfeb_blocks=4, depth=2),
                model(window=16),
                model(hfeb_blocks=3, cnn_blocks=3),
                model(hfebs=1, hfeb_blocks=4, hfeb_kernel=5),
                model(grid=2, channels=32, hfeb_blocks=4),
                model(hfeb_blocks=4, out_channels=32),
                model(hfebs=0, hfeb_skip=False, cnn_recursions=1, cnn_blocks=15),  # plain blocks only
                model(channels=48) | PLAIN,  # and as many as lite
            )
        ]
    ),
    "search_x8": Experiment(
        [
            model(scale=8),
            model(scale=8, channels=96),  # as many multiply-adds as the next
            model(scale=8, grid=2),  # lite-x8
        ]
    ),
    "ablations": Experiment(
        [
            {},
            model(style="none"),
            model(hfebs=0, hfeb_skip=False),
            model(cnn_recursions=1),
            model(rstb_recursions=3),
            model(streams="cnn", hfebs=0, hfeb_skip=False),
            model(streams="transformer"),
            model(depth=2),  # the second layer shifts its windows
            model(transformer_skip=False, hfeb_skip=False),
            model(bicubic_skip=False),
            {"train.sharp_weight": 0.0},
        ],
        seeds=(0, 1),
        looks=True,
    ),
    # Does the verdict hold with three times as many faces, drawn from 27,878?
    "ablations_longer": Experiment(
        [
            {"data.at_most": 16134, "train.batch_size": 16, "train.symmetric": True} | line
            for line in (
                {},
                model(style="none"),
                model(hfebs=0, hfeb_skip=False),
                PLAIN,
                ONLY_R,
                model(cnn_recursions=1),
                model(streams="transformer"),
                model(transformer_skip=False, hfeb_skip=False),
                {"train.symmetric": False},
            )
        ],
        seeds=(0, 1),
    ),
}


def described(changes: Changes) -> str:
    """The changes, each but `only_r` as `elsface-lite train` takes it after --set."""
    return " ".join(f"{field}={value}" for field, value in changes.items())


def bare_high_pass(changes: Changes) -> AbstractContextManager[Any]:
    """Within it every high-pass is bare, if the changes say so."""
    if "only_r" in changes:
        return patch.object(HighPass, "forward", lambda part, x: part.body(x))
    return nullcontext()


def folder_of(name: str, changes: Changes, seed: int, arguments: argparse.Namespace) -> Path:
    """Where a run of an experiment lies."""
    return arguments.runs / name / described(changes | {"seed": seed}).replace(" ", "-")


@torch.inference_mode()
def measure(network: ELSFace, faces: np.ndarray) -> dict[str, float]:
    """Means over faces (n, 3, H, W), uint8; the energy of SR above 1/8 cycle per pixel is a share of HR's."""
    values = []
    for part in np.array_split(faces, -(-len(faces) // 16)):
        hr = torch.tensor(part).float() / 255
        lr = downscale(hr, network.config.scale)
        sr = quantize(network(lr))
        fine_sr, fine_hr = (band_energy(images, FINE)[:, 0] for images in (sr, hr))
        bicubic = psnr(upscale(lr, network.config.scale), hr)
        values.append(torch.stack([psnr(sr, hr), ssim(sr, hr), lpips(sr, hr), fine_sr, fine_hr, bicubic]))
    *scores, fine_sr, fine_hr, bicubic = torch.cat(values, 1).mean(1).tolist()
    return dict(zip(SCORES, [*scores, fine_sr / fine_hr, bicubic], strict=True))


def size(network: ELSFace) -> dict[str, float]:
    """Parameters, and multiply-adds for a face of 128x128, in 1e9."""
    side = 128 // network.config.scale
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.rand(1, 3, side, side))
    return {"parameters": sum(p.numel() for p in network.parameters()), "gmac": counter.get_total_flops() / 2e9}


def hr_faces(pairs: Dataset[Pair]) -> np.ndarray:
    """The HR faces of pairs: (n, 3, H, W), uint8."""
    faces = [255 * pairs[i][1] for i in range(len(pairs))]  # type: ignore[arg-type]
    return torch.stack(faces).round().to(torch.uint8).numpy()


def data_of(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The table `data` of every run."""
    return {name: getattr(arguments, name) for name in ("faces", "people", "validation")}


def train(folder: Path, changes: Changes, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains a run, or goes on with it, and measures it."""
    if not (folder / "config.toml").exists():
        fixed = dict(batch_size=8, epochs=arguments.epochs, precision=arguments.precision, symmetric=False)
        fixed |= dict(validate_every=100_000, log_every=100)
        data = data_of(arguments)
        tables: dict[str, dict[str, Any]] = {"train": fixed, "model": {}, "data": data}
        for name, value in changes.items():
            table, _, field = name.partition(".")
            if field:
                tables[table][field] = value
        Run.create(folder, RunConfig.from_dict(tables))
    run = Run(folder)
    steps, started = 0, time.process_time()

    def count(_: dict[str, float]) -> None:
        nonlocal steps
        steps += run.config.train.log_every

    trainer = trainer_of(run.config, arguments.runs / "decoded", start=not run.begun).fit(folder, count)
    minutes = (time.process_time() - started) / 60 * trainer.total_steps / max(steps, 1)
    network = load_pretrained(folder / "best.safetensors")
    row = size(network) | {"core_minutes": minutes, "faces_seen": trainer.total_steps * trainer.config.batch_size}
    return row | measure(network, hr_faces(trainer.validation))


def line_of_table(name: str, changes: Changes, seed: int, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The line of one run, trained if it has to be; None while another process trains it."""
    folder = folder_of(name, changes, seed, arguments)
    folder.mkdir(parents=True, exist_ok=True)
    scores = folder / "scores.json"
    try:
        with filelock.FileLock(folder / ".taken", blocking=False):
            if not scores.exists():
                with bare_high_pass(changes):
                    row = train(folder, {"train.seed": seed} | changes, arguments)
                with whole_file(scores) as beside:
                    beside.write_text(json.dumps(row), encoding="utf-8")
    except filelock.Timeout:
        return None
    config = Run(folder).config.to_dict()
    fields = dict.fromkeys(field for line in EXPERIMENTS[name].lines for field in line)
    chosen = {}
    for field in fields:
        table, _, within = field.partition(".")
        chosen[within or field] = config[table][within] if within else changes.get(field, False)
    return {"seed": seed} | chosen | json.loads(scores.read_text(encoding="utf-8")) | {"set": described(changes)}


def table(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All lines of the experiment but those that another process trains: it will write them when it ends."""
    name = arguments.experiment
    experiment = EXPERIMENTS[name]
    lines = [(changes, seed) for seed in experiment.seeds for changes in experiment.lines]
    rows = [line_of_table(name, *line, arguments) for line in lines]
    return [row for row in rows if row is not None]


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Writes the table, whole or not at all."""
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
        )


def restorers(name: str, arguments: argparse.Namespace) -> dict[str, Callable[[Tensor], Tensor]]:
    """What makes SR of HR, (b, 3, H, W): nothing, bicubic, and the network of each line whose first seed is done."""
    experiment = EXPERIMENTS[name]
    found: dict[str, Callable[[Tensor], Tensor]] = {"HR": lambda hr: hr}
    found["bicubic"] = lambda hr: upscale(downscale(hr, 4), 4)
    for changes in experiment.lines:
        folder = folder_of(name, changes, experiment.seeds[0], arguments)
        if (folder / "scores.json").exists():
            network = load_pretrained(folder / "best.safetensors")

            def restored(hr: Tensor, network: ELSFace = network, changes: Changes = changes) -> Tensor:
                with bare_high_pass(changes):
                    return network(downscale(hr, 4))

            found[described(changes)] = restored
    return found


@torch.inference_mode()
def write_looks(name: str, arguments: argparse.Namespace, folder: Path) -> None:
    """Writes the portraits and the mean spectra of an experiment at scale 4; see the top of this file."""
    hr = quantize(torch.stack([crop_face(image, find_faces(image)[0]) for image in portraits().values()]))
    config = RunConfig.from_dict({"data": data_of(arguments)})
    held_out = hr_faces(pairs_of(config, arguments.runs / "decoded")[1])
    batches = np.array_split(held_out, -(-len(held_out) // 16))
    pictures, spectra = [], {}
    for label, restorer in restorers(name, arguments).items():
        pictures.append(quantize(restorer(hr)))
        profiles = [radial_profile(quantize(restorer(torch.tensor(part).float() / 255))) for part in batches]
        spectra["frequency"] = profiles[0][0].tolist()
        spectra[label] = torch.cat([power for _, power in profiles]).mean(0).tolist()
    sheet = make_grid(torch.cat(pictures), nrow=len(hr), padding=0)
    with whole_file(folder / "portraits.webp") as beside:
        to_pil_image(sheet).save(beside, lossless=True)
    write([dict(zip(spectra, row, strict=True)) for row in zip(*spectra.values(), strict=True)], folder / "spectra.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--faces", required=True, nargs="+", help="folders of HR faces")
    parser.add_argument("--people", nargs="+", default=[], help="tables with the columns file,identity")
    parser.add_argument(
        "--validation", nargs="+", default=[], help="folders of faces to measure on, for people held out"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    table(arguments)  # trains what no other process does
    beside = Path(__file__).parent
    write(table(arguments), beside / f"{arguments.experiment}.csv")
    if EXPERIMENTS[arguments.experiment].looks:
        write_looks(arguments.experiment, arguments, beside / arguments.experiment)


if __name__ == "__main__":
    main()
