"""Draws every diagram of the course as SVG: `python figures/draw.py` writes the files beside this program.

Only the standard library draws; the numbers come from `ELSFaceConfig.paper()` and from the Sharp Loss itself. Every
shape carries the name of the tensor that it belongs to (`data-of`), by which tests/test_figures.py checks it.
Sizes are in pixels at the width of a notebook, 800; no text is below 12.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from elsface_lite.losses import SharpLoss
from elsface_lite.model import ELSFaceConfig

Point = tuple[float, float]

WIDTH = 800
INK, GREY, PALE = "#1A1A1A", "#595959", "#C4C4C4"
SERIF = "Georgia, 'Times New Roman', serif"
# Stroke and fill of what a part does, after Okabe and Ito's colour-blind safe palette; each box also says it in words.
KINDS = {
    "conv": ("#0072B2", "#DCECF7"),
    "attention": ("#B07A00", "#FCEBC8"),
    "detail": ("#C04F00", "#FBE0D0"),
    "style": ("#007D5B", "#D4EFE5"),
    "fixed": ("#6E6E6E", "#F0F0F0"),
}

PAPER = ELSFaceConfig.paper()
LR = 32
GRID = LR * PAPER.grid
HR = LR * PAPER.scale
CHANNELS = PAPER.channels
STREAMS = 2
WIDE = STREAMS * CHANNELS
FEATURES = (CHANNELS, GRID, GRID)
TOKENS = (GRID, GRID, CHANNELS)
SHARP_WEIGHT = 0.05  # of the Sharp Loss in the paper's training loss


def number(value: float) -> str:
    """A coordinate as short as it can be: one decimal, and none where it is 0."""
    return f"{value:.1f}".removesuffix(".0")


def times(dims: Sequence[int]) -> str:
    """A shape in words: (60, 64, 64) -> "60×64×64"."""
    return "×".join(str(dim) for dim in dims)


def rounded(points: Sequence[Point], radius: float = 7) -> str:
    """The path of a line through `points` whose corners are rounded."""
    path = f"M{number(points[0][0])} {number(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        ends = []
        for end in (before, after):
            length = math.dist(corner, end)
            part = min(radius, length / 2) / length
            ends.append([number(c + part * (e - c)) for c, e in zip(corner, end, strict=True)])
        path += f"L{' '.join(ends[0])}Q{number(corner[0])} {number(corner[1])} {' '.join(ends[1])}"
    return path + f"L{number(points[-1][0])} {number(points[-1][1])}"


class Box(NamedTuple):
    """Where a box lies, and where arrows meet it."""

    x: float
    y: float
    w: float
    h: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.h / 2

    @property
    def right(self) -> Point:
        return self.x + self.w, self.y + self.h / 2

    @property
    def top(self) -> Point:
        return self.x + self.w / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.w / 2, self.y + self.h


class Drawing:
    """One diagram: an opaque page on which parts are placed by hand.

    Args:
        height: of the page, in pixels; the width is that of a notebook.
        title: a short name, read out by screen readers.
        desc: what the diagram says, for those who cannot see it.
    """

    def __init__(self, height: float, title: str, desc: str) -> None:
        self.head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{number(height)}" '
            f'viewBox="0 0 {WIDTH} {number(height)}" role="img" aria-labelledby="title desc" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(desc)}</desc>',
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0.8L10 5L0 9.2z" fill="{INK}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{number(height)}" fill="#FFFFFF"/>',
        ]
        self.parts: list[str] = []

    def svg(self) -> str:
        """The file's text."""
        return "\n".join([*self.head, *self.parts, "</svg>", ""])

    def add(self, tag: str, **attributes: str | float) -> None:
        """Any SVG element; numbers are shortened, `_` in a name becomes `-`."""
        pairs = ((k.replace("_", "-"), number(v) if not isinstance(v, str) else v) for k, v in attributes.items())
        self.parts.append(f"<{tag} " + " ".join(f'{k}="{escape(v)}"' for k, v in pairs) + "/>")

    def text(self, x: float, y: float, string: str, anchor: str = "middle", **style: str | float) -> None:
        """A line of text whose baseline is at y."""
        style = {k.replace("_", "-"): number(v) if not isinstance(v, str) else v for k, v in style.items()}
        extra = "".join(f' {k}="{escape(v)}"' for k, v in style.items())
        where = f'x="{number(x)}" y="{number(y)}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self.parts.append(f"<text {where}{extra}>{escape(string, quote=False)}</text>")

    def math(self, x: float, y: float, string: str, anchor: str = "middle", size: float = 15, **style: str) -> None:
        """A formula in serif type; letters between asterisks are italic."""
        spans = string.split("*")
        body = "".join(
            f'<tspan font-style="italic">{escape(s)}</tspan>' if i % 2 else escape(s) for i, s in enumerate(spans)
        )
        extra = "".join(f' {k.replace("_", "-")}="{escape(v)}"' for k, v in style.items())
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" font-family="{escape(SERIF)}" '
            f'font-size="{number(size)}"{extra}>{body}</text>'
        )

    def shape(self, x: float, y: float, dims: Sequence[int], of: str, anchor: str = "middle") -> None:
        """The shape of a tensor, and which: "trace:head" or "module:hfebs.0" (what that module puts out)."""
        self.text(x, y, times(dims), anchor, font_size=12, fill=GREY, data_of=of)

    def note(self, x: float, y: float, *lines: str, anchor: str = "start") -> None:
        """Explaining words, one line below the other."""
        for i, line in enumerate(lines):
            self.text(x, y + 16 * i, line, anchor, font_size=12.5, fill=GREY)

    def heading(self, x: float, y: float, letter: str, words: str) -> None:
        """The name of a panel: (a) the whole."""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}" font-size="14"><tspan font-weight="bold">{letter}</tspan>'
            f'<tspan dx="7">{escape(words)}</tspan></text>'
        )

    def box(self, x: float, y: float, w: float, h: float, kind: str, name: str = "", *lines: str) -> Box:
        """A part of the network: its name in bold, and what it is made of below."""
        stroke, fill = KINDS[kind]
        self.add("rect", x=x, y=y, width=w, height=h, rx=5, fill=fill, stroke=stroke, stroke_width=1.4)
        first = y + h / 2 + 4.5 - 8 * len(lines)
        if name:
            self.text(x + w / 2, first, name, font_weight="bold")
        for i, line in enumerate(lines, start=1):
            self.text(x + w / 2, first + 16 * i, line, font_size=12)
        return Box(x, y, w, h)

    def group(self, x: float, y: float, w: float, h: float, name: str = "", dashed: bool = False) -> Box:
        """A frame around parts that belong together."""
        style: dict[str, str | float] = {"stroke_dasharray": "5 4"} if dashed else {}
        self.add(
            "rect", x=x, y=y, width=w, height=h, rx=10, fill="#FAFAFA", stroke="#8C8C8C", stroke_width=1.1, **style
        )
        if name:
            self.text(x + w / 2, y + 21, name, font_weight="bold", font_size=14)
        return Box(x, y, w, h)

    def line(self, *points: Point, tip: bool = False, dash: str = "", colour: str = INK, width: float = 1.4) -> None:
        """A line through points, corners rounded; with `tip` it ends in an arrow."""
        style = {"marker_end": "url(#tip)"} if tip else {}
        if dash:
            style["stroke_dasharray"] = dash
        self.add("path", d=rounded(points), fill="none", stroke=colour, stroke_width=width, **style)

    def arrow(self, *points: Point) -> None:
        """What flows where."""
        self.line(*points, tip=True)

    def operation(self, x: float, y: float, sign: str) -> Box:
        """A circle that adds "+", subtracts "−" or multiplies "×" what comes in."""
        r = 10
        self.add("circle", cx=x, cy=y, r=r, fill="#FFFFFF", stroke=INK, stroke_width=1.4)
        a = 5 if sign != "×" else 4
        lines = {"+": f"M{-a} 0H{a}M0 {-a}V{a}", "−": f"M{-a} 0H{a}", "×": f"M{-a} {-a}L{a} {a}M{-a} {a}L{a} {-a}"}
        self.add("path", d=lines[sign], transform=f"translate({number(x)} {number(y)})", stroke=INK, stroke_width=1.6)
        return Box(x - r, y - r, 2 * r, 2 * r)

    def dot(self, point: Point) -> None:
        """Where a line branches."""
        self.add("circle", cx=point[0], cy=point[1], r=2.6)


