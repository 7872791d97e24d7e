"""CNN stream: local textures, by residual blocks that are applied more than once (chapter 03)."""

from torch import Tensor, nn

from .blocks import ResidualBlock, conv


class CNNStream(nn.Module):
    """[conv3 - residual blocks], applied `recursions` times with the same weights.

    Recursion widens the receptive field without a single new parameter.

    Args:
        channels: feature channels, in and out.
        blocks: residual blocks after the convolution.
        kernel_size: odd kernel size of the residual blocks.
        recursions: how many times the whole is applied.

    Shape: (b, channels, h, w) -> (b, channels, h, w).
    """

    def __init__(self, channels: int, blocks: int = 2, kernel_size: int = 5, recursions: int = 2) -> None:
        super().__init__()
        self.recursions = recursions
        self.body = nn.Sequential(
            conv(channels, channels), *(ResidualBlock(channels, kernel_size) for _ in range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.recursions):
            x = self.body(x)
        return x
