"""What should a discriminator see? Trains lite-x4 to be sharp, a few hundred steps with each, and measures.

    python data/discriminators.py --faces DIR --validation DIR    # writes data/discriminators.csv

"none" has L1 + 0.1 LPIPS alone. "haar" judges the three high Haar bands of a picture beside the low band of HR: fine
detail and nothing else, for a quarter of the pixels. "pixels" is the one of the package. All see the same faces in the
same order. A run that was interrupted goes on where it was. FID of few faces is too high for all: differences count.

The table is of all faces that lite-x4-gan was drawn from, and of every second validation face, in float32
(`--precision no`).
"""

import argparse
import csv
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from elsface_lite.course.wavelet import haar_bands
from elsface_lite.data.degradation import quantize
from elsface_lite.files import whole_file
from elsface_lite.metrics.evaluator import Evaluator
from elsface_lite.network.blocks import conv
from elsface_lite.network.weights import load_pretrained
from elsface_lite.training.adversarial import AdversarialLoss, Discriminator
from elsface_lite.training.faces import pairs_of
from elsface_lite.training.presets import PRECISIONS, preset_losses
from elsface_lite.training.run_config import RunConfig
from elsface_lite.training.trainer import Trainer

WEIGHT = 0.02  # of the adversarial loss
DETAIL = 10.0  # brings the high bands of a face, whose standard deviation is 0.05, to the range of the low one
RUNS = (("none", 0.0), ("haar", 0.001), ("haar", 0.01), ("pixels", 0.01))  # and the penalty
METRICS = ("psnr", "lpips", "lpips_vgg", "fid")


class HaarDiscriminator(Discriminator):
    """Of bands (b, 12, h, w): what the package has without its first layer, since these have half the side already."""

    def __init__(self, width: int = 32) -> None:
        super().__init__(width)
        first = conv(12, width)
        nn.init.kaiming_normal_(first.weight, 0.2)
        self.layers = nn.Sequential(first, *self.layers[4:])

    def forward(self, bands: Tensor) -> Tensor:
        return self.layers(bands)


class HaarLoss(AdversarialLoss):
    """An adversarial loss that sees the high bands of each picture, beside the low band of HR."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        self.low = haar_bands(hr)[0]
        return super().forward(sr, hr)

    def update(self, sr: Tensor, hr: Tensor) -> Tensor:
        self.low = haar_bands(hr)[0]
        return super().update(sr, hr)

    def judge(self, image: Tensor) -> Tensor:
        return super().judge(torch.cat([DETAIL * haar_bands(image)[1], self.low], 1))


def train(name: str, penalty: float, options: argparse.Namespace) -> Trainer:
    """A network that is trained from lite-x4 with this discriminator."""
    config = RunConfig.from_dict(
        {
            "data": {"faces": options.faces, "validation": options.validation, "at_most": 8 * options.steps},
            "train": dict(epochs=1, batch_size=8, optimizer="adam", learning_rate=2e-4, lpips_weight=0.1)
            | dict(precision=options.precision, ema_decay=0.99, symmetric=True, best="lpips", validate_every=10**6),
        }
    )
    folder = options.runs / f"{name}-{penalty:g}"
    torch.manual_seed(0)
    losses = preset_losses(config.train)
    settings = dict(penalty=penalty, precision=PRECISIONS[options.precision])
    if name == "haar":
        losses["adversarial"] = WEIGHT, HaarLoss(HaarDiscriminator(), **settings)
    if name == "pixels":
        losses["adversarial"] = WEIGHT, AdversarialLoss(**settings)
    training, validation = pairs_of(config, folder)
    return Trainer(load_pretrained("lite-x4"), training, validation, losses, config=config.train).fit(folder)


@torch.inference_mode()
def measure(trainer: Trainer) -> dict[str, float]:
    """Means over the validation faces."""
    evaluator, pairs = Evaluator(METRICS), trainer.validation
    for start in range(0, len(pairs), 8):  # type: ignore[arg-type]
        stop = min(start + 8, len(pairs))  # type: ignore[arg-type]
        lr, hr = (torch.stack(part) for part in zip(*(pairs[i] for i in range(start, stop)), strict=True))
        evaluator.update(quantize(trainer.ema(lr)), hr)
    return {row.metric: math.nan if row.mean is None else row.mean for row in evaluator.table()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, nargs="+", help="folders of HR faces")
    parser.add_argument("--validation", required=True, nargs="+", help="folders of other people's HR faces")
    parser.add_argument("--runs", type=Path, default=Path("runs/discriminators"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    options = parser.parse_args()
    rows = []
    for name, penalty in RUNS:
        row = {"discriminator": name, "penalty": penalty} | measure(train(name, penalty, options))
        rows.append({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()})
        print(rows[-1], flush=True)
        path = Path(__file__).with_suffix(".csv")
        with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
