"""A page to place the parts of a diagram on by hand, written as SVG; only the standard library draws.

Every shape carries the name of the tensor that it belongs to (`data-of`), by which tests/test_figures.py checks it.
Sizes are in pixels at the width of a notebook, 800; no text is below 12.
"""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

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
CORNER_RADIUS = 7


def number(value: float) -> str:
    """A coordinate as short as it can be: one decimal, and none where it is 0."""
    return f"{value:.1f}".removesuffix(".0")


def times(dims: Sequence[int]) -> str:
    """A shape in words: (60, 64, 64) -> "60×64×64"."""
    return "×".join(str(dim) for dim in dims)


def attributes(values: dict[str, str | float]) -> str:
    """XML attributes, each after a space; numbers are shortened, `_` in a name becomes `-`."""
    texts = {name: value if isinstance(value, str) else number(value) for name, value in values.items()}
    return "".join(f' {name.replace("_", "-")}="{escape(text)}"' for name, text in texts.items())


def rounded(points: Sequence[Point]) -> str:
    """The path of a line through `points` whose corners are rounded."""
    path = f"M{number(points[0][0])} {number(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        ends = []
        for end in (before, after):
            length = math.dist(corner, end)
            part = min(CORNER_RADIUS, length / 2) / length
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
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{number(height)}" '
            f'viewBox="0 0 {WIDTH} {number(height)}" role="img" aria-labelledby="title desc" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(desc)}</desc>',
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0.8L10 5L0 9.2z" fill="{INK}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{number(height)}" fill="#FFFFFF"/>',
        ]

    def write(self, path: Path) -> None:
        """Writes the SVG, with the same line ends on every system."""
        path.write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8", newline="\n")

    def add(self, tag: str, **style: str | float) -> None:
        """Any SVG element without content."""
        self.parts.append(f"<{tag}{attributes(style)}/>")

    def text(self, x: float, y: float, string: str, anchor: str = "middle", **style: str | float) -> None:
        """A line of text whose baseline is at y."""
        where = {"x": x, "y": y} | ({"text_anchor": anchor} if anchor != "start" else {})
        self.parts.append(f"<text{attributes(where | style)}>{escape(string, quote=False)}</text>")

    def math(self, x: float, y: float, string: str, anchor: str = "middle", size: float = 15) -> None:
        """A formula in serif type; letters between asterisks are italic."""
        body = "".join(
            f'<tspan font-style="italic">{escape(span)}</tspan>' if i % 2 else escape(span)
            for i, span in enumerate(string.split("*"))
        )
        style = attributes({"x": x, "y": y, "text_anchor": anchor, "font_family": SERIF, "font_size": size})
        self.parts.append(f"<text{style}>{body}</text>")

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
            f'<text{attributes({"x": x, "y": y})} font-size="14"><tspan font-weight="bold">{letter}</tspan>'
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

    def group(self, frame: Box, name: str = "", dashed: bool = False) -> None:
        """A frame around parts that belong together."""
        x, y, w, h = frame
        style: dict[str, str | float] = {"stroke_dasharray": "5 4"} if dashed else {}
        self.add(
            "rect", x=x, y=y, width=w, height=h, rx=10, fill="#FAFAFA", stroke="#8C8C8C", stroke_width=1.1, **style
        )
        if name:
            self.text(x + w / 2, y + 21, name, font_weight="bold", font_size=14)

    def line(self, *points: Point, tip: bool = False, dash: str = "", colour: str = INK, width: float = 1.4) -> None:
        """A line through points, corners rounded; with `tip` it ends in an arrow."""
        style = {"marker_end": "url(#tip)"} if tip else {}
        if dash:
            style["stroke_dasharray"] = dash
        self.add("path", d=rounded(points), fill="none", stroke=colour, stroke_width=width, **style)

    def arrow(self, *points: Point) -> None:
        """What flows where."""
        self.line(*points, tip=True)

    def chain(self, start: Point, *parts: Box) -> Point:
        """Arrows from `start` through all parts; returns the exit of the last one."""
        for part in parts:
            self.arrow(start, part.left)
            start = part.right
        return start

    def operation(self, x: float, y: float, sign: str) -> Box:
        """A circle that adds "+", subtracts "−" or multiplies "×" what comes in."""
        r = 10
        self.add("circle", cx=x, cy=y, r=r, fill="#FFFFFF", stroke=INK, stroke_width=1.4)
        strokes = {"+": "M-5 0H5M0 -5V5", "−": "M-5 0H5", "×": "M-4 -4L4 4M-4 4L4 -4"}[sign]
        self.add("path", d=strokes, transform=f"translate({number(x)} {number(y)})", stroke=INK, stroke_width=1.6)
        return Box(x - r, y - r, 2 * r, 2 * r)

    def dot(self, point: Point) -> None:
        """Where a line branches."""
        self.add("circle", cx=point[0], cy=point[1], r=2.6)

    def axes(self, frame: Box, zero: float = 1) -> None:
        """A line at the left of a frame for curves, and one across at `zero` of the height."""
        x, y, w, h = frame
        self.line((x, y), (x, y + h), colour=GREY, width=1)
        self.line((x, y + zero * h), (x + w, y + zero * h), colour=GREY, width=1)

    def curve(self, frame: Box, values: Sequence[float], span: tuple[float, float], colour: str) -> None:
        """Values from left to right over a frame, whose bottom and top are those of `span`."""
        low, high = span
        step = frame.w / (len(values) - 1)
        points = [(frame.x + i * step, frame.y + frame.h * (high - v) / (high - low)) for i, v in enumerate(values)]
        path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.add("path", d=path, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round")
