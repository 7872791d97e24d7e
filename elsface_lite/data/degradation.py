"""How an LR face is made of an HR one: antialiased bicubic, rounded to 8 bits, in training and testing alike.

Another degradation is any function of the same form (`Degradation`), and goes wherever `Bicubic()` goes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# (3, H, W) HR in [0, 1] to (3, h, w) LR in [0, 1]; what is random in it comes from the generator alone.
Degradation = Callable[[Tensor, torch.Generator], Tensor]


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on nothing but the key.

    Args:
        key: numbers from 0 on, such as seed and step.
    """
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


def quantize(image: Tensor) -> Tensor:
    """Rounds to the 256 values that an 8-bit file can hold: any shape, clamped to [0, 1]."""
    return (255 * image).round().clamp(0, 255) / 255


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Antialiased bicubic (the kernel of Pillow and MATLAB), then 8 bits.

    Args:
        image: (..., h, w) in [0, 1], such as (3, h, w) or (b, 3, h, w).
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        (..., height, width) in [0, 1].
    """
    planes = image.reshape(1, -1, *image.shape[-2:])
    resized = F.interpolate(planes, (height, width), mode="bicubic", antialias=True)
    return quantize(resized).reshape(*image.shape[:-2], height, width)


def downscale(hr: Tensor, scale: int) -> Tensor:
    """Makes the LR face: antialiased bicubic, then 8 bits.

    Args:
        hr: (..., h, w) in [0, 1], such as (3, h, w) or (b, 3, h, w); h and w multiples of scale.
        scale: LR pixels are this many HR pixels wide.

    Returns:
        (..., h / scale, w / scale), in [0, 1].

    Raises:
        ValueError: scale does not divide the height or the width.
    """
    height, width = hr.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"scale {scale} does not divide an image of {height}x{width}: crop it first.")
    return resize(hr, height // scale, width // scale)


def upscale(lr: Tensor, scale: int) -> Tensor:
    """The bicubic baseline: what every picture viewer does, rounded to 8 bits.

    Args:
        lr: (..., h, w) in [0, 1], such as (3, h, w) or (b, 3, h, w).
        scale: output pixels per input pixel along a side.

    Returns:
        (..., scale h, scale w), in [0, 1].
    """
    return resize(lr, scale * lr.shape[-2], scale * lr.shape[-1])


@dataclass(frozen=True)
class Bicubic:
    """The degradation of the literature, `downscale`, which has nothing random: (..., h, w) -> (..., h/4, w/4).

    Args:
        scale: LR pixels are this many HR pixels wide.

    Two of one scale are equal.

    Raises:
        ValueError: on use, scale does not divide the height or the width.
    """

    scale: int = 4

    def __call__(self, hr: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return downscale(hr, self.scale)