FACE = (  # cx, cy, rx, ry (per cent of a square) and colour of ellipses, the later ones on top
    (50, 106, 44, 24, "#3F5F7A"),  # shoulders
    (50, 84, 12, 18, "#CF9A75"),  # neck
    (50, 42, 32, 35, "#4A382C"),  # hair
    (25, 53, 4, 7, "#CF9A75"),  # ears
    (75, 53, 4, 7, "#CF9A75"),
    (50, 51, 25, 33, "#E3B48F"),  # face
    (50, 21, 22, 9, "#4A382C"),  # fringe
    (39, 42, 7, 1.6, "#4A382C"),  # brows
    (61, 42, 7, 1.6, "#4A382C"),
    (39, 48.5, 5.5, 3.2, "#FFFFFF"),  # eyes
    (61, 48.5, 5.5, 3.2, "#FFFFFF"),
    (39, 48.5, 2.7, 3, "#33414E"),
    (61, 48.5, 2.7, 3, "#33414E"),
    (50, 61, 4, 2.6, "#C98F6B"),  # nose
    (50, 71.5, 9, 2.8, "#A8514A"),  # mouth
)
BACKDROP = "#B9CDDB"


def face_colour(u: float, v: float) -> tuple[int, ...]:
    """The colour of the drawn face at (u, v), in per cent of the square."""
    colour = BACKDROP
    for cx, cy, rx, ry, paint in FACE:
        if ((u - cx) / rx) ** 2 + ((v - cy) / ry) ** 2 <= 1:
            colour = paint
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def sharp_face(d: Drawing, x: float, y: float, side: float) -> Box:
    """A face, drawn: what SR and HR stand for."""
    d.add("rect", x=x, y=y, width=side, height=side, fill=BACKDROP)
    ellipses = "".join(
        f'<ellipse cx="{number(cx)}" cy="{number(cy)}" rx="{number(rx)}" ry="{number(ry)}" fill="{paint}"/>'
        for cx, cy, rx, ry, paint in FACE
    )
    frame = f'x="{number(x)}" y="{number(y)}" width="{number(side)}" height="{number(side)}"'
    d.parts.append(f'<svg {frame} viewBox="0 0 100 100">{ellipses}</svg>')
    d.add("rect", x=x, y=y, width=side, height=side, fill="none", stroke=INK)
    return Box(x, y, side, side)


def coarse_face(d: Drawing, x: float, y: float, side: float, cells: int = 10, samples: int = 6) -> Box:
    """The same face in a few square pixels, each the mean of what it covers: what LR stands for."""
    cell = side / cells
    for row in range(cells):
        for col in range(cells):
            points = [(i + 0.5) / samples for i in range(samples)]
            inside = [face_colour(100 * (col + a) / cells, 100 * (row + b) / cells) for a in points for b in points]
            mean = [round(sum(channel) / len(inside)) for channel in zip(*inside, strict=True)]
            paint = "#" + "".join(f"{value:02X}" for value in mean)
            # A little more than the cell, so that no seam shows.
            d.add("rect", x=x + col * cell, y=y + row * cell, width=cell + 0.4, height=cell + 0.4, fill=paint)
    d.add("rect", x=x, y=y, width=side, height=side, fill="none", stroke=INK)
    return Box(x, y, side, side)


