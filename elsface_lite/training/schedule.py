"""What a step depends on: learning rate, faces, flips and shifts, each a function of seed and step (chapter 06).

So a checkpoint needs no position in any iterator: the step is the position.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (counted from 0)."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "linear":
        return config.learning_rate * warmup * (1 - step // steps_per_epoch / config.epochs)
    progress = step / (config.epochs * steps_per_epoch)
    return config.learning_rate * warmup * (1 + math.cos(math.pi * progress)) / 2


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on nothing but the key."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


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


def shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Moves every image by whole pixels, so that nothing is resampled; the border is mirrored.

    Args:
        images: (b, c, h, w).
        shifts: (b, 2), pixels down and to the right.

    Returns:
        (b, c, h, w).
    """
    height, width = images.shape[-2:]
    margin = int(shifts.abs().max())
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    corners = (margin - shifts).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)])
