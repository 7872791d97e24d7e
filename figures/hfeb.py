"""Draws hfeb.svg: the High-Frequency Enhancement Block, its high-pass, and what that does to a signal."""

import math
from pathlib import Path

from drawing import INK, KINDS, Box, Drawing
from paper import CHANNELS, FEATURES, GRID, PAPER

LENGTH = 64  # of the signal in panel (c)


def draw() -> Drawing:
    """From the block to a signal."""
    d = Drawing(
        520,
        "High-Frequency Enhancement Block",
        "Above: the block makes h, the high-pass of its input, and adds to h what five residual blocks make of h; four "
        "such blocks follow each other. In the middle: the high-pass subtracts from r, which is two convolutions of "
        "the input, an estimate of the smooth part of r: average pooling by 2, a convolution to four times the "
        "channels and a pixel shuffle. Below, in one dimension: a signal, its smooth part, and what is left.",
    )
    d.heading(16, 26, "a", f"HFEB: {PAPER.hfebs} of these follow each other, each with weights of its own")
    enhancement_block(d)
    d.heading(16, 176, "b", "HF: a learned high-pass")
    high_pass(d)
    d.heading(16, 382, "c", "The idea, in one dimension")
    curves(d)
    return d


def enhancement_block(d: Drawing) -> None:
    """h = HF(x); h + B(h)."""
    mid, made_of = 98, f"{CHANNELS} channels, k{PAPER.hfeb_kernel}"
    high = d.box(150, mid - 26, 96, 52, "detail", "HF", "high-pass")
    blocks = d.box(366, mid - 26, 150, 52, "conv", f"B: {PAPER.hfeb_blocks} × ResBlock", made_of)
    plus = d.operation(572, mid, "+")
    d.math(34, mid + 5, "*x*")
    end = d.chain((46, mid), high, blocks, plus)
    d.arrow(end, (700, mid))
    d.dot((306, mid))
    d.arrow((306, mid), (306, mid - 46), (572, mid - 46), plus.top)
    d.math(288, mid - 10, "*h*")
    d.shape(96, mid + 20, FEATURES, "trace:transformer")
    d.shape(306, mid + 20, FEATURES, "module:hfebs.0.high_pass")
    d.shape(640, mid + 20, FEATURES, "module:hfebs.0")
    d.math(744, mid + 5, "*h* + *B*(*h*)", size=14)


def high_pass(d: Drawing) -> None:
    """r - upsample(pool(r))."""
    mid, low = 226, 312
    conv, channels = f"conv{PAPER.hfeb_kernel}", f"{CHANNELS} → {CHANNELS}"
    body = (
        d.box(92, mid - 22, 84, 44, "conv", conv, channels),
        d.box(200, mid - 22, 56, 44, "fixed", "ReLU"),
        d.box(280, mid - 22, 84, 44, "conv", conv, channels),
    )
    d.math(34, mid + 5, "*x*")
    end = d.chain((46, mid), *body)
    minus = d.operation(724, mid, "−")
    d.arrow(end, minus.left)
    d.dot((398, mid))
    d.math(388, mid - 9, "*r*")
    d.shape(450, mid - 9, FEATURES, "module:hfebs.0.high_pass.body")
    smooth_part(d, low, minus)
    d.arrow(minus.right, (784, mid))
    d.math(756, mid - 10, "*h*")
    d.note(92, low - 14, "Pooling keeps the smooth part of r;", "the learned upsampling brings it",
           "back to size, to be taken away.")  # fmt: skip


def smooth_part(d: Drawing, low: float, minus: Box) -> None:
    """upsample(pool(r)), from the branch below the row of r to `minus`."""
    pool = d.box(416, low - 24, 72, 48, "fixed", "average", "pool 2")
    conv = d.box(516, low - 24, 88, 48, "conv", "conv3", f"{CHANNELS} → {4 * CHANNELS}")
    shuffle = d.box(632, low - 24, 60, 48, "fixed", "pixel", "shuffle 2")
    d.arrow((398, minus.left[1]), (398, low), pool.left)
    d.chain(pool.right, conv, shuffle)
    d.arrow(shuffle.right, (724, low), minus.bottom)
    half = (GRID // 2, GRID // 2)
    d.shape(452, low + 41, (CHANNELS, *half), "input:hfebs.0.high_pass.upsample")
    d.shape(560, low + 41, (4 * CHANNELS, *half), "module:hfebs.0.high_pass.upsample.0")
    d.shape(664, low + 41, FEATURES, "module:hfebs.0.high_pass.upsample")


def curves(d: Drawing) -> None:
    """A signal, its smooth part, and the rest."""
    signal = edge_and_texture()
    smooth = pooled_and_enlarged(signal)
    rest = [a - b for a, b in zip(signal, smooth, strict=True)]
    rows = (
        ("r", signal, INK),
        ("smooth part of r", smooth, KINDS["fixed"][0]),
        ("what is left: h", rest, KINDS["detail"][0]),
    )
    for i, (name, values, colour) in enumerate(rows):
        frame = Box(40 + 256 * i, 400, 200, 86)
        d.axes(frame, 0.75)
        d.curve(frame, values, (-0.35, 1.05), colour)
        d.text(frame.x + 100, 508, name)
        if i:
            d.text(frame.x - 28, 448, "−" if i == 1 else "=", font_size=20)


def edge_and_texture() -> list[float]:
    """An edge, and a fine texture that fades in and out."""
    inside = range(LENGTH)
    texture = [math.cos(math.pi * i) * math.sin(math.pi * (i - 36) / 24) ** 2 * (36 < i < 60) for i in inside]
    return [0.7 * (i >= 19) + 0.2 * texture[i] for i in inside]


def pooled_and_enlarged(signal: list[float]) -> list[float]:
    """Means of two values, and straight lines between those."""
    pooled = [(a + b) / 2 for a, b in zip(signal[::2], signal[1::2], strict=True)]
    smooth = []
    for i in range(len(signal)):
        place = min(max((i - 0.5) / 2, 0), len(pooled) - 1)
        k = min(int(place), len(pooled) - 2)
        smooth.append(pooled[k] + (place - k) * (pooled[k + 1] - pooled[k]))
    return smooth


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