def cuboid(d: Drawing, x: float, y: float, side: float, depth: float, kind: str) -> Box:
    """Feature maps, as the front one of a stack; (x, y) is the upper left corner of the front."""
    stroke, fill = KINDS[kind]
    dx, dy = depth, -depth * 0.6
    top = f"M{number(x)} {number(y)}l{number(dx)} {number(dy)}h{number(side)}l{number(-dx)} {number(-dy)}z"
    flank = f"M{number(x + side)} {number(y)}l{number(dx)} {number(dy)}v{number(side)}l{number(-dx)} {number(-dy)}z"
    for path, paint in ((top, "#FFFFFF"), (flank, fill)):
        d.add("path", d=path, fill=paint, stroke=stroke, stroke_width=1.2, stroke_linejoin="round")
    d.add("rect", x=x, y=y, width=side, height=side, fill=fill, stroke=stroke, stroke_width=1.2)
    return Box(x, y, side, side)


FILTERS = (  # (down, right, weight) of small filters over the drawn face: what a channel may look for
    ((0, 0, 1),),
    ((0, 0, 1), (0, 1, -1)),
    ((0, 0, 1), (1, 0, -1)),
    ((0, 0, 4), (0, 1, -1), (1, 0, -1), (0, -1, -1), (-1, 0, -1)),
    ((0, 0, -1),),
    ((0, 0, 1), (1, 1, -1)),
)


def filtered_face(taps: Sequence[tuple[int, int, float]], cells: int) -> list[list[float]]:
    """The drawn face through a filter, as cells x cells values from 0 to 1."""
    at = [
        [sum(face_colour(100 * (j + 0.5) / cells, 100 * (i + 0.5) / cells)) for j in range(cells)] for i in range(cells)
    ]
    inside = range(cells)
    edge = [[sum(w * at[(i + a) % cells][(j + b) % cells] for a, b, w in taps) for j in inside] for i in inside]
    # Differences count by their size, so that a flat region is empty.
    maps = [[abs(v) for v in row] for row in edge] if len(taps) > 1 else edge
    low, high = min(map(min, maps)), max(map(max, maps))
    return [[(v - low) / (high - low) for v in row] for row in maps]


def feature_map(
    d: Drawing, x: float, y: float, side: float, channel: int, strength: float = 1, levels: int = 4
) -> None:
    """One channel of features, made up: the drawn face through a filter, weighed by `strength`."""
    cells = 12
    values = filtered_face(FILTERS[channel], cells)
    d.add("rect", x=x, y=y, width=side, height=side, fill="#FFFFFF", stroke=KINDS["conv"][0])
    for level in range(1, levels + 1):
        path = "".join(
            f"M{j} {i}h1v1h-1z" for i in range(cells) for j in range(cells) if round(levels * values[i][j]) == level
        )
        place = f"translate({number(x)} {number(y)}) scale({side / cells:.3f})"
        d.add("path", d=path, transform=place, fill=KINDS["conv"][0], fill_opacity=f"{strength * level / levels:.2f}")


