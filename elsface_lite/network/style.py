"""Feature Preparation Stage: shallow features, and the latent styles that weigh them (chapter 02)."""

from typing import Literal

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .blocks import ResidualBlock, conv

StyleMode = Literal["scale", "residual", "none"]


class LatentStyleEncoder(nn.Module):
    """Squeezes a whole LR face into one vector of channel weights per stream.

    Four levels of two convolutions each; all levels but the first halve the size, so that a 32x32 face ends as
    4x4. Other input sizes are pooled to 4x4 before the linear layer (at 32x32 the pooling changes nothing).

    Args:
        channels: channels of one stream, which is also the width of the encoder.
        streams: number of streams to write a style for.

    Shape: (b, 3, h, w) RGB in [0, 1] -> (b, streams, channels), unbounded.
    """

    def __init__(self, channels: int, streams: int = 2) -> None:
        super().__init__()
        self.streams = streams
        layers = []
        for level in range(4):
            first = conv(channels, channels, stride=2) if level else conv(3, channels)
            layers += [first, nn.LeakyReLU(0.2), conv(channels, channels), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, conv(channels, channels), nn.LeakyReLU(0.2))
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(4)
        self.to_styles = nn.Linear(16 * channels, streams * channels)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.to_styles(rearrange(self.pool(self.body(lr)), "b c h w -> b (c h w)"))
        return rearrange(x, "b (s c) -> b s c", s=self.streams)


def modulate(features: Tensor, styles: Tensor, residual: bool = False) -> Tensor:
    """Weighs every feature channel by its style, the same for all positions.

    Args:
        features: (b, s, c, h, w), the features of s streams.
        styles: (b, s, c), one weight per stream and channel.
        residual: multiply by 1 + style instead of by the style itself (the paper).

    Returns:
        (b, s, c, h, w), the modulated features.
    """
    weights = rearrange(styles, "b s c -> b s c 1 1")
    return features * (1 + weights if residual else weights)


class FeaturePreparation(nn.Module):
    """The first stage: features of the face at the streams' grid, split into streams and weighed by their styles.

    Args:
        channels: channels of one stream.
        streams: number of streams that follow.
        head_blocks: residual blocks after the first convolution.
        grid: the streams work at `grid` times the LR resolution (bilinear; 1 leaves it).
        style: "scale" multiplies by the latent styles, "residual" by 1 + them, "none" builds no encoder.

    Shape: (b, 3, h, w) -> (b, streams, channels, grid h, grid w). If a dict `trace` is given, the features before the
    split go into it as `head` and the styles as `style`.
    """

    def __init__(self, channels: int, streams: int, head_blocks: int, grid: int, style: StyleMode) -> None:
        super().__init__()
        self.streams, self.grid, self.style = streams, grid, style
        width = streams * channels
        self.head = nn.Sequential(conv(3, width), *(ResidualBlock(width) for _ in range(head_blocks)))
        self.encoder = None if style == "none" else LatentStyleEncoder(channels, streams)

    def forward(self, lr: Tensor, trace: dict[str, Tensor] | None = None) -> Tensor:
        head = self.head(lr)
        features = head if self.grid == 1 else F.interpolate(head, scale_factor=self.grid, mode="bilinear")
        features = rearrange(features, "b (s c) h w -> b s c h w", s=self.streams)
        if trace is not None:
            trace["head"] = head
        if self.encoder is None:
            return features
        styles = self.encoder(lr)
        if trace is not None:
            trace["style"] = styles
        return modulate(features, styles, self.style == "residual")
