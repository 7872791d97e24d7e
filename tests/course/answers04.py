"""Chapter 04: right answers written otherwise, and wrong ones with words that the check must find."""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from elsface_lite.network.hfeb import HighPass
from elsface_lite.network.transformer import (
    relative_position_index,
    shifted_window_mask,
    to_windows,
    weighted_values,
)


def by_hand(q, k, v, bias):
    scores = torch.einsum("nhid,nhjd->nhij", q, k) / q.shape[-1] ** 0.5 + bias
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("nhij,nhjd->nhid", weights, v)


def in_place(q, k, v, bias):
    q /= q.shape[-1] ** 0.5
    return (q @ k.mT + bias).softmax(-1) @ v


def overflowing(q, k, v, bias):
    weights = (q @ k.mT / q.shape[-1] ** 0.5 + bias).exp()
    return weights / weights.sum(-1, keepdim=True) @ v


def scores(q, k, bias, root=0.5):
    return q @ k.mT / q.shape[-1] ** root + bias


def loops(x, window):
    cut = []
    for image in x:
        for top in range(0, image.shape[0], window):
            for left in range(0, image.shape[1], window):
                cut.append(image[top : top + window, left : left + window].reshape(-1, x.shape[-1]))
    return torch.stack(cut)


def permuted(x, window):
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, window * window, c)


def four_loops(window):
    places = [(row, column) for row in range(window) for column in range(window)]
    span = 2 * window - 1
    return [[(r - s + window - 1) * span + (c - d + window - 1) for s, d in places] for r, c in places]


def of_eight(window):
    rows, columns = (x.flatten() for x in torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"))
    return (rows[:, None] - rows + 7) * 15 + columns[:, None] - columns + 7


def numpy_index(window):
    rows, columns = np.divmod(np.arange(window**2), window)
    down, right = rows[:, None] - rows + window - 1, columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right


def by_distance(height, width, window, shift):
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1)[None]
    places = to_windows(places.roll((-shift, -shift), (1, 2)), window)
    apart = (places[:, :, None] - places[:, None]).abs().amax(-1)
    return (apart >= window) * -100.0


def infinite(height, width, window, shift):
    return shifted_window_mask(height, width, window, shift).masked_fill(
        by_distance(height, width, window, shift) < 0, -torch.inf
    )


def one_region(height, width, window, shift):
    return torch.zeros_like(shifted_window_mask(height, width, window, shift))


def one_cut(height, width, window, shift):
    region = torch.zeros(1, height, width, 1)
    region[:, -window:] += 2
    region[:, :, -window:] += 1
    region = to_windows(region, window)[..., 0]
    return torch.where(region[:, :, None] == region[:, None], 0.0, -100.0)


def pooled(self, r):
    height, width = r.shape[-2:]
    r = F.pad(r, (0, width % 2, 0, height % 2), mode="replicate")
    return self.upsample(F.avg_pool2d(r, 2))[..., :height, :width]


def own_padding(self, x):
    r = self.body(x)
    return r - pooled(self, r)


def ceiling(self, x):
    r = self.body(x)
    return r - self.upsample(F.avg_pool2d(r, 2, ceil_mode=True))[..., : x.shape[-2], : x.shape[-1]]


def even_only(self, x):
    r = self.body(x)
    return r - self.upsample(F.avg_pool2d(r, 2))


def zero_padding(self, x):
    height, width = x.shape[-2:]
    r = self.body(x)
    padded = F.pad(r, (0, width % 2, 0, height % 2))
    return r - self.upsample(F.avg_pool2d(padded, 2))[..., :height, :width]


def forgetful(self, x):
    r = self.body(x)
    r - pooled(self, r)


@torch.no_grad()
def make_fixed(part, kernel=(1, 1), keep_bias=False):
    layer = part.upsample[0]
    layer.weight.zero_()
    if not keep_bias:
        layer.bias.zero_()
    for channel in range(layer.in_channels):
        layer.weight[4 * channel : 4 * channel + 4, channel, *kernel] = 1
    return part


@torch.no_grad()
def quarters(part):
    make_fixed(part).upsample[0].weight /= 4
    return part


