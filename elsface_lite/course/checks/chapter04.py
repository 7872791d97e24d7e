"""Chapter 04: attention, windows, places, masks, the high-pass, and three exercises about what they do."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ...network.blocks import padded
from ...network.hfeb import HighPass
from ...network.transformer import relative_position_index, shifted_window_mask, to_windows, weighted_values
from .compare import FORGOTTEN, Checks, compare


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_weighted_values(answer: Any) -> str:
    cases = []
    for seed, (n, heads, tokens, d, many) in enumerate([(3, 2, 9, 4, 1), (2, 1, 16, 10, 2), (1, 3, 5, 7, 1)]):
        q, k, v = _normal(3, n, heads, tokens, d, seed=seed).unbind()
        cases.append((q if seed else 100 * q, k, v, _normal(many, heads, tokens, tokens, seed=seed + 9)))

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, root: float = 0.5, dim: int = -1) -> Tensor:
        return (q @ k.mT / q.shape[-1] ** root + bias).softmax(dim) @ v

    mistakes = {
        "The bias is ignored: add it to the scores.": lambda q, k, v, b: attend(q, k, v, 0 * b),
        "The scores are not divided by the root of d.": lambda q, k, v, b: attend(q, k, v, b, 0.0),
        "You divide by d: divide by its root.": lambda q, k, v, b: attend(q, k, v, b, 1.0),
        "Weights have to sum to 1 over the tokens j that are listened to: the last dimension.": lambda q, k, v, b: (
            attend(q, k, v, b, dim=-2)
        ),
        "The bias is part of the score: add it before the softmax.": lambda q, k, v, b: (
            ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) + b) @ v
        ),
        "The bias is divided by the root of d, too: only the dot product is.": lambda q, k, v, b: attend(
            q, k, v, b / q.shape[-1] ** 0.5
        ),
        "These are the weights: they still have to mix the values.": lambda q, k, v, b: (
            q @ k.mT / q.shape[-1] ** 0.5 + b
        ).softmax(-1),
        "The scores are no weights yet: the softmax is missing.": lambda q, k, v, b: (
            (q @ k.mT / q.shape[-1] ** 0.5 + b) @ v
        ),
        "Queries and keys are swapped: row i of the scores has token i as the one that asks.": lambda q, k, v, b: (
            attend(k, q, v, b)
        ),
    }
    problem = compare(answer, weighted_values, cases[1:], mistakes, gradient=True)
    large = problem or compare(answer, weighted_values, cases[:1], tolerance=1e-2)
    return problem or (
        f"{large} The scores are large there: softmax takes the largest from all first." if large else ""
    )


def check_to_windows(answer: Any) -> str:
    def cut(x: Tensor, pattern: str, window: int) -> Tensor:
        return rearrange(x, pattern, wh=window, ww=window)

    mistakes = {
        "Windows are numbered column by column: go row by row.": lambda x, w: cut(
            x, "b (nh wh) (nw ww) c -> (b nw nh) (wh ww) c", w
        ),
        "Within a window the tokens go column by column: go row by row.": lambda x, w: cut(
            x, "b (nh wh) (nw ww) c -> (b nh nw) (ww wh) c", w
        ),
        "Your windows hold pixels that lie far apart: each should be one square of the grid.": lambda x, w: cut(
            x, "b (wh nh) (ww nw) c -> (b nh nw) (wh ww) c", w
        ),
        "You reshape without moving anything: those are rows of the grid and no squares.": lambda x, w: x.reshape(
            -1, w * w, x.shape[-1]
        ),
        "Windows of different images alternate: all windows of one image come first.": lambda x, w: cut(
            x, "b (nh wh) (nw ww) c -> (nh nw b) (wh ww) c", w
        ),
    }
    cases = [(_normal(2, 8, 12, 3), 4), (_normal(1, 6, 4, 5, seed=1), 2), (_normal(3, 8, 16, 2, seed=2), 8)]
    return compare(answer, to_windows, cases, mistakes, gradient=True)


def check_relative_position_index(answer: Any) -> str:
    def numbered(window: int, sign: int = 1, shift: int | None = None, span: int | None = None) -> Tensor:
        rows, cols = (part.flatten() for part in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        shift = window - 1 if shift is None else shift
        down, right = (sign * (part[:, None] - part[None, :]) + shift for part in (rows, cols))
        return down * (2 * window - 1 if span is None else span) + right

    def by_column(window: int) -> Tensor:
        rows = numbered(window) // (2 * window - 1)
        return (numbered(window) % (2 * window - 1)) * (2 * window - 1) + rows

    mistakes = {
        "Transposed: entry (i, j) is for the way from j to i, so row of i less row of j.": lambda w: numbered(w, -1),
        "Some numbers are below 0: add window - 1 to both differences.": lambda w: numbered(w, shift=0),
        "Two offsets share a number: there are 2 window - 1 different columns in each row of the table.": lambda w: (
            numbered(w, span=w)
        ),
        "The two differences are swapped: rows first, times 2 window - 1, then columns.": by_column,
        "You count as in windows of 8: 7 and 15 are window - 1 and 2 window - 1.": lambda w: numbered(w, 1, 7, 15),
    }
    return compare(answer, relative_position_index, [(8,), (3,), (5,), (1,)], mistakes, tolerance=1e-6)


def check_shifted_window_mask(answer: Any) -> str:
    def forbidden(*case: int) -> Any:
        mask = answer(*case)
        if mask is None:
            return None
        mask = torch.as_tensor(mask)
        if mask.dtype == torch.bool:
            raise ValueError("numbers are asked for, 0 and -100, that can be added to a score")
        return torch.where(mask <= -50, -100.0, mask.double())  # minus infinity does as well

    mistakes = {
        "Nothing is forbidden: cut the last window where the far end was rolled in.": lambda h, w, window, shift: (
            torch.zeros_like(shifted_window_mask(h, w, window, shift))
        ),
        "The wrong pairs are forbidden: 0 is for those who may meet.": lambda h, w, window, shift: (
            -100 - shifted_window_mask(h, w, window, shift)
        ),
        "The sign is wrong: a score of +100 would draw all attention.": lambda h, w, window, shift: (
            -shifted_window_mask(h, w, window, shift)
        ),
        "You cut by a shift of half a window, whatever is asked for.": lambda h, w, window, shift: shifted_window_mask(
            h, w, window, window // 2
        ),
    }
    cases = [(16, 24, 8, 3), (12, 8, 4, 2), (32, 32, 8, 4)]
    return compare(forbidden, shifted_window_mask, cases, mistakes, tolerance=1e-6)


def check_high_pass(answer: Any) -> str:
    def forward(part: HighPass, x: Tensor, pool_of: str = "r", sign: int = -1) -> Tensor:
        r = part.body(x)
        smooth = F.avg_pool2d(padded(r if pool_of == "r" else x, 2), 2)
        return r + sign * part.upsample(smooth)[..., : x.shape[-2], : x.shape[-1]]

    def smooth(part: HighPass, x: Tensor) -> Tensor:
        return part.body(x) - forward(part, x)

    def against_x(part: HighPass, x: Tensor) -> Tensor:
        return x - smooth(part, x)

    mistakes = {
        "The smooth part is taken from x: it should be taken from r, and pooled from r.": against_x,
        "You pool x: pool r, what the body makes of it.": lambda part, x: forward(part, x, "x"),
        "The smooth part is added: take it away.": lambda part, x: forward(part, x, sign=1),
        "That is the smooth part itself: take it from r.": smooth,
        "The bare high-pass has no skip: the HFEB adds x later.": lambda part, x: x + forward(part, x),
        "Only the body is there: its smooth part has to be taken away.": lambda part, x: part.body(x),
        "The upsampling is the network's own, `self.upsample`, and not a plain enlargement.": lambda part, x: (
            part.body(x) - F.interpolate(F.avg_pool2d(padded(part.body(x), 2), 2), scale_factor=2)
        ),
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        even = [(HighPass(4), _normal(2, 4, 8, 12)), (HighPass(6, 3), _normal(1, 6, 6, 4, seed=1))]
        odd = [(HighPass(4, 3), _normal(1, 4, 7, 10, seed=2))]
    # An answer for even sizes alone stops with an error at odd ones, after its other mistakes have been named.
    problem = compare(answer, HighPass.forward, even, mistakes, gradient=True)
    return problem or compare(answer, HighPass.forward, odd)


def check_islands(answer: Any) -> str:
    middle, corner = (float(value) for value in answer)
    if (middle, corner) == (64, 256):
        return ""
    if middle != 64:
        return "The first is off: how far is row 11, column 12 from the border of its window? How far does a 3x3 reach?"
    return "The first is right. The second: the 3x3 touches tokens of other windows, and each knows all of its own."


def _wrong_number(layer: Any) -> str:
    """Which numbers of the convolution make squares something else."""
    if layer.bias.any():
        return "Is every bias 0?"
    middle, others = layer.weight[..., 1, 1], layer.weight.clone()
    others[..., 1, 1] = 0
    if others.any() or middle.max() != 1:
        return "Which of the nine weights of a kernel should be 1?"
    return "Which channel do the corners of a square copy? Channels 4c to 4c + 3 are the corners of channel c."


@torch.no_grad()
def check_make_fixed(answer: Any) -> str:
    for seed, (channels, height, width) in enumerate([(6, 12, 12), (3, 8, 14)]):
        part, r = HighPass(channels), _normal(2, channels, height, width, seed=seed)
        layers, body = [type(layer) for layer in part.upsample.modules()], copy.deepcopy(part.body.state_dict())
        part = answer(part)
        if part is None:
            return FORGOTTEN
        if [type(layer) for layer in part.upsample.modules()] != layers or part.upsample[0].weight.shape[2:] != (3, 3):
            return "You put other layers in: the convolution stays, and only its numbers are set."
        small = F.avg_pool2d(r, 2)
        off = (part.upsample(small) - F.interpolate(small, scale_factor=2)).abs().max().item()
        if off > 1e-5:
            return f"Enlarged, it is up to {off:.2f} off. {_wrong_number(part.upsample[0])}"
        if not all(torch.equal(value, part.body.state_dict()[name]) for name, value in body.items()):
            return "You changed `body` as well: only the convolution of the upsampling gets other numbers."
    return ""


def check_lively(answer: Any) -> str:
    def scaled(weights: Tensor, values: Tensor, mean: Tensor | None = None, root: float = 0.5) -> Tensor:
        mean = torch.full_like(weights, 1 / weights.shape[-1]) if mean is None else mean
        varying = [x - x.mean(-2, keepdim=True) for x in (weights @ values, values)]
        energy = [x.square().sum() for x in varying]
        return mean + (energy[1] / energy[0]) ** root * (weights - mean)

    def by_head(weights: Tensor, values: Tensor) -> Tensor:
        return torch.stack([torch.stack([*map(scaled, *window)]) for window in zip(weights, values, strict=True)])

    def omega(weights: Tensor, values: Tensor) -> Tensor:
        kept, full = (x - x.mean(-2, keepdim=True) for x in (weights @ values, values))
        return (full.square().sum() / kept.square().sum()).sqrt() - 1

    def a_plus_identity(weights: Tensor, values: Tensor) -> Tensor:
        return torch.eye(weights.shape[-1]).expand_as(weights)

    mistakes = {
        "Rows sum to one and detail is kept, but this is the identity: attention is gone.": a_plus_identity,
        "The mean matrix has 1/t everywhere; yours is the mean of the weights over queries.": lambda a, v: scaled(
            a, v, a.mean(-2, keepdim=True)
        ),
        "The energy goes with the square of the factor: take the root.": lambda a, v: scaled(a, v, root=1.0),
        "Those are the weights as they were.": lambda a, v: a,
        "The factor should be positive: this one turns light into dark.": lambda a, v: 2 / a.shape[-1] - scaled(a, v),
        "One omega is asked for, for all windows and heads together; you have one for each.": by_head,
        "That is omega: give back the weights that it makes.": omega,
        "Those are the mixed values: the new weights are asked for.": lambda a, v: scaled(a, v) @ v,
    }
    cases = []
    for seed, (n, heads, tokens, d) in enumerate([(2, 3, 9, 5), (1, 1, 16, 4), (4, 2, 6, 3)]):
        weights = _normal(n, heads, tokens, tokens, seed=seed).softmax(-1)
        cases.append((weights, _normal(n, heads, tokens, d, seed=seed + 5)))
    return compare(answer, scaled, cases, mistakes, tolerance=1e-3)


CHECKS: Checks = {
    "weighted_values": check_weighted_values,
    "to_windows": check_to_windows,
    "relative_position_index": check_relative_position_index,
    "shifted_window_mask": check_shifted_window_mask,
    "HighPass.forward": check_high_pass,
    "04.1": check_islands,
    "04.2": check_make_fixed,
    "04.3": check_lively,
}
