"""A drawn face: sharp for SR and HR, coarse for LR."""

from drawing import INK, Box, Drawing, attributes

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
CELLS = 10  # along a side of the coarse face
SAMPLES = 6  # along a side of each cell


def face_colour(u: float, v: float) -> tuple[int, ...]:
    """The colour of the drawn face at (u, v), in per cent of the square."""
    colour = BACKDROP
    for cx, cy, rx, ry, paint in FACE:
        if ((u - cx) / rx) ** 2 + ((v - cy) / ry) ** 2 <= 1:
            colour = paint
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def cell_colour(row: int, col: int) -> str:
    """The mean colour of what a cell of the coarse face covers."""
    offsets = [(i + 0.5) / SAMPLES for i in range(SAMPLES)]
    seen = [face_colour(100 * (col + a) / CELLS, 100 * (row + b) / CELLS) for a in offsets for b in offsets]
    return "#" + "".join(f"{round(sum(channel) / len(seen)):02X}" for channel in zip(*seen, strict=True))


def ellipses() -> str:
    """The elements of the sharp face."""
    names = ("cx", "cy", "rx", "ry", "fill")
    return "".join(f"<ellipse{attributes(dict(zip(names, ellipse, strict=True)))}/>" for ellipse in FACE)


def sharp_face(d: Drawing, x: float, y: float, side: float) -> Box:
    """A face, drawn: what SR and HR stand for."""
    d.add("rect", x=x, y=y, width=side, height=side, fill=BACKDROP)
    frame = attributes({"x": x, "y": y, "width": side, "height": side})
    d.parts.append(f'<svg{frame} viewBox="0 0 100 100">{ellipses()}</svg>')
    d.add("rect", x=x, y=y, width=side, height=side, fill="none", stroke=INK)
    return Box(x, y, side, side)


def coarse_face(d: Drawing, x: float, y: float, side: float) -> Box:
    """The same face in a few square pixels, each the mean of what it covers: what LR stands for."""
    cell = side / CELLS
    for row in range(CELLS):
        for col in range(CELLS):
            # A little more than the cell, so that no seam shows.
            d.add("rect", x=x + col * cell, y=y + row * cell, width=cell + 0.4, height=cell + 0.4,
                  fill=cell_colour(row, col))  # fmt: skip
    d.add("rect", x=x, y=y, width=side, height=side, fill="none", stroke=INK)
    return Box(x, y, side, side)
