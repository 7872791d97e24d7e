"""Transformer stream: contours, by attention within windows (chapter 04).

The layer is that of Swin (Liu et al. 2021), the residual group that of SwinIR (Liang et al. 2021).
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .blocks import conv, padded


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for every pair of tokens in a window.

    Returns:
        (window^2, window^2), int64: entry (i, j) numbers the offset from token j to token i, of which there are
        (2 window - 1)^2.
    """
    rows, cols = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    rows, cols = rows.flatten(), cols.flatten()
    down = rows[:, None] - rows[None, :] + window - 1
    right = cols[:, None] - cols[None, :] + window - 1
    return down * (2 * window - 1) + right


def to_windows(x: Tensor, window: int) -> Tensor:
    """Cuts a grid of tokens into windows: (b, h, w, c) -> (b h/window w/window, window^2, c)."""
    return rearrange(x, "b (nh wh) (nw ww) c -> (b nh nw) (wh ww) c", wh=window, ww=window)


def from_windows(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `to_windows`: back to (b, height, width, c)."""
    nh, nw = height // window, width // window
    return rearrange(windows, "(b nh nw) (wh ww) c -> b (nh wh) (nw ww) c", nh=nh, nw=nw, wh=window)


@lru_cache(maxsize=16)
def shifted_window_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """What a shifted window must not look at: tokens that only the cyclic shift has made neighbours.

    Returns:
        (h/window w/window, window^2, window^2), 0 where attention is allowed and -100 where it is not.
    """
    region = torch.zeros(1, height, width, 1)
    spans = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(spans):
        for j, cols in enumerate(spans):
            region[:, rows, cols] = 3 * i + j
    region = to_windows(region, window).squeeze(-1)
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, -100.0)


def weighted_values(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v   (Swin, equation 4).

    Args:
        q, k, v: (n, heads, tokens, d).
        bias: (n, heads, tokens, tokens), or (1, heads, tokens, tokens) for all n.

    Returns:
        (n, heads, tokens, d).
    """
    if bias.requires_grad:  # the fused attention has no gradient for a bias; what PyTorch takes instead is slower
        return (q * q.shape[-1] ** -0.5 @ k.mT + bias).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


class WindowAttention(nn.Module):
    """Multi-head self-attention among the tokens of one window, with a learned bias for every relative position.

    softmax(q k^T / sqrt(d) + bias + mask) v   (Swin, equation 4).

    Args:
        channels: token size.
        heads: number of heads; must divide channels.
        window: side of the window in tokens.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.register_buffer("bias_index", relative_position_index(window), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def bias(self) -> Tensor:
        """The bias of every pair of tokens: (heads, window^2, window^2)."""
        return rearrange(self.bias_table[self.bias_index], "i j heads -> heads i j")  # type: ignore[index]

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attends within each window.

        Args:
            windows: (n, window^2, channels), the windows of an image one after the other.
            mask: (windows per image, window^2, window^2), added before the softmax, or None.

        Returns:
            (n, window^2, channels).
        """
        q, k, v = rearrange(self.qkv(windows), "n t (three h d) -> three n h t d", three=3, h=self.heads)
        bias = self.bias()[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(len(windows) // len(mask), 1, 1, 1)
        x = weighted_values(q, k, v, bias.to(q.dtype))
        return self.proj(rearrange(x, "n h t d -> n t (h d)"))


class SwinLayer(nn.Module):
    """One Swin layer, normalised before each part: x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        channels, heads, window: see `WindowAttention`.
        shift: tokens by which the windows are moved (0, or half a window in every second layer).
        mlp_ratio: width of the hidden layer in units of channels.

    Shape: (b, h, w, channels) -> (b, h, w, channels), h and w multiples of window.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int, mlp_ratio: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        hidden = mlp_ratio * channels
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def attend(self, x: Tensor) -> Tensor:
        """Attention within (shifted) windows of a grid of tokens: (b, h, w, c) -> (b, h, w, c)."""
        height, width = x.shape[1:3]
        # One window as wide as the image has no neighbour to shift towards.
        shift = self.shift if min(height, width) > self.window else 0
        mask = None
        if shift:
            x = x.roll((-shift, -shift), dims=(1, 2))
            mask = shifted_window_mask(height, width, self.window, shift).to(x.device)
        x = from_windows(self.attention(to_windows(x, self.window), mask), self.window, height, width)
        return x.roll((shift, shift), dims=(1, 2)) if shift else x

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class RSTB(nn.Module):
    """Residual Swin Transformer Block: x + conv3(Swin layers (x)) (SwinIR, section 3.2).

    Every second layer shifts its windows by half a window, so depth 1 never shifts.

    Shape: (b, h, w, channels) -> (b, h, w, channels).
    """

    def __init__(self, channels: int, depth: int, heads: int, window: int, mlp_ratio: int) -> None:
        super().__init__()
        shifts = [window // 2 if i % 2 else 0 for i in range(depth)]
        self.layers = nn.Sequential(*(SwinLayer(channels, heads, window, shift, mlp_ratio) for shift in shifts))
        self.conv = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv(rearrange(self.layers(x), "b h w c -> b c h w"))
        return x + rearrange(residual, "b c h w -> b h w c")


class TransformerStream(nn.Module):
    """LayerNorm, one RSTB applied `recursions` times with the same weights, LayerNorm, conv3.

    Sizes that the window does not divide are padded by repeating the border, and cropped at the end.

    Args:
        channels: feature channels, in and out.
        depth: Swin layers in the RSTB; from 2 on, windows shift.
        heads, window, mlp_ratio: see `SwinLayer`.
        recursions: how many times the RSTB is applied.
        skip: whether the features also go around the stream, as in SwinIR; the authors' network has no such skip.

    Shape: (b, channels, h, w) -> (b, channels, h, w), any h and w.
    """

    def __init__(
        self,
        channels: int,
        depth: int = 1,
        heads: int = 6,
        window: int = 8,
        mlp_ratio: int = 2,
        recursions: int = 3,
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.window, self.recursions, self.skip = window, recursions, skip
        self.norm_in = nn.LayerNorm(channels)
        self.rstb = RSTB(channels, depth, heads, window, mlp_ratio)
        self.norm_out = nn.LayerNorm(channels)
        self.conv = conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        x = self.norm_in(rearrange(padded(features, self.window), "b c h w -> b h w c"))
        for _ in range(self.recursions):
            x = self.rstb(x)
        x = self.conv(rearrange(self.norm_out(x), "b h w c -> b c h w"))[..., :height, :width]
        return features + x if self.skip else x
