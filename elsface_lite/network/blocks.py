"""What two or more parts of the network share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps height and width (at stride 1): zero padding of half the kernel."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)


class ResidualBlock(nn.Module):
    """conv - ReLU - conv, plus the input. No normalisation, residual scale 1 (as in EDSR, Lim et al. 2017).

    Args:
        channels: feature channels, in and out.
        kernel_size: odd kernel size of both convolutions.

    Shape: (b, channels, h, w) -> (b, channels, h, w).
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, kernel_size), nn.ReLU(inplace=True), conv(channels, channels, kernel_size)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def padded(x: Tensor, multiple: int) -> Tensor:
    """Repeats the right and the lower border until both sides are multiples of a number.

    Args:
        x: (b, c, h, w).
        multiple: pixels, at least 1.

    Returns:
        (b, c, H, W), the next multiples; x itself if nothing is missing: PyTorch cannot compile the backward pass of a
        pad by nothing. An exported network is for sizes of both kinds, so there the pad always stands.
    """
    right, below = -x.shape[-1] % multiple, -x.shape[-2] % multiple
    if torch.compiler.is_exporting() or right or below:
        return F.pad(x, (0, right, 0, below), mode="replicate")
    return x
