"""Draws unsharp_mask.svg: unsharp masking of one edge."""

from pathlib import Path

from drawing import GREY, INK, KINDS, Box, Drawing
from paper import HR

import elsface_lite as ef

LOSS = ef.SharpLoss()
KERNEL: list[float] = LOSS.kernel.tolist()
RADIUS = len(KERNEL) // 2


def draw() -> Drawing:
    """The image, its blur, the detail and the sharpened image, along one row."""
    d = Drawing(
        206,
        "Unsharp masking",
        "Along one row of 128 pixels: an image with an edge, its Gaussian blur, the detail that the blur "
        "removed, and the image with half of that detail added, which overshoots at the edge.",
    )
    d.text(16, 26, f"Along one row of {HR} pixels", "start", font_size=14)
    unsharp_masking(d)
    return d


def unsharp_masking(d: Drawing) -> None:
    """I, G*I, I - G*I and S(I) of an edge and a thin line."""
    row = [0.25 + 0.5 * (i >= 48) - 0.3 * (94 <= i < 98) for i in range(HR)]
    blurred = blur(row)
    detail = [a - b for a, b in zip(row, blurred, strict=True)]
    sharp = [a + LOSS.amount * b for a, b in zip(row, detail, strict=True)]
    panels = (
        ("*I*", row, INK, "the image"),
        ("*G* ∗ *I*", blurred, KINDS["fixed"][0], f"blurred, {len(KERNEL)} taps"),
        ("*I* − *G* ∗ *I*", detail, KINDS["detail"][0], "the detail"),
        (f"*S*(*I*) = *I* + {LOSS.amount} (*I* − *G* ∗ *I*)", sharp, KINDS["conv"][0], "sharpened"),
    )
    for i, (name, values, colour, note) in enumerate(panels):
        frame = Box(46 + 194 * i, 66, 158, 104)
        d.axes(frame, 0.7)
        d.curve(frame, values, (-0.42, 0.98), colour)
        d.math(frame.x + 79, 54, name, size=14)
        d.text(frame.x + 79, 190, note, font_size=12.5)
    for level, y in (("0", 0.7), ("0.5", 0.7 - 0.5 / 1.4)):
        d.text(40, 70 + 104 * y, level, "end", font_size=12, fill=GREY)


def blur(row: list[float]) -> list[float]:
    """A row of pixels through the loss's Gaussian, mirrored at its ends."""
    n = len(row)
    mirrored = [row[abs(i) if i < n else 2 * n - 2 - i] for i in range(-RADIUS, n + RADIUS)]
    return [sum(k * mirrored[i + j] for j, k in enumerate(KERNEL)) for i in range(n)]


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
