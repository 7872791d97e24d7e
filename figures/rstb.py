"""Draws rstb.svg: the Transformer stream, its residual block, the Swin layer in it, and a window."""

from pathlib import Path

from drawing import GREY, KINDS, Drawing, Point, number, times
from paper import CHANNELS, FEATURES, GRID, PAPER, TOKENS

WINDOW_TOKENS = PAPER.window**2
WINDOWS_ACROSS = GRID // PAPER.window
HEAD_CHANNELS = CHANNELS // PAPER.heads
# Panel (d): upper edge and side of the two squares, and where each begins.
TOP, SIDE = 364, 136
GRID_X, WINDOW_X = 30, 256
ROW, COLUMN = 2, 3  # of the window that is shown


def draw() -> Drawing:
    """From the stream to one token."""
    d = Drawing(
        552,
        "Transformer stream and RSTB",
        "From above: the Transformer stream turns 60 by 64 by 64 features into 64 by 64 tokens of 60 numbers, and "
        "applies layer normalisation, one RSTB three times with the same weights, layer normalisation and a "
        "convolution. An RSTB adds to its input what a Swin layer and a convolution make of it. A Swin layer is "
        "window attention and an MLP, each after a layer normalisation and with a skip. The 64 by 64 tokens are cut "
        "into 64 windows of 8 by 8 tokens; a token attends to the 64 tokens of its window, in 6 heads of 10 channels.",
    )
    d.heading(16, 26, "a", f"Transformer stream: one RSTB, {PAPER.rstb_recursions} passes with the same weights")
    transformer_stream(d)
    d.heading(16, 168, "b", "RSTB")
    residual_block(d)
    d.heading(298, 168, "c", "Swin layer")
    swin_layer(d)
    d.heading(16, 346, "d", "Windows: a token sees the 64 tokens of its window, and nothing else")
    windows(d)
    return d


def transformer_stream(d: Drawing) -> None:
    """Panel (a)."""
    mid = 84
    parts = (
        d.box(98, mid - 24, 92, 48, "fixed", "to tokens", "c h w → h w c"),
        d.box(208, mid - 24, 92, 48, "attention", "LayerNorm"),
        d.box(334, mid - 24, 72, 48, "attention", "RSTB", f"{PAPER.rstb_recursions} passes"),
        d.box(438, mid - 24, 92, 48, "attention", "LayerNorm"),
        d.box(548, mid - 24, 92, 48, "fixed", "to features", "h w c → c h w"),
        d.box(660, mid - 24, 54, 48, "conv", "conv3"),
    )
    end = d.chain((16, mid), *parts)
    d.arrow(end, (790, mid))
    d.arrow((420, mid), (420, mid - 40), (316, mid - 40), (316, mid - 3))
    d.dot((420, mid))
    d.text(54, mid - 12, "× style[1]", font_size=12)
    d.shape(54, mid + 20, FEATURES, "input:transformer")
    d.shape(254, mid + 42, TOKENS, "module:transformer.norm_in")
    d.shape(370, mid + 42, TOKENS, "module:transformer.rstb")
    d.shape(752, mid + 20, FEATURES, "trace:transformer")


def residual_block(d: Drawing) -> None:
    """x + conv3(Swin layer(x))."""
    mid = 246
    swin = d.box(64, mid - 28, 78, 56, "attention", "Swin layer", f"depth {PAPER.depth}")
    conv = d.box(160, mid - 28, 54, 56, "conv", "conv3")
    plus = d.operation(240, mid, "+")
    d.math(24, mid + 5, "*x*")
    end = d.chain((32, mid), swin, conv, plus)
    d.arrow(end, (276, mid))
    d.dot((46, mid))
    d.arrow((46, mid), (46, mid - 48), (240, mid - 48), plus.top)
    d.shape(150, mid + 50, TOKENS, "module:transformer.rstb")


def swin_layer(d: Drawing) -> None:
    """x + attention(norm(x)), then x + mlp(norm(x))."""
    mid, hidden = 246, PAPER.mlp_ratio * CHANNELS
    norms = [d.box(x, mid - 28, 48, 56, "attention", "norm") for x in (336, 556)]
    attention = d.box(400, mid - 28, 86, 56, "attention", "attention", "in windows")
    mlp = d.box(620, mid - 28, 92, 56, "attention", "MLP", f"{CHANNELS} → {hidden} → {CHANNELS}")
    pluses = [d.operation(x, mid, "+") for x in (512, 738)]
    d.math(304, mid + 5, "*x*")
    end = d.chain((312, mid), norms[0], attention, pluses[0], norms[1], mlp, pluses[1])
    d.arrow(end, (786, mid))
    for start, plus in ((324, pluses[0]), (539, pluses[1])):
        d.dot((start, mid))
        d.arrow((start, mid), (start, mid - 48), (plus.x + 10, mid - 48), plus.top)
    d.shape(443, mid + 50, TOKENS, "module:transformer.rstb.layers.0.norm1")
    d.shape(666, mid + 50, TOKENS, "module:transformer.rstb.layers.0.mlp")