def new_parameters(part):
    weight = torch.zeros_like(part.upsample[0].weight)
    for out in range(len(weight)):
        weight[out, out // 4, 1, 1] = 1
    part.upsample[0].weight, part.upsample[0].bias = nn.Parameter(weight), nn.Parameter(torch.zeros(len(weight)))
    return part


@torch.no_grad()
def wrong_order(part):
    part.upsample[0].weight.zero_()
    part.upsample[0].bias.zero_()
    channels = part.upsample[0].in_channels
    for out in range(4 * channels):
        part.upsample[0].weight[out, out % channels, 1, 1] = 1
    return part


def swapped(part):
    part.upsample = nn.Upsample(scale_factor=2)
    return part


@torch.no_grad()
def spoilt_body(part):
    part.body[0].weight.zero_()
    return make_fixed(part)


def fixed_and_forgotten(part):
    make_fixed(part)


def factor(weights, values):
    energy = [(x - x.mean(-2, keepdim=True)).square().mean() for x in (weights @ values, values)]
    return (energy[1] / energy[0]).sqrt()


def by_head(weights, values):
    spread = [(x - x.mean(-2, keepdim=True)).square().sum((2, 3), keepdim=True) for x in (weights @ values, values)]
    return 1 / weights.shape[-1] + (spread[1] / spread[0]).sqrt() * (weights - 1 / weights.shape[-1])


def lively(weights, values):
    return weights + (factor(weights, values) - 1) * (weights - 1 / weights.shape[-1])


def numpy_lively(weights, values):
    a, v = weights.double().numpy(), values.double().numpy()
    mean = np.full(a.shape, 1 / a.shape[-1])
    spread = [np.square(x - x.mean(-2, keepdims=True)).sum() for x in (a @ v, v)]
    return mean + (spread[1] / spread[0]) ** 0.5 * (a - mean)


RIGHT = {
    "weighted_values": [weighted_values, by_hand, in_place],
    "to_windows": [to_windows, loops, permuted],
    "relative_position_index": [
        relative_position_index,
        four_loops,
        numpy_index,
        lambda window: torch.tensor(four_loops(window)).float(),
    ],
    "shifted_window_mask": [
        shifted_window_mask,
        by_distance,
        infinite,
        lambda *sizes: by_distance(*sizes).double().numpy(),
    ],
    "HighPass.forward": [HighPass.forward, own_padding, ceiling],
    "04.1": [(64, 256), [64.0, 256.0], torch.tensor([64, 256]), np.array([64, 256])],
    "04.2": [make_fixed, new_parameters],
    "04.3": [lively, numpy_lively],
}
WRONG = {
    "weighted_values": [
        (lambda q, k, v, bias: scores(q, k, 0).softmax(-1) @ v, "bias is ignored"),
        (lambda q, k, v, bias: scores(q, k, bias, 0).softmax(-1) @ v, "root of d"),
        (lambda q, k, v, bias: scores(q, k, bias, 1).softmax(-1) @ v, "by its root"),
        (lambda q, k, v, bias: scores(q, k, bias).softmax(-2) @ v, "last dimension"),
        (lambda q, k, v, bias: scores(q, k, bias).softmax(-1), "mix the values"),
        (lambda q, k, v, bias: scores(q, k, bias) @ v, "softmax is missing"),
        (lambda q, k, v, bias: (scores(q, k, 0).softmax(-1) + bias) @ v, "before the softmax"),
        (lambda q, k, v, bias: ((q @ k.mT + bias) / q.shape[-1] ** 0.5).softmax(-1) @ v, "only the dot product"),
        (overflowing, "largest from all first"),
        (lambda q, k, v, bias: (k @ q.mT / q.shape[-1] ** 0.5 + bias).softmax(-1) @ v, "swapped"),
        (lambda q, k, v, bias: weighted_values(q, k, v, bias).detach(), "No gradient"),
        (lambda q, k, v, bias: print(end=""), "return"),
        (lambda q, k, v, bias: F.scaled_dot_product_attention(q, k, v), "bias is ignored"),
    ],
    "to_windows": [
        (lambda x, w: x.reshape(-1, w * w, x.shape[-1]), "rows of the grid"),
        (lambda x, w: rearrange(x, "b (nh wh) (nw ww) c -> (b nw nh) (wh ww) c", wh=w, ww=w), "row by row"),
        (lambda x, w: rearrange(x, "b (nh wh) (nw ww) c -> (b nh nw) (ww wh) c", wh=w, ww=w), "row by row"),
        (lambda x, w: rearrange(x, "b (wh nh) (ww nw) c -> (b nh nw) (wh ww) c", wh=w, ww=w), "one square"),
        (lambda x, w: rearrange(x, "b (nh wh) (nw ww) c -> b (nh nw) (wh ww) c", wh=w, ww=w), "the shape should be"),
        (lambda x, w: to_windows(x, w)[:4], "the shape should be"),
        (lambda x, w: print(end=""), "return"),
    ],
    "relative_position_index": [
        (lambda window: relative_position_index(window).T, "Transposed"),
        (lambda window: relative_position_index(window) - 2 * window * (window - 1), "below 0"),
        (lambda window: relative_position_index(8), "the shape should be"),
        (of_eight, "windows of 8"),
        (
            lambda window: (
                relative_position_index(window) % (2 * window - 1) * (2 * window - 1)
                + relative_position_index(window) // (2 * window - 1)
            ),
            "swapped",
        ),
        (
            lambda window: (
                relative_position_index(window) // (2 * window - 1) * window
                + relative_position_index(window) % (2 * window - 1)
            ),
            "share a number",
        ),
        (lambda window: relative_position_index(window).unique(), "the shape should be"),
        (lambda window: print(end=""), "return"),
    ],
    "shifted_window_mask": [
        (one_region, "Nothing is forbidden"),
        (lambda *sizes: -100 - shifted_window_mask(*sizes), "wrong pairs"),
        (lambda *sizes: -shifted_window_mask(*sizes), "sign"),
        (one_cut, "Nothing is forbidden"),
        (lambda h, w, window, shift: shifted_window_mask(h, w, window, window // 2), "half a window"),
        (lambda *sizes: shifted_window_mask(*sizes) == 0, "numbers are asked for"),
        (lambda *sizes: shifted_window_mask(32, 32, 8, 4), "the shape should be"),
        (lambda *sizes: print(end=""), "return"),
    ],
    "HighPass.forward": [
        (lambda self, x: self.body(x) + pooled(self, self.body(x)), "take it away"),
        (lambda self, x: self.body(x) - pooled(self, x), "pool r"),
        (lambda self, x: x - pooled(self, self.body(x)), "taken from r"),
        (lambda self, x: x + own_padding(self, x), "adds x later"),
        (lambda self, x: pooled(self, self.body(x)), "smooth part itself"),
        (lambda self, x: self.body(x), "Only the body"),
        (
            lambda self, x: (
                self.body(x) - F.interpolate(F.avg_pool2d(self.body(x), 2), scale_factor=2)
                if not (x.shape[-1] % 2 or x.shape[-2] % 2)
                else own_padding(self, x)
            ),
            "plain enlargement",
        ),
        (even_only, "RuntimeError"),
        (zero_padding, "7, 10"),
        (lambda self, x: own_padding(self, x).detach(), "No gradient"),
        (forgetful, "return"),
    ],
    "04.1": [
        ((1024, 1024), "first is off"),
        ((64, 64), "other windows"),
        ((100, 256), "first is off"),
        ((64, 100), "other windows"),
        (64, "You gave int"),
        ((64.4, 255.6), "first is off"),
    ],
    "04.2": [
        (swapped, "other layers"),
        (wrong_order, "corners of a square"),
        (lambda part: make_fixed(part, (0, 0)), "nine weights"),
        (lambda part: make_fixed(part, keep_bias=True), "every bias 0"),
        (quarters, "should be 1"),
        (lambda part: part, "every bias 0"),
        (fixed_and_forgotten, "return"),
        (spoilt_body, "`body` as well"),
    ],
    "04.3": [
        (lambda a, v: a + 1.0 * (torch.eye(a.shape[-1]) - a), "the identity"),
        (lambda a, v: a.mean(-2, keepdim=True) + factor(a, v) * (a - a.mean(-2, keepdim=True)), "mean of the weights"),
        (lambda a, v: 1 / a.shape[-1] - factor(a, v) * (a - 1 / a.shape[-1]), "positive"),
        (lambda a, v: 1 / a.shape[-1] - 13.4 * (a - 1 / a.shape[-1]), "For a tensor"),
        (lambda a, v: 1 / a.shape[-1] + factor(a, v) ** 2 * (a - 1 / a.shape[-1]), "take the root"),
        (lambda a, v: a, "as they were"),
        (by_head, "One omega"),
        (lambda a, v: factor(a, v) - 1, "That is omega"),
        (lambda a, v: lively(a, v) @ v, "mixed values"),
        (lambda a, v: print(end=""), "return"),
    ],
}
