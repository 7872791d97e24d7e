"""Draws style_encoder.svg: the pyramid that writes the styles, and what a style does to features."""

from collections.abc import Sequence
from pathlib import Path

from drawing import KINDS, Box, Drawing, number
from face import coarse_face, face_colour
from paper import CHANNELS, LR, STREAMS, WIDE

FILTERS = (  # (down, right, weight) of small filters over the drawn face: what a channel may look for
    ((0, 0, 1),),
    ((0, 0, 1), (0, 1, -1)),
    ((0, 0, 1), (1, 0, -1)),
    ((0, 0, 4), (0, 1, -1), (1, 0, -1), (0, -1, -1), (-1, 0, -1)),
    ((0, 0, -1),),
    ((0, 0, 1), (1, 1, -1)),
)
STYLE = (0.85, 0.25, -0.6, 0.1, 1.3, 0.45)  # of the channels that these filters make: any numbers
LARGEST = 1.5  # that a bar can show, to either side
CELLS, LEVELS = 12, 4  # a feature map's positions along a side, and its shades


def draw() -> Drawing:
    """The encoder above, modulation below."""
    d = Drawing(
        472,
        "Latent style encoder and modulation",
        "Above: the LR face passes four levels of two convolutions each, which halve its size from 32 to 16, 8 and 4, "
        "at 60 channels; one more convolution, then the 960 values are flattened and a linear layer writes 120 "
        "numbers, a style of 60 for each of two streams. Below: every feature channel of a stream is multiplied by "
        "its number in the style, of either sign, the same at all positions.",
    )
    d.heading(16, 26, "a", "Latent style encoder: the whole face in one short vector per stream")
    pyramid(d)
    styles(d)
    d.heading(16, 278, "b", "Modulation: one number per stream and channel, the same for all positions")
    modulation(d)
    return d


def pyramid(d: Drawing) -> None:
    """The levels, drawn to scale: two pixels of the page for one of the feature maps."""
    mid = 120
    lr = coarse_face(d, 16, mid - 32, 64)
    d.text(48, mid - 44, "LR", font_weight="bold")
    d.shape(48, mid + 52, (3, LR, LR), "input")
    before = lr.right
    for level, x in enumerate((138, 284, 392, 478)):
        side = LR >> level
        slab = cuboid(d, x, mid - side, 2 * side)
        start = before[0]
        d.arrow(before, slab.left)
        d.shape(x + side + 4, mid + 52, (CHANNELS, side, side), f"module:prepare.encoder.body.{4 * level + 3}")
        d.note((start + x) / 2, mid + 76, "conv3, ÷2" if level else "conv3", "conv3", anchor="middle")
        # From the middle of the flank, which lies behind the front.
        before = (x + 2 * side + 8, mid)
    d.note(16, mid + 118, "÷2 is a stride of 2. A leaky ReLU (slope 0.2) follows every convolution.")


def cuboid(d: Drawing, x: float, y: float, side: float) -> Box:
    """Feature maps, as the front one of a stack; (x, y) is the upper left corner of the front."""
    stroke, fill = KINDS["style"]
    dx, dy = 16, -9.6
    top = f"M{number(x)} {number(y)}l{number(dx)} {number(dy)}h{number(side)}l{number(-dx)} {number(-dy)}z"
    flank = f"M{number(x + side)} {number(y)}l{number(dx)} {number(dy)}v{number(side)}l{number(-dx)} {number(-dy)}z"
    for path, paint in ((top, "#FFFFFF"), (flank, fill)):
        d.add("path", d=path, fill=paint, stroke=stroke, stroke_width=1.2, stroke_linejoin="round")
    d.add("rect", x=x, y=y, width=side, height=side, fill=fill, stroke=stroke, stroke_width=1.2)
    return Box(x, y, side, side)


def styles(d: Drawing) -> None:
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


def modulation(d: Drawing) -> None:
    """Feature maps, their styles as bars from a zero in the middle, and the products."""
    side, top = 48, 296
    for y, name in ((top + 29, "features of stream s"), (top + 83, "style[s]"), (top + 145, "modulated")):
        d.text(160, y, name, "end")
    for channel, factor in enumerate(STYLE):
        x = 180 + 64 * channel + (30 if channel == len(STYLE) - 1 else 0)
        middle = x + side / 2
        feature_map(d, Box(x, top, side, side), channel, 1)
        d.line((middle, top + side + 3), (middle, top + 69))
        d.add("rect", x=x, y=top + 72, width=side, height=14, fill="#FFFFFF", stroke=KINDS["style"][0])
        length = side / 2 * abs(factor) / LARGEST
        left = middle if factor > 0 else middle - length
        d.add("rect", x=left, y=top + 72, width=length, height=14, fill=product_colour(factor))
        d.line((middle, top + 70), (middle, top + 88))
        d.arrow((middle, top + 89), (middle, top + 112))
        feature_map(d, Box(x, top + 116, side, side), channel, factor)
    for y in (top + 28, top + 82, top + 144):
        d.text(501, y, "…")
    d.math(600, top + 74, "*y*[*s*, *c*, *i*, *j*]", "start", 14)
    d.math(612, top + 96, "= *style*[*s*, *c*] · *x*[*s*, *c*, *i*, *j*]", "start", 14)


def product_colour(factor: float) -> str:
    """Of a style, and of the features that it multiplies: another one below zero."""
    return KINDS["style"][0] if factor > 0 else KINDS["detail"][0]


def feature_map(d: Drawing, frame: Box, channel: int, factor: float) -> None:
    """One channel of features, made up: the drawn face through a filter, times `factor`."""
    colour, inside = KINDS["conv" if factor > 0 else "detail"][0], range(CELLS)
    values = filtered_face(FILTERS[channel])
    d.add("rect", x=frame.x, y=frame.y, width=frame.w, height=frame.h, fill="#FFFFFF", stroke=colour)
    place = f"translate({number(frame.x)} {number(frame.y)}) scale({frame.w / CELLS:.3f})"
    for level in range(1, LEVELS + 1):
        cells = [(i, j) for i in inside for j in inside if round(LEVELS * values[i][j]) == level]
        path = "".join(f"M{j} {i}h1v1h-1z" for i, j in cells)
        d.add("path", d=path, transform=place, fill=colour, fill_opacity=f"{min(1, abs(factor) * level / LEVELS):.2f}")


def filtered_face(taps: Sequence[tuple[int, int, float]]) -> list[list[float]]:
    """The drawn face through a filter, as CELLS x CELLS values from 0 to 1."""
    inside = range(CELLS)
    face = [[sum(face_colour(100 * (j + 0.5) / CELLS, 100 * (i + 0.5) / CELLS)) for j in inside] for i in inside]
    maps = [[sum(w * face[(i + a) % CELLS][(j + b) % CELLS] for a, b, w in taps) for j in inside] for i in inside]
    if len(taps) > 1:
        # Differences count by their size, so that a flat region is empty.
        maps = [[abs(value) for value in row] for row in maps]
    low, high = min(map(min, maps)), max(map(max, maps))
    return [[(value - low) / (high - low) for value in row] for row in maps]


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
