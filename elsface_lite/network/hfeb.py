"""High-Frequency Enhancement Block: gives back the detail that attention smooths away (chapter 04)."""

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ResidualBlock, conv, padded


class HighPass(nn.Module):
    """A learned high-pass: two convolutions of x, minus an estimate of the smooth part of that.

    r = conv - ReLU - conv (x);  HF(x) = r - upsample(average pool 2 (r)), with a learned upsampling (conv3 and
    pixel shuffle). An odd height or width is padded by repeating the border, and cropped at the end.

    Shape: (b, channels, h, w) -> (b, channels, h, w).
    """

    def __init__(self, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, kernel_size), nn.ReLU(inplace=True), conv(channels, channels, kernel_size)
        )
        self.upsample = nn.Sequential(conv(channels, 4 * channels), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        r = self.body(x)
        smooth = F.avg_pool2d(padded(r, 2), 2)
        return r - self.upsample(smooth)[..., :height, :width]


class HFEB(nn.Module):
    """h = HF(x), then h plus a chain of residual blocks on h.

    Without `skip`, as in the authors' network, what is smooth leaves the stream here. With it, h = x + HF(x).

    Args:
        channels: feature channels, in and out.
        blocks: residual blocks in the chain.
        kernel_size: odd kernel size of all convolutions but the upsampling one.
        skip: whether x goes around the high-pass.

    Shape: (b, channels, h, w) -> (b, channels, h, w).
    """

    def __init__(self, channels: int, blocks: int = 5, kernel_size: int = 5, skip: bool = False) -> None:
        super().__init__()
        self.skip = skip
        self.high_pass = HighPass(channels, kernel_size)
        self.blocks = nn.Sequential(*(ResidualBlock(channels, kernel_size) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        h = self.high_pass(x)
        if self.skip:
            h = x + h
        return h + self.blocks(h)
