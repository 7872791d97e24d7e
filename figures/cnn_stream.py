"""Draws cnn_stream.svg: recursion with shared weights, a residual block, and the receptive field."""

from pathlib import Path

from drawing import GREY, KINDS, Box, Drawing, Point, times
from paper import CHANNELS, FEATURES, GRID, PAPER


def draw() -> Drawing:
    """The stream above, its block and what it sees below."""
    d = Drawing(
        424,
        "CNN stream",
        "Above: a 3 by 3 convolution and two residual blocks with 5 by 5 kernels are applied twice with the same "
        "weights; the shape stays 60 by 64 by 64. Below left: a residual block is convolution, ReLU, convolution, "
        "plus its input. Below right: after the first pass an output pixel sees 19 by 19 positions of the 64 by 64 "
        "grid, after the second 37 by 37.",
    )
    d.heading(16, 26, "a", f"CNN stream: one set of weights, {PAPER.cnn_recursions} passes")
    recursion(d)
    d.heading(16, 226, "b", f"ResBlock({CHANNELS}, k{PAPER.cnn_kernel})")
    residual_block(d)
    d.heading(490, 226, "c", "What one output position sees")
    receptive_field(d)
    return d


def recursion(d: Drawing) -> None:
    """The recursion, unrolled."""
    mid = 96
    before: Point = (16, mid)
    for i in range(PAPER.cnn_recursions):
        x = 104 + 322 * i
        d.group(Box(x, mid - 48, 292, 96), dashed=i > 0)
        d.text(x + 14, mid - 27, f"pass {i + 1}", "start", font_size=12.5)
        conv = d.box(x + 14, mid - 17, 58, 34, "conv", "conv3")
        blocks = [d.box(x + 90 + 102 * j, mid - 17, 84, 34, "conv", "ResBlock") for j in range(PAPER.cnn_blocks)]
        before = d.chain(before, conv, *blocks)
    d.arrow(before, (784, mid))
    d.shape(58, mid + 20, FEATURES, "input:cnn")
    d.text(58, mid - 12, "× style[0]", font_size=12)
    d.shape(756, mid + 20, FEATURES, "trace:cnn")
    d.line((250, mid + 50), (250, mid + 72), (572, mid + 72), (572, mid + 50), dash="2 4", colour=GREY)
    d.text(411, mid + 90, "the same weights", font_size=12.5, fill=GREY)


def residual_block(d: Drawing) -> None:
    """conv - ReLU - conv, plus the input."""
    mid = 318
    conv, channels = f"conv{PAPER.cnn_kernel}", f"{CHANNELS} → {CHANNELS}"
    parts = (
        d.box(82, mid - 24, 88, 48, "conv", conv, channels),
        d.box(194, mid - 24, 58, 48, "fixed", "ReLU"),
        d.box(276, mid - 24, 88, 48, "conv", conv, channels),
        d.operation(398, mid, "+"),
    )
    d.math(24, mid + 5, "*x*")
    end = d.chain((34, mid), *parts)
    d.arrow(end, (444, mid))
    d.dot((54, mid))
    d.arrow((54, mid), (54, mid - 48), (398, mid - 48), parts[-1].top)
    d.text(226, mid - 54, "x unchanged", font_size=12, fill=GREY)
    d.note(
        82, mid + 52, "No normalisation, and the sum is not scaled: the block", "only learns what has to be changed."
    )


def receptive_field(d: Drawing) -> None:
    """Nested squares on the streams’ grid."""
    cell, x, y = 2.5, 490, 244
    side = cell * GRID
    d.add("rect", x=x, y=y, width=side, height=side, fill="#FFFFFF", stroke=GREY)
    per_pass = 2 + PAPER.cnn_blocks * 2 * (PAPER.cnn_kernel - 1)
    middle = (x + side / 2, y + side / 2)
    d.text(674, y + 13, "the streams’ grid", "start", font_size=12.5)
    d.text(674, y + 30, times((GRID, GRID)), "start", font_size=12, fill=GREY)
    for passes in range(PAPER.cnn_recursions, 0, -1):
        seen = 1 + passes * per_pass
        half = cell * seen / 2
        d.add("rect", x=middle[0] - half, y=middle[1] - half, width=2 * half, height=2 * half,
              fill=KINDS["conv"][0], fill_opacity="0.22", stroke=KINDS["conv"][0], stroke_width=1.4)  # fmt: skip
        row = y + 56 + 52 * (PAPER.cnn_recursions - passes)
        d.line((middle[0] + half, row + 4), (668, row + 4), colour=GREY, width=1)
        d.text(674, row, f"{passes} pass{'es' if passes > 1 else ''}", "start", font_size=12.5)
        d.shape(674, row + 17, (seen, seen), f"field:{passes}", "start")
    d.dot(middle)


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
