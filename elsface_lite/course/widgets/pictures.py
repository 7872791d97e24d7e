"""Pictures, bars and rows as HTML, for widgets: some 5 ms each, where matplotlib takes 100."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ..plots import COLORS, in_squares

LOSSLESS = 128  # pixels: of a larger one a comparison keeps WebP's quality 90, a sixth of the size


def picture_html(
    image: Tensor, alt: str, caption: str, width: int = 256, grid: tuple[Sequence[int], Sequence[int]] | None = None
) -> str:
    """A plain picture as an HTML figure: some 5 ms, where matplotlib takes 100.

    Args:
        image: (3, h, w); values outside [0, 1] are clamped.
        alt: what one would see.
        caption: the text below.
        width: of the figure in the browser; up to 64 pixels of the picture are squares.
        grid: its rows and columns, and the row and column of the place that is chosen: in a `live.Picture`, the places
            can be clicked.
    """
    marks = "" if grid is None else ' data-grid="{} {}" data-at="{} {}"'.format(*grid[0], *grid[1])
    return img_html("webp", webp(in_squares(image, width)), alt, caption, width, marks)


def webp(image: Tensor, **options: Any) -> bytes:
    """The picture as the content of a file, without loss if no options say otherwise."""
    buffer = BytesIO()
    pixels = (255 * image.detach().clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(pixels).save(buffer, format="WEBP", **options or {"lossless": True})
    return buffer.getvalue()


def img_html(kind: str, data: bytes, alt: str, caption: str, width: int, marks: str = "") -> str:
    """An HTML figure around the content of an image file of this kind (such as webp or svg+xml).

    Args:
        marks: its attributes for `live.Picture`, with a space before each.
    """
    return (
        f'<figure style="margin:0;width:{width}px"><img alt="{html.escape(alt, quote=True)}" '
        f'style="width:{width}px;max-width:100%;background:white"{marks} '
        f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def handle() -> str:
    """The script that puts a handle on what `split_html` gives: once a page, or with each output that is a frame."""
    script = Path(__file__).with_name("before_after.js").read_text(encoding="utf-8")
    script = re.sub(r"\n *", "\n", script.split("*/", 1)[1])  # without its comment, which shows tags, and indentation
    return f'<script type="module">{script}</script>'


def split_html(images: Mapping[str, Tensor], alt: str, caption: str, width: int = 384, save: str = "") -> str:
    """Two pictures of one size, split by a handle on them; side by side where `handle` does not run.

    Args:
        images: what the left one and the right one are called, and (3, h, w) each; values outside [0, 1] are clamped.
        alt: what both show.
        caption: the text below.
        width: of the picture in the browser, in pixels.
        save: the name of the file in which a button saves the right picture; without one there is no button.
    """
    (left, before), (right, after) = images.items()
    options = {} if max(before.shape) <= LOSSLESS else {"quality": 90}
    pictures = [
        f'<img alt="{html.escape(f"{name}: {alt}", quote=True)}" slot="{slot}" style="width:{width}px;max-width:100%" '
        f'src="data:image/webp;base64,{base64.b64encode(webp(image, **options)).decode()}">'
        for slot, name, image in (("before", left, before), ("after", right, after))
    ]
    names = f'left="{html.escape(left, quote=True)}" right="{html.escape(right, quote=True)}"'
    zoom = "" if before.shape[-1] > width else "plain "  # buttons, where there is more to see than is shown
    zoom += f'save="{save}" ' if save else ""
    return (
        f'<figure style="margin:0;max-width:100%"><before-after {zoom}{names} style="width:{width}px;max-width:100%">'
        f"{''.join(pictures)}</before-after><figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def bars_html(values: Mapping[str, Sequence[float]], names: Sequence[str], unit: str, top: float) -> str:
    """Bars side by side as an HTML figure with an SVG picture in it.

    Args:
        values: for each label, one height per name; labels of plots.COLORS get their colour.
        names: what stands below each group of bars.
        unit: of the heights.
        top: the highest bar that is drawn; higher ones are cut there and written with their value.
    """
    step, height, width = 70, 160, 70 * len(names) + 10
    # The text is drawn in a picture of its own, on white: it needs no colours of the theme, and has alt text.
    parts = [f'<rect width="{width}" height="{height + 60}" fill="white"/>']
    for i, (label, bars) in enumerate(values.items()):
        color = COLORS.get(label, COLORS["other"])
        # Black letters beside a square: orange ones are hard to read on white.
        parts.append(f'<rect x="{10 + 110 * i}" y="3" width="10" height="10" fill="{color}"/>')
        parts.append(f'<text x="{24 + 110 * i}" y="12" font-weight="bold">{label}</text>')
        for j, bar in enumerate(bars):
            x, tall = 12 + j * step + 29 * i, height * max(min(bar, top), 0) / top
            y = height + 36 - tall
            parts.append(f'<rect x="{x}" y="{y:.1f}" width="27" height="{tall:.1f}" fill="{color}"/>')
            parts.append(f'<text x="{x + 14}" y="{y - 3:.1f}" text-anchor="middle">{_bar_label(bar, top)}</text>')
    for j, name in enumerate(names):
        parts.append(f'<text x="{40 + j * step}" y="{height + 52}" text-anchor="middle">{name}</text>')
    size = f'width="{width}" height="{height + 60}" font-family="sans-serif" font-size="12"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    alt = "; ".join(f"{label}: {', '.join(f'{bar:.1f}' for bar in bars)} {unit}" for label, bars in values.items())
    return img_html("svg+xml", svg.encode(), alt, f"{unit} by band, in cycles per pixel", width)


def _bar_label(value: float, top: float) -> str:
    return f"{value:.0f}" if value <= top else f"&gt;{top:.0f}"


def psnr_text(sr: Tensor, hr: Tensor) -> str:
    """PSNR as a caption writes it: 27.4 dB, of values that need not lie in [0, 1]."""
    return f"{-10 * (sr - hr).square().mean().clamp(min=1e-10).log10().item():.1f} dB"


def row_html(figures: Sequence[str]) -> str:
    """HTML figures side by side, in a new line where the page is too narrow."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(figures)}</div>'