def windows(d: Drawing) -> None:
    """All windows, one of them, one token of that, and the formula."""
    all_windows(d)
    query = one_window(d)
    cell, below = SIDE / WINDOWS_ACROSS, TOP + SIDE
    for corner in (0, 1):
        d.line((GRID_X + (COLUMN + 1) * cell, TOP + (ROW + corner) * cell), (WINDOW_X, TOP + corner * SIDE),
               dash="3 4", colour=GREY, width=1)  # fmt: skip
    d.text(98, below + 18, f"{times((GRID, GRID))} tokens", font_size=12.5)
    d.text(98, below + 35, f"in {WINDOWS_ACROSS**2} windows", font_size=12.5)
    d.text(324, below + 18, "one window:", font_size=12.5)
    d.text(324, below + 35, f"{times((PAPER.window, PAPER.window))} = {WINDOW_TOKENS} tokens", font_size=12.5)
    heads(d, query)
    formula(d)


def all_windows(d: Drawing) -> None:
    """The grid of tokens, cut into windows."""
    stroke, fill = KINDS["attention"]
    cell = SIDE / WINDOWS_ACROSS
    x, y = GRID_X + COLUMN * cell, TOP + ROW * cell
    d.add("rect", x=GRID_X, y=TOP, width=SIDE, height=SIDE, fill="#FFFFFF")
    d.add("rect", x=x, y=y, width=cell, height=cell, fill=fill)
    square_grid(d, GRID_X, WINDOWS_ACROSS, GREY)
    d.add("rect", x=x, y=y, width=cell, height=cell, fill="none", stroke=stroke, stroke_width=2.4)


def one_window(d: Drawing) -> Point:
    """A window whose token in row 4, column 2 attends to others; returns where that token lies."""
    stroke, fill = KINDS["attention"]
    cell = SIDE / PAPER.window
    d.add("rect", x=WINDOW_X, y=TOP, width=SIDE, height=SIDE, fill=fill)
    query = (WINDOW_X + 2.5 * cell, TOP + 4.5 * cell)
    for row, column in ((0, 1), (2, 5), (5, 7), (6, 3), (7, 6), (1, 3)):
        key = (WINDOW_X + (column + 0.5) * cell, TOP + (row + 0.5) * cell)
        d.line(query, key, colour=stroke, width=1.2)
        d.add("circle", cx=key[0], cy=key[1], r=3, fill=stroke)
    square_grid(d, WINDOW_X, PAPER.window, stroke)
    d.add("rect", x=WINDOW_X + 2 * cell, y=TOP + 4 * cell, width=cell, height=cell, fill=stroke)
    return query


def square_grid(d: Drawing, x: float, cells: int, colour: str) -> None:
    """A square of cells x cells."""
    step = SIDE / cells
    path = "".join(
        f"M{number(x + i * step)} {number(TOP)}v{number(SIDE)}M{number(x)} {number(TOP + i * step)}h{number(SIDE)}"
        for i in range(cells + 1)
    )
    d.add("path", d=path, stroke=colour, stroke_width=1, fill="none")


def heads(d: Drawing, query: Point) -> None:
    """A token, cut into heads."""
    x, width = 452, 326
    stroke, fill = KINDS["attention"]
    each = width / PAPER.heads
    for head in range(PAPER.heads):
        d.add("rect", x=x + head * each, y=TOP + 4, width=each, height=24, fill=fill, stroke=stroke)
        d.text(x + (head + 0.5) * each, TOP + 20.5, f"head {head}", font_size=12)
    d.line((query[0] + 8, query[1]), (424, query[1]), (424, TOP + 16), (x - 2, TOP + 16), tip=True, dash="3 4",
           colour=GREY)  # fmt: skip


def formula(d: Drawing) -> None:
    """What each head computes, and how much that is."""
    x = 452
    d.note(x, TOP + 46, f"One token is {CHANNELS} numbers: {PAPER.heads} heads of {HEAD_CHANNELS}. In every head")
    d.math(x + 163, TOP + 78, "softmax(*q k*ᵀ ∕ √*d* + *bias*) *v*", size=17)
    d.note(x, TOP + 104, f"The bias is learned, for each of {(2 * PAPER.window - 1) ** 2} offsets. Together:")
    shape = (WINDOWS_ACROSS**2, WINDOW_TOKENS, CHANNELS)
    d.shape(x, TOP + 122, shape, "module:transformer.rstb.layers.0.attention", "start")
    d.note(x + 70, TOP + 122, "windows × tokens × channels")


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
