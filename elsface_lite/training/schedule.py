"""What a step depends on: learning rate, faces, flips and shifts, each a function of seed and step (chapter 06).

So a checkpoint needs no position in any iterator: the step is the position.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.degradation import generator
from .config import TrainConfig


def rate_share(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (counted from 0), as a share of its highest value: 0 to 1."""
    steps = config.epochs * steps_per_epoch
    warmup = min(1.0, (step + 1) / (config.warmup * steps)) if config.warmup else 1.0
    if config.schedule == "constant":
        return warmup
    if config.schedule == "linear":
        return warmup * (1 - step // steps_per_epoch / config.epochs)
    return warmup * (1 + math.cos(math.pi * step / steps)) / 2


def batch_indices(config: TrainConfig, step: int, faces: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which faces a step sees, which of them mirrored, and how far each is moved.

    Every epoch is a new permutation; what is left over below one batch is dropped, so no face comes twice in it.

    Returns:
        (batch_size,) indices into the faces, (batch_size,) booleans, and (batch_size, 2) shifts down and to the right,
        in HR pixels.
    """
    epoch, position = divmod(step, faces // config.batch_size)
    order = torch.randperm(faces, generator=generator(config.seed, 1, epoch))
    chosen = order[position * config.batch_size :][: config.batch_size]
    of_step = generator(config.seed, 2, step)
    flips = torch.rand(config.batch_size, generator=of_step) < 0.5
    shifts = torch.randint(-config.shift, config.shift + 1, (config.batch_size, 2), generator=of_step)
    return chosen, flips & torch.tensor(config.flips), shifts


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """Moves an image by whole pixels, so that nothing is resampled; the border is mirrored.

    Args:
        image: (c, h, w).
        down, right: pixels, below the image's own sides.

    Returns:
        (c, h, w).
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (abs(right), abs(right), abs(down), abs(down)), mode="reflect")
    return padded[:, abs(down) - down :, abs(right) - right :][:, :height, :width]
