"""The last part of a training, for PSNR itself.

    python data/for_psnr.py --start WEIGHTS --faces DIR ... --validation DIR --out RUN

L1 asks for the median of all faces that fit, PSNR for their mean; and PSNR is averaged over faces in decibels, so that
a face that is restored well counts for as much as one that is not. The loss is the mean over faces of the logarithm of
the squared error, which is PSNR but for a factor. lite-x4 and lite-x8 were finished so: the cards say what it brought.
A run that was interrupted goes on where it was. RUN/mean.safetensors, which is better than either, is the mean of the
weights that the run began with and of its best.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Subset

import elsface_lite as ef
from elsface_lite.network.weights import toward
from elsface_lite.training.faces import pairs_of
from elsface_lite.training.run_config import RunConfig

WEIGHT = 0.02  # brings the gradients to about the size of those of L1


def log_mse(sr: Tensor, hr: Tensor) -> Tensor:
    """The mean logarithm of each face's squared error: -PSNR ln(10) / 10."""
    return (sr - hr).square().mean((1, 2, 3)).clamp_min(1e-6).log().mean()


def drawn(faces: int, number: int, seed: int) -> list[int]:
    """So many of the faces, each as often as any other, or once more."""
    generator = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(faces, generator=generator) for _ in range(-(-number // faces))]
    return torch.cat(rounds)[:number].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", required=True, help="weights, by name or file")
    parser.add_argument("--faces", required=True, nargs="+", help="folders of HR faces")
    parser.add_argument("--validation", required=True, nargs="+", help="folders of other people's HR faces")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--degradation", default="bicubic", help="how LR faces are made: bicubic, or blind")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7, help="of which faces are seen")
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    options = parser.parse_args()
    network = ef.load_pretrained(options.start)
    config = ef.TrainConfig.lite(
        epochs=1, batch_size=16, learning_rate=5e-4, precision=options.precision, validate_every=400
    )
    data = {"faces": options.faces, "validation": options.validation, "degradation": options.degradation}
    model = network.config.to_dict()
    faces, validation = pairs_of(RunConfig.from_dict({"model": model, "data": data}), options.out)
    chosen = Subset(faces, drawn(len(faces), config.batch_size * options.steps, options.seed))  # type: ignore[arg-type]
    trainer = ef.Trainer(network, chosen, validation, losses={"log_mse": (WEIGHT, log_mse)}, config=config)
    trainer.fit(options.out, lambda record: print(record, flush=True) if "psnr" in record else None)
    mean = ef.load_pretrained(options.out / "best.safetensors")
    toward(mean, ef.load_pretrained(options.start), 0.5)
    ef.save_pretrained(mean, options.out / "mean.safetensors")


if __name__ == "__main__":
    main()