def curve(d: Drawing, frame: Box, values: Sequence[float], low: float, high: float, colour: str = INK) -> None:
    """Values from left to right over a frame, `low` at its bottom and `high` at its top."""
    step = frame.w / (len(values) - 1)
    points = [(frame.x + i * step, frame.y + frame.h * (high - v) / (high - low)) for i, v in enumerate(values)]
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    d.add("path", d=path, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round")


def axes(d: Drawing, x: float, y: float, w: float, h: float, zero: float = 1) -> Box:
    """A frame for curves: a line at the left, and one across at `zero` of the height."""
    d.line((x, y), (x, y + h), colour=GREY, width=1)
    d.line((x, y + zero * h), (x + w, y + zero * h), colour=GREY, width=1)
    return Box(x, y, w, h)


def overview() -> Drawing:
    """The whole network: two stages, one upsampling."""
    d = Drawing(
        404,
        "ELSFace, overview",
        "An LR face enters the Feature Preparation Stage: a head of convolutions makes features, which are enlarged "
        "twice; beside it the latent style encoder writes one style for each stream. The features are split in two "
        "and multiplied by the styles. In the Feature Carving Stage one half passes the CNN stream, the other the "
        "Transformer stream and the High-Frequency Enhancement Blocks. Their sum is upsampled to the SR face.",
    )
    modulate = overview_preparation(d)
    fused = overview_carving(d, modulate)
    overview_upsampling(d, fused)
    overview_legend(d)
    return d


def overview_preparation(d: Drawing) -> Box:
    """LR face, head, styles, and the box in which they meet."""
    c = PAPER
    mid = 152
    d.group(72, 14, 318, 376, "Feature Preparation Stage")
    lr = coarse_face(d, 16, mid - 16, 32)
    d.text(32, mid + 34, "LR", font_weight="bold")
    d.shape(34, mid + 50, (3, LR, LR), "input")
    head = d.box(98, mid - 34, 98, 68, "conv", "head", f"conv3 3 → {WIDE}", f"{c.head_blocks} × ResBlock")
    d.shape(147, mid + 51, (WIDE, LR, LR), "trace:head")
    enlarge = d.box(216, mid - 26, 62, 52, "fixed", f"× {c.grid}", "bilinear")
    d.shape(247, mid + 51, (WIDE, GRID, GRID), "input:prepare.split")
    modulate = d.box(302, 62, 74, 180, "style")
    encoder = d.box(98, 300, 180, 58, "style", "latent style encoder", "strided convs, linear")
    d.shape(188, 375, (STREAMS, CHANNELS), "trace:style")
    d.arrow(lr.right, head.left)
    d.arrow(head.right, enlarge.left)
    d.arrow(enlarge.right, modulate.left)
    d.dot((82, mid))
    d.arrow((82, mid), (82, encoder.left[1]), encoder.left)
    d.arrow(encoder.right, (339, encoder.right[1]), modulate.bottom)
    for stream, y in enumerate((98, 206)):
        d.operation(339, y, "×")
        d.math(339, y + 28, f"*style*[{stream}]", size=13.5)
    d.text(339, 148, "split and", font_weight="bold")
    d.text(339, 164, "modulate", font_weight="bold")
    d.math(347, 282, "*style*", "start", 14)
    return modulate


def overview_carving(d: Drawing, modulate: Box) -> Box:
    """The two streams and their sum."""
    c = PAPER
    right = modulate.x + modulate.w
    d.group(402, 14, 250, 262, "Feature Carving Stage")
    cnn = d.box(424, 66, 154, 64, "conv", "CNN stream", f"conv3, {c.cnn_blocks} × ResBlock, k{c.cnn_kernel}",
                f"{c.cnn_recursions} passes, same weights")  # fmt: skip
    d.shape(501, 147, FEATURES, "trace:cnn")
    attention = d.box(418, 174, 98, 64, "attention", "Transformer", "RSTB", f"{c.rstb_recursions} passes")
    d.shape(467, 255, FEATURES, "trace:transformer")
    hfeb = d.box(536, 174, 62, 64, "detail", "HFEB", f"{c.hfebs} blocks")
    d.shape(567, 255, FEATURES, "trace:hfeb")
    plus = d.operation(626, 152, "+")
    d.shape(609, 162, FEATURES, "trace:fused", "end")
    d.arrow((right, 98), cnn.left)
    d.arrow((right, 206), attention.left)
    d.arrow(attention.right, hfeb.left)
    d.arrow(cnn.right, (626, 98), plus.top)
    d.arrow(hfeb.right, (626, 206), plus.bottom)
    return plus


def overview_upsampling(d: Drawing, fused: Box) -> None:
    """From the sum to the SR face, drawn four times as wide as the LR face."""
    c = PAPER
    enlarge = c.scale // c.grid
    box = d.box(674, 112, 112, 80, "conv", "upsampling", f"conv3 {CHANNELS} → {c.out_channels * enlarge**2}",
                f"pixel shuffle {enlarge}", f"conv3 {c.out_channels} → 3")  # fmt: skip
    sr = sharp_face(d, 666, 222, 128)
    d.text(700, 372, "SR", font_weight="bold")
    d.shape(716, 372, (3, HR, HR), "trace:sr", "start")
    d.arrow(fused.right, box.left)
    d.arrow(box.bottom, sr.top)


def overview_legend(d: Drawing) -> None:
    """What the colours and the grey numbers mean."""
    rows = (("conv", "convolutions"), ("attention", "attention"), ("detail", "high frequencies"), ("style", "styles"),
            ("fixed", "nothing learned"))  # fmt: skip
    for i, (kind, words) in enumerate(rows):
        x, y = 408 + 124 * (i % 2), 298 + 20 * (i // 2)
        stroke, fill = KINDS[kind]
        d.add("rect", x=x, y=y, width=16, height=12, rx=2, fill=fill, stroke=stroke, stroke_width=1.4)
        d.text(x + 23, y + 10.5, words, "start", font_size=12)
    d.note(408, 370, "Grey numbers: the shape that leaves a box,", "channels × height × width.")


def style_encoder() -> Drawing:
    """The pyramid that writes the styles, and what a style does to features."""
    d = Drawing(
        472,
        "Latent style encoder and modulation",
        "Above: the LR face passes four levels of two convolutions each, which halve its size from 32 to 16, 8 and 4, "
        "at 60 channels; one more convolution, then the 960 values are flattened and a linear layer writes 120 "
        "numbers, a style of 60 for each of two streams. Below: every feature channel of a stream is multiplied by "
        "its number in the style, the same at all positions.",
    )
    d.heading(16, 26, "a", "Latent style encoder: the whole face in one short vector per stream")
    style_pyramid(d)
    style_vectors(d)
    d.heading(16, 278, "b", "Modulation: one weight per stream and channel, the same for all positions")
    style_modulation(d)
    return d


def style_pyramid(d: Drawing) -> None:
    """The levels, drawn to scale: two pixels of the page for one of the feature maps."""
    mid = 120
    lr = coarse_face(d, 16, mid - 32, 64)
    d.text(48, mid - 44, "LR", font_weight="bold")
    d.shape(48, mid + 52, (3, LR, LR), "input")
    before = lr.right
    for level, x in enumerate((138, 284, 392, 478)):
        side = LR >> level
        slab = cuboid(d, x, mid - side, 2 * side, 16, "style")
        start = before[0]
        d.arrow(before, slab.left)
        d.shape(x + side + 4, mid + 52, (CHANNELS, side, side), f"module:prepare.encoder.body.{4 * level + 3}")
        d.note((start + x) / 2, mid + 76, "conv3, ÷2" if level else "conv3", "conv3", anchor="middle")
        # From the middle of the flank, which lies behind the front.
        before = (x + 2 * side + 8, mid)
    d.note(16, mid + 118, "÷2 is a stride of 2. A leaky ReLU (slope 0.2) follows every convolution.")


def style_vectors(d: Drawing) -> None:
    """From the last level to the two styles."""
    mid, last = 120, 16 * CHANNELS
    flat = d.box(570, mid - 52, 16, 92, "style")
    d.arrow((494, mid), (570, mid))
    d.shape(578, mid + 56, (last,), "input:prepare.encoder.to_styles")
    d.note(534, mid + 76, "conv3,", "flatten", anchor="middle")
    d.note(622, mid + 76, "linear", f"{last} → {WIDE}", anchor="middle")
    for stream, (y, words) in enumerate(((mid - 36, "CNN stream"), (mid + 28, "Transformer stream"))):
        bar = d.box(654, y - 20, 16, 40, "style")
        d.math(680, y - 3, f"*style*[{stream}]", "start", 14)
        d.text(680, y + 14, words, "start", font_size=12)
        d.arrow((flat.x + flat.w, mid), (620, mid), (620, y), bar.left)
    d.shape(680, mid + 66, (STREAMS, CHANNELS), "trace:style", "start")


def style_modulation(d: Drawing) -> None:
    """Feature maps, their weights, and the weighed maps."""
    weights, side, top = (0.85, 0.25, 0.6, 0.1, 1.0, 0.45), 48, 296
    for y, name in ((top + 29, "features of stream s"), (top + 83, "weights style[s]"), (top + 145, "modulated")):
        d.text(160, y, name, "end")
    for i, weight in enumerate(weights):
        x = 180 + 64 * i + (30 if i == len(weights) - 1 else 0)
        feature_map(d, x, top, side, i)
        d.line((x + side / 2, top + side + 3), (x + side / 2, top + 69))
        d.add("rect", x=x, y=top + 72, width=side, height=14, fill="#FFFFFF", stroke=KINDS["style"][0])
        d.add("rect", x=x, y=top + 72, width=side * weight, height=14, fill=KINDS["style"][0])
        d.arrow((x + side / 2, top + 89), (x + side / 2, top + 112))
        feature_map(d, x, top + 116, side, i, weight)
    for y in (top + 28, top + 82, top + 144):
        d.text(501, y, "…")
    d.math(600, top + 74, "*y*[*s*, *c*, *h*, *w*]", "start", 14)
    d.math(612, top + 96, "= *style*[*s*, *c*] · *x*[*s*, *c*, *h*, *w*]", "start", 14)


def cnn_stream() -> Drawing:
    """Recursion with shared weights, a residual block, and the receptive field."""
    d = Drawing(
        424,
        "CNN stream",
        "Above: a 3 by 3 convolution and two residual blocks with 5 by 5 kernels are applied twice with the same "
        "weights; the shape stays 60 by 64 by 64. Below left: a residual block is convolution, ReLU, convolution, "
        "plus its input. Below right: after the first pass an output pixel sees 19 by 19 positions of the 64 by 64 "
        "grid, after the second 37 by 37.",
    )
    d.heading(16, 26, "a", f"CNN stream: one set of weights, {PAPER.cnn_recursions} passes")
    cnn_passes(d)
    d.heading(16, 226, "b", f"ResBlock({CHANNELS}, k{PAPER.cnn_kernel})")
    residual_block(d)
    d.heading(490, 226, "c", "What one output position sees")
    receptive_field(d)
    return d


def cnn_passes(d: Drawing) -> None:
    """The recursion, unrolled."""
    c, mid = PAPER, 96
    before: Point = (16, mid)
    for i in range(c.cnn_recursions):
        x = 104 + 322 * i
        d.group(x, mid - 48, 292, 96, dashed=i > 0)
        d.text(x + 14, mid - 27, f"pass {i + 1}", "start", font_size=12.5)
        parts = [d.box(x + 14, mid - 17, 58, 34, "conv", "conv3")]
        parts += [d.box(x + 90 + 102 * j, mid - 17, 84, 34, "conv", "ResBlock") for j in range(c.cnn_blocks)]
        for part in parts:
            d.arrow(before, part.left)
            before = part.right
    d.arrow(before, (784, mid))
    d.shape(58, mid + 20, FEATURES, "input:cnn")
    d.text(58, mid - 12, "× style[0]", font_size=12)
    d.shape(756, mid + 20, FEATURES, "trace:cnn")
    d.line((250, mid + 50), (250, mid + 72), (572, mid + 72), (572, mid + 50), dash="2 4", colour=GREY)
    d.text(411, mid + 90, "the same weights", font_size=12.5, fill=GREY)


def residual_block(d: Drawing) -> None:
    """conv - ReLU - conv, plus the input."""
    c, mid = PAPER, 318
    parts = [
        d.box(82, mid - 24, 88, 48, "conv", f"conv{c.cnn_kernel}", f"{CHANNELS} → {CHANNELS}"),
        d.box(194, mid - 24, 58, 48, "fixed", "ReLU"),
        d.box(276, mid - 24, 88, 48, "conv", f"conv{c.cnn_kernel}", f"{CHANNELS} → {CHANNELS}"),
    ]
    plus = d.operation(398, mid, "+")
    before: Point = (34, mid)
    d.math(24, mid + 5, "*x*")
    for part in (*parts, plus):
        d.arrow(before, part.left)
        before = part.right
    d.arrow(before, (444, mid))
    d.dot((54, mid))
    d.arrow((54, mid), (54, mid - 48), (398, mid - 48), plus.top)
    d.text(226, mid - 54, "x unchanged", font_size=12, fill=GREY)
    d.note(
        82, mid + 52, "No normalisation, and the sum is not scaled: the block", "only learns what has to be changed."
    )


def receptive_field(d: Drawing) -> None:
    """Nested squares on the streams’ grid."""
    c, cell, x, y = PAPER, 2.5, 490, 244
    side = cell * GRID
    d.add("rect", x=x, y=y, width=side, height=side, fill="#FFFFFF", stroke=GREY)
    per_pass = 2 + c.cnn_blocks * 2 * (c.cnn_kernel - 1)
    middle = (x + side / 2, y + side / 2)
    d.text(674, y + 13, "the streams’ grid", "start", font_size=12.5)
    d.text(674, y + 30, times((GRID, GRID)), "start", font_size=12, fill=GREY)
    for passes in range(c.cnn_recursions, 0, -1):
        seen = 1 + passes * per_pass
        half = cell * seen / 2
        d.add("rect", x=middle[0] - half, y=middle[1] - half, width=2 * half, height=2 * half,
              fill=KINDS["conv"][0], fill_opacity="0.22", stroke=KINDS["conv"][0], stroke_width=1.4)  # fmt: skip
        row = y + 56 + 52 * (c.cnn_recursions - passes)
        d.line((middle[0] + half, row + 4), (668, row + 4), colour=GREY, width=1)
        d.text(674, row, f"{passes} pass{'es' if passes > 1 else ''}", "start", font_size=12.5)
        d.shape(674, row + 17, (seen, seen), f"field:{passes}", "start")
    d.dot(middle)


def rstb() -> Drawing:
    """The Transformer stream, its residual block, the Swin layer in it, and a window."""
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
    rstb_block(d)
    d.heading(298, 168, "c", "Swin layer")
    swin_layer(d)
    d.heading(16, 346, "d", "Windows: a token sees the 64 tokens of its window, and nothing else")
    windows(d)
    return d


def chain(d: Drawing, start: Point, parts: Sequence[Box]) -> Point:
    """Arrows from `start` through all parts; returns the exit of the last one."""
    for part in parts:
        d.arrow(start, part.left)
        start = part.right
    return start


def transformer_stream(d: Drawing) -> None:
    """The row (a)."""
    c, mid = PAPER, 84
    parts = [
        d.box(98, mid - 24, 92, 48, "fixed", "to tokens", "c h w → h w c"),
        d.box(208, mid - 24, 92, 48, "attention", "LayerNorm"),
        d.box(334, mid - 24, 72, 48, "attention", "RSTB", f"{c.rstb_recursions} passes"),
        d.box(438, mid - 24, 92, 48, "attention", "LayerNorm"),
        d.box(548, mid - 24, 92, 48, "fixed", "to features", "h w c → c h w"),
        d.box(660, mid - 24, 54, 48, "conv", "conv3"),
    ]
    end = chain(d, (16, mid), parts)
    d.arrow(end, (790, mid))
    d.arrow((420, mid), (420, mid - 40), (316, mid - 40), (316, mid - 3))
    d.dot((420, mid))
    d.text(54, mid - 12, "× style[1]", font_size=12)
    d.shape(54, mid + 20, FEATURES, "input:transformer")
    d.shape(254, mid + 42, TOKENS, "module:transformer.norm_in")
    d.shape(370, mid + 42, TOKENS, "module:transformer.rstb")
    d.shape(752, mid + 20, FEATURES, "trace:transformer")


def rstb_block(d: Drawing) -> None:
    """x + conv3(Swin layer(x))."""
    mid = 246
    swin = d.box(64, mid - 28, 78, 56, "attention", "Swin layer", f"depth {PAPER.depth}")
    conv = d.box(160, mid - 28, 54, 56, "conv", "conv3")
    plus = d.operation(240, mid, "+")
    d.math(24, mid + 5, "*x*")
    end = chain(d, (32, mid), (swin, conv, plus))
    d.arrow(end, (276, mid))
    d.dot((46, mid))
    d.arrow((46, mid), (46, mid - 48), (240, mid - 48), plus.top)
    d.shape(150, mid + 50, TOKENS, "module:transformer.rstb")


def swin_layer(d: Drawing) -> None:
    """x + attention(norm(x)), then x + mlp(norm(x))."""
    c, mid = PAPER, 246
    norms = [d.box(x, mid - 28, 48, 56, "attention", "norm") for x in (336, 556)]
    attention = d.box(400, mid - 28, 86, 56, "attention", "attention", "in windows")
    mlp = d.box(620, mid - 28, 92, 56, "attention", "MLP", f"{CHANNELS} → {c.mlp_ratio * CHANNELS} → {CHANNELS}")
    pluses = [d.operation(x, mid, "+") for x in (512, 738)]
    d.math(304, mid + 5, "*x*")
    end = chain(d, (312, mid), (norms[0], attention, pluses[0], norms[1], mlp, pluses[1]))
    d.arrow(end, (786, mid))
    for start, plus in ((324, pluses[0]), (539, pluses[1])):
        d.dot((start, mid))
        d.arrow((start, mid), (start, mid - 48), (plus.x + 10, mid - 48), plus.top)
    d.shape(443, mid + 50, TOKENS, "module:transformer.rstb.layers.0.norm1")
    d.shape(666, mid + 50, TOKENS, "module:transformer.rstb.layers.0.mlp")


def grid(d: Drawing, x: float, y: float, side: float, cells: int, colour: str = GREY) -> None:
    """A square of cells x cells."""
    step = side / cells
    lines = "".join(
        f"M{number(x + i * step)} {number(y)}v{number(side)}M{number(x)} {number(y + i * step)}h{number(side)}"
        for i in range(cells + 1)
    )
    d.add("path", d=lines, stroke=colour, stroke_width=1, fill="none")


def windows(d: Drawing) -> None:
    """The grid of tokens, one window of it, one token of that, and the formula."""
    c, y, side = PAPER, 364, 136
    stroke, fill = KINDS["attention"]
    across, count = GRID // c.window, c.window**2
    cell, small = side / across, side / c.window
    d.add("rect", x=30, y=y, width=side, height=side, fill="#FFFFFF")
    d.add("rect", x=30 + 3 * cell, y=y + 2 * cell, width=cell, height=cell, fill=fill)
    grid(d, 30, y, side, across)
    d.add(
        "rect", x=30 + 3 * cell, y=y + 2 * cell, width=cell, height=cell, fill="none", stroke=stroke, stroke_width=2.4
    )
    d.add("rect", x=256, y=y, width=side, height=side, fill=fill)
    query = (256 + 2.5 * small, y + 4.5 * small)
    for i, j in ((0, 1), (2, 5), (5, 7), (6, 3), (7, 6), (1, 3)):
        seen = (256 + (j + 0.5) * small, y + (i + 0.5) * small)
        d.line(query, seen, colour=stroke, width=1.2)
        d.add("circle", cx=seen[0], cy=seen[1], r=3, fill=stroke)
    grid(d, 256, y, side, c.window, stroke)
    d.add("rect", x=256 + 2 * small, y=y + 4 * small, width=small, height=small, fill=stroke)
    for corner in (0, 1):
        d.line((30 + 4 * cell, y + (2 + corner) * cell), (256, y + corner * side), dash="3 4", colour=GREY, width=1)
    d.text(98, y + side + 18, f"{times((GRID, GRID))} tokens", font_size=12.5)
    d.text(98, y + side + 35, f"in {across * across} windows", font_size=12.5)
    d.text(324, y + side + 18, "one window:", font_size=12.5)
    d.text(324, y + side + 35, f"{times((c.window, c.window))} = {count} tokens", font_size=12.5)
    token_heads(d, query, y)


def token_heads(d: Drawing, query: Point, y: float) -> None:
    """A token as heads, and what each head does."""
    c, x, width = PAPER, 452, 326
    stroke, fill = KINDS["attention"]
    each = width / c.heads
    for head in range(c.heads):
        d.add("rect", x=x + head * each, y=y + 4, width=each, height=24, fill=fill, stroke=stroke)
        d.text(x + (head + 0.5) * each, y + 20.5, f"head {head}", font_size=12)
    d.line((query[0] + 8, query[1]), (424, query[1]), (424, y + 16), (x - 2, y + 16), tip=True, dash="3 4", colour=GREY)
    d.note(x, y + 46, f"One token is {CHANNELS} numbers: {c.heads} heads of {CHANNELS // c.heads}. In every head")
    d.math(x + width / 2, y + 78, "softmax(*q k*ᵀ ∕ √*d* + *bias*) *v*", size=17)
    d.note(x, y + 104, f"The bias is learned, for each of {(2 * c.window - 1) ** 2} offsets. Together:")
    shape = ((GRID // c.window) ** 2, c.window**2, CHANNELS)
    d.shape(x, y + 122, shape, "module:transformer.rstb.layers.0.attention", "start")
    d.note(x + 70, y + 122, "windows × tokens × channels")


def hfeb() -> Drawing:
    """The block, its high-pass, and what that does to a signal."""
    d = Drawing(
        520,
        "High-Frequency Enhancement Block",
        "Above: the block makes h, the high-pass of its input, and adds to h what five residual blocks make of h; four "
        "such blocks follow each other. In the middle: the high-pass subtracts from r, which is two convolutions of "
        "the input, an estimate of the smooth part of r: average pooling by 2, a convolution to four times the "
        "channels and a pixel shuffle. Below, in one dimension: a signal, its smooth part, and what is left.",
    )
    d.heading(16, 26, "a", f"HFEB: {PAPER.hfebs} of these follow each other, each with weights of its own")
    hfeb_block(d)
    d.heading(16, 176, "b", "HF: a learned high-pass")
    high_pass(d)
    d.heading(16, 382, "c", "The idea, in one dimension")
    high_pass_curves(d)
    return d


def hfeb_block(d: Drawing) -> None:
    """h = HF(x); h + blocks(h)."""
    c, mid = PAPER, 98
    high = d.box(150, mid - 26, 96, 52, "detail", "HF", "high-pass")
    blocks = d.box(
        366, mid - 26, 150, 52, "conv", f"B: {c.hfeb_blocks} × ResBlock", f"{CHANNELS} channels, k{c.hfeb_kernel}"
    )
    plus = d.operation(572, mid, "+")
    d.math(34, mid + 5, "*x*")
    end = chain(d, (46, mid), (high, blocks, plus))
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
    c, mid, low = PAPER, 226, 312
    k = c.hfeb_kernel
    parts = [
        d.box(92, mid - 22, 84, 44, "conv", f"conv{k}", f"{CHANNELS} → {CHANNELS}"),
        d.box(200, mid - 22, 56, 44, "fixed", "ReLU"),
        d.box(280, mid - 22, 84, 44, "conv", f"conv{k}", f"{CHANNELS} → {CHANNELS}"),
    ]
    d.math(34, mid + 5, "*x*")
    end = chain(d, (46, mid), parts)
    minus = d.operation(724, mid, "−")
    d.arrow(end, minus.left)
    d.dot((398, mid))
    d.math(388, mid - 9, "*r*")
    d.shape(450, mid - 9, FEATURES, "module:hfebs.0.high_pass.body")
    pool = d.box(416, low - 24, 72, 48, "fixed", "average", "pool 2")
    conv = d.box(516, low - 24, 88, 48, "conv", "conv3", f"{CHANNELS} → {4 * CHANNELS}")
    shuffle = d.box(632, low - 24, 60, 48, "fixed", "pixel", "shuffle 2")
    d.arrow((398, mid), (398, low), pool.left)
    d.arrow(pool.right, conv.left)
    d.arrow(conv.right, shuffle.left)
    d.arrow(shuffle.right, (724, low), minus.bottom)
    half = (GRID // 2, GRID // 2)
    d.shape(452, low + 41, (CHANNELS, *half), "input:hfebs.0.high_pass.upsample")
    d.shape(560, low + 41, (4 * CHANNELS, *half), "module:hfebs.0.high_pass.upsample.0")
    d.shape(664, low + 41, FEATURES, "module:hfebs.0.high_pass.upsample")
    d.arrow(minus.right, (784, mid))
    d.math(756, mid - 10, "*h*")
    d.note(
        92,
        low - 14,
        "Pooling keeps the smooth part of r;",
        "the learned upsampling brings it",
        "back to size, to be taken away.",
    )


def high_pass_curves(d: Drawing) -> None:
    """A signal, its smooth part by pooling and linear upsampling, and the rest."""
    n = 64
    # An edge, and a fine texture that fades in and out.
    texture = [math.cos(math.pi * i) * math.sin(math.pi * (i - 36) / 24) ** 2 * (36 < i < 60) for i in range(n)]
    signal = [0.7 * (i >= 19) + 0.2 * texture[i] for i in range(n)]
    pooled = [(a + b) / 2 for a, b in zip(signal[::2], signal[1::2], strict=True)]
    smooth = []
    for i in range(n):
        place = min(max((i - 0.5) / 2, 0), len(pooled) - 1)
        k = min(int(place), len(pooled) - 2)
        smooth.append(pooled[k] + (place - k) * (pooled[k + 1] - pooled[k]))
    rest = [a - b for a, b in zip(signal, smooth, strict=True)]
    rows = (
        ("r", signal, INK),
        ("smooth part of r", smooth, KINDS["fixed"][0]),
        ("what is left: h", rest, KINDS["detail"][0]),
    )
    for i, (name, values, colour) in enumerate(rows):
        frame = axes(d, 40 + 256 * i, 400, 200, 86, 0.75)
        curve(d, frame, values, -0.35, 1.05, colour)
        d.text(frame.x + 100, 508, name)
        if i:
            d.text(frame.x - 28, 448, "−" if i == 1 else "=", font_size=20)


def sharp_loss() -> Drawing:
    """Unsharp masking of one edge, the loss, and the gain by frequency."""
    d = Drawing(
        484,
        "Sharp Loss",
        "Above, along one row of 128 pixels: an image with an edge, its Gaussian blur, the detail that the blur "
        "removed, and the image with half of that detail added, which overshoots at the edge. Below: the difference "
        "of SR and HR counts twice in the loss, as it is and, with weight 0.05, sharpened. Sharpening "
        "leaves the lowest frequencies as they are and multiplies all others by up to 1.5.",
    )
    loss = SharpLoss()
    d.heading(16, 26, "a", f"Unsharp masking, along one row of {HR} pixels")
    unsharp_curves(d, loss)
    d.heading(16, 232, "b", "The loss: the same difference, as it is and sharpened")
    loss_graph(d)
    d.heading(578, 232, "c", "Gain of S")
    gain_curve(d, loss)
    return d


def unsharp_curves(d: Drawing, loss: SharpLoss) -> None:
    """I, G*I, I - G*I and S(I) of an edge and a thin line."""
    kernel, n = loss.kernel.tolist(), HR
    radius = len(kernel) // 2
    row = [0.25 + 0.5 * (i >= 48) - 0.3 * (94 <= i < 98) for i in range(n)]
    mirrored = [row[abs(i) if i < n else 2 * n - 2 - i] for i in range(-radius, n + radius)]
    blurred = [sum(k * mirrored[i + j] for j, k in enumerate(kernel)) for i in range(n)]
    detail = [a - b for a, b in zip(row, blurred, strict=True)]
    sharp = [a + loss.amount * b for a, b in zip(row, detail, strict=True)]
    names = ("*I*", "*G* ∗ *I*", "*I* − *G* ∗ *I*", f"*S*(*I*) = *I* + {loss.amount} (*I* − *G* ∗ *I*)")
    notes = ("the image", f"blurred, {len(kernel)} taps", "the detail", "sharpened")
    colours = (INK, KINDS["fixed"][0], KINDS["detail"][0], KINDS["conv"][0])
    for i, values in enumerate((row, blurred, detail, sharp)):
        frame = axes(d, 46 + 194 * i, 66, 158, 104, 0.7)
        curve(d, frame, values, -0.42, 0.98, colours[i])
        d.math(frame.x + 79, 54, names[i], size=14)
        d.text(frame.x + 79, 190, notes[i], font_size=12.5)
    for level, y in (("0", 0.7), ("0.5", 0.7 - 0.5 / 1.4)):
        d.text(40, 70 + 104 * y, level, "end", font_size=12, fill=GREY)


def loss_graph(d: Drawing) -> None:
    """Loss = L1(SR, HR) + 0.05 L1(S(SR), S(HR))."""
    top, low = 306, 392
    mid = (top + low) / 2
    for name, y in (("SR", 250), ("HR", 366)):
        face = sharp_face(d, 20, y, 64)
        d.text(52, y + 80, name, font_weight="bold")
        if name == "HR":
            d.shape(52, y + 97, (3, HR, HR), "trace:sr")
        minus_in = face.right
        d.arrow(minus_in, (132, face.right[1]), (132, mid - 11 if y < mid else mid + 11))
    minus = d.operation(132, mid, "−")
    l1 = d.box(266, top - 22, 86, 44, "fixed", "mean | · |", "L1")
    sharpen = d.box(180, low - 22, 66, 44, "conv", "S", "sharpen")
    sharp_l1 = d.box(266, low - 22, 86, 44, "fixed", "mean | · |", "Sharp Loss")
    weigh = d.operation(390, low, "×")
    plus = d.operation(462, mid, "+")
    d.dot((158, mid))
    d.line(minus.right, (158, mid))
    d.arrow((158, mid), (158, top), l1.left)
    d.arrow((158, mid), (158, low), sharpen.left)
    chain(d, sharpen.right, (sharp_l1, weigh))
    d.text(390, low + 28, str(SHARP_WEIGHT), font_size=12.5)
    d.arrow(l1.right, (462, top), plus.top)
    d.arrow(weigh.right, (462, low), plus.bottom)
    d.arrow(plus.right, (498, mid))
    d.text(523, mid + 4.5, "Loss", font_weight="bold")
    d.note(158, 446, "S is linear, so S(SR) − S(HR) = S(SR − HR):", "one sharpening of the difference is enough.")


def gain_curve(d: Drawing, loss: SharpLoss) -> None:
    """1 + amount (1 - what the Gaussian lets through), from 0 to 0.1 cycles per pixel."""
    kernel, steps, last = loss.kernel.tolist(), 60, 0.1
    radius = len(kernel) // 2
    gains = []
    for i in range(steps + 1):
        turn = 2 * math.pi * last * i / steps
        gains.append(1 + loss.amount * (1 - sum(k * math.cos(turn * (j - radius)) for j, k in enumerate(kernel))))
    frame = axes(d, 610, 256, 172, 150)
    for gain in (1.0, 1 + loss.amount):
        y = frame.y + frame.h * (1.6 - gain) / 0.7
        d.line((frame.x, y), (frame.x + frame.w, y), dash="3 4", colour=PALE, width=1)
        d.text(604, y + 4, f"{gain:.1f}", "end", font_size=12, fill=GREY)
    curve(d, frame, gains, 0.9, 1.6, KINDS["conv"][0])
    for tick in (0, 0.05, 0.1):
        d.text(frame.x + frame.w * tick / last, 422, f"{tick:g}", font_size=12, fill=GREY)
    d.note(696, 440, "cycles per pixel", anchor="middle")
    d.note(696, 456, "(Nyquist: 0.5)", anchor="middle")


FIGURES: dict[str, Callable[[], Drawing]] = {
    "overview": overview,
    "style_encoder": style_encoder,
    "cnn_stream": cnn_stream,
    "rstb": rstb,
    "hfeb": hfeb,
    "sharp_loss": sharp_loss,
}


def main() -> None:
    """Writes every figure into a folder, by default that of this program."""
    parser = argparse.ArgumentParser(description="Draws the diagrams of the course as SVG.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    folder = parser.parse_args().out
    for name, figure in FIGURES.items():
        (folder / f"{name}.svg").write_text(figure().svg(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
