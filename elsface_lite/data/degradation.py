"""How an LR face is made of an HR one: antialiased bicubic, rounded to 8 bits, in training and testing alike."""

import torch.nn.functional as F
from torch import Tensor


def quantize(image: Tensor) -> Tensor:
    """Rounds to the 256 values that an 8-bit file can hold: any shape, clamped to [0, 1]."""
    return (255 * image).round().clamp(0, 255) / 255


def downscale(hr: Tensor, scale: int) -> Tensor:
    """Makes the LR face: antialiased bicubic (the kernel of Pillow and MATLAB), then 8 bits.

    Args:
        hr: (b, c, h, w) in [0, 1]; h and w multiples of scale.
        scale: LR pixels are this many HR pixels wide.

    Returns:
        (b, c, h / scale, w / scale), in [0, 1].

    Raises:
        ValueError: scale does not divide the height or the width.
    """
    height, width = hr.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"scale {scale} does not divide an image of {height}x{width}: crop it first.")
    size = (height // scale, width // scale)
    return quantize(F.interpolate(hr, size, mode="bicubic", antialias=True))


def upscale(lr: Tensor, scale: int) -> Tensor:
    """The bicubic baseline: what every picture viewer does, rounded to 8 bits.

    Args:
        lr: (b, c, h, w) in [0, 1].
        scale: output pixels per input pixel along a side.

    Returns:
        (b, c, scale h, scale w), in [0, 1].
    """
    size = (scale * lr.shape[-2], scale * lr.shape[-1])
    return quantize(F.interpolate(lr, size, mode="bicubic", antialias=True))
