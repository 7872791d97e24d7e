"""Figures of the course: labelled, colour-blind safe, opaque, and with alt text that survives in a notebook."""

import base64
import html
from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ..errors import ElsfaceError

SQUARES = 64  # pixels: a larger picture is shown smoothly
# Okabe and Ito's colour-blind safe palette: bicubic, ELSFace, HR and whatever comes fourth keep theirs everywhere.
COLORS = {"bicubic": "#E69F00", "sr": "#0072B2", "hr": "#000000", "lr": "#D55E00", "other": "#009E73"}
STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "image.interpolation": "nearest",
}


def check_finite(name: str, values: Tensor) -> None:
    """Refuses what would be drawn as a gap, or as black, without a word.

    Raises:
        ElsfaceError: NaN or infinity among the values.
    """
    if not values.isfinite().all():
        raise ElsfaceError(f"{name} holds NaN or infinity, which cannot be drawn: look for where it arose.")


def figure_html(figure: Figure, alt: str, dpi: int = 90) -> str:
    """The figure as an HTML <figure> with the picture inside, opaque, and its alt text; closes the figure.

    JupyterLab drops the alt text of a PNG output, but keeps that of an <img>.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    kind, data = smallest(buffer.getvalue())
    return (
        f'<figure style="margin:0"><img alt="{html.escape(alt, quote=True)}" '
        f'style="background:white;max-width:100%" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
        "</figure>"
    )


def smallest(png: bytes) -> tuple[str, bytes]:
    """The picture as WebP: drawings without loss, half of PNG's size, photographs at quality 90, a fifth of it.

    Args:
        png: the content of a PNG file.

    Returns:
        The kind, "webp", or "png" if that is smaller, and the content.
    """
    buffer = BytesIO()
    settings = {"lossless": True} if len(png) < 40_000 else {"quality": 90}
    Image.open(BytesIO(png)).convert("RGB").save(buffer, format="WEBP", **settings)
    return ("webp", buffer.getvalue()) if buffer.tell() < len(png) else ("png", png)


def show(figure: Figure, alt: str) -> None:
    """Displays the figure in a notebook, with alt text for those who cannot see it."""
    display(HTML(figure_html(figure, alt)))


def faces_html(images: Mapping[str, Tensor], alt: str, width: int = 192) -> str:
    """Pictures in a row as HTML, each at its own resolution and enlarged by the browser.

    A fraction of the size of the same row as a figure. Up to 64 pixels a picture is stored without loss, each pixel a
    square, above as JPEG (quality 95, 4:4:4).

    Args:
        images: for each caption, (3, h, w) in [0, 1]; values outside are clamped.
        alt: what the row shows; the alt text of each picture is its caption, its place in the row, and this.
        width: of each picture in the browser, in pixels.
    """
    figures = []
    for place, (caption, image) in enumerate(images.items(), start=1):
        kind, data = _encoded(image, width)
        caption = html.escape(caption, quote=True)
        whole = html.escape(f"picture {place} of {len(images)}: {alt}", quote=True)
        figures.append(
            f'<figure style="margin:0;width:{width}px"><img alt="{caption}, {whole}" width="{width}" '
            f'style="width:{width}px;max-width:none" '
            f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}"><figcaption>{caption}</figcaption></figure>'
        )
    return f'<div style="display:flex;flex-wrap:wrap;gap:10px">{"".join(figures)}</div>'


def in_squares(image: Tensor, width: int) -> Tensor:
    """A picture of up to 64 pixels, enlarged to a whole multiple that is at least as wide as it is shown.

    In its own pixels, since a notebook that is not trusted, and GitHub, drop a style that asks for squares.

    Args:
        image: (3, h, w); a larger one is left as it is.
        width: in the browser, in pixels.
    """
    times = -(-width // max(image.shape[-2:])) if max(image.shape[-2:]) <= SQUARES else 1
    return image.repeat_interleave(times, -2).repeat_interleave(times, -1)


def _encoded(image: Tensor, width: int) -> tuple[str, bytes]:
    """The picture as a file, and of which kind."""
    check_finite("the picture", image)
    small = max(image.shape[-2:]) <= SQUARES
    image = in_squares(image.detach(), width)
    pixels = (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    if (pixels == pixels[..., :1]).all():  # grey needs one channel
        pixels = pixels[..., 0]
    buffer = BytesIO()
    kind, options = ("webp", {"lossless": True}) if small else ("jpeg", {"quality": 95, "subsampling": 0})
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return kind, buffer.getvalue()


def show_faces(images: Mapping[str, Tensor], alt: str, width: int = 192) -> None:
    """Displays `faces_html` in a notebook."""
    display(HTML(faces_html(images, alt, width)))


def draw_images(images: Sequence[Tensor], titles: Sequence[str], columns: int = 6, inches: float = 2.2) -> Figure:
    """Images side by side, in rows, each pixel a square.

    Args:
        images: (3, h, w) or (1, h, w) each, in [0, 1]; values outside are clamped.
        titles: one per image.
        columns: images in a row.
        inches: width of one image.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(inches * columns, (inches + 0.3) * rows), squeeze=False, layout="constrained"
        )
        for axis in axes.flat:
            axis.axis("off")
        for axis, image, title in zip(axes.flat, images, titles, strict=False):
            check_finite(f"the picture {title!r}", image)
            axis.imshow(image.detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
    return figure


def draw_spectra(
    spectra: Sequence[Tensor], titles: Sequence[str], nyquist: float | None = None, inches: float = 2.3
) -> Figure:
    """Log power spectra on one colour scale, frequency zero in the middle.

    Args:
        spectra: (h, w) each, log10 power, as frequency.spectrum gives them.
        titles: one per spectrum.
        nyquist: the finest frequency that an LR grid holds, drawn as a square; in cycles per (HR) pixel.
        inches: width of one spectrum.
    """
    for spectrum, title in zip(spectra, titles, strict=True):
        check_finite(f"the spectrum {title!r}", spectrum)
    lowest = max(min(spectrum.min().item() for spectrum in spectra), -6.0)
    highest = max(spectrum.max().item() for spectrum in spectra)
    size = (inches * len(spectra) + 1, inches + 0.5)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(spectra), figsize=size, squeeze=False, sharey=True, layout="constrained")
        for axis, spectrum, title in zip(axes.flat, spectra, titles, strict=True):
            values, extent = spectrum.detach().cpu().numpy(), _frequency_extent(*spectrum.shape)
            shown = axis.imshow(values, cmap="viridis", vmin=lowest, vmax=highest, extent=extent)
            axis.set(xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5])
            axis.set_title(title, fontsize=9)
            if nyquist:
                square = (-nyquist, -nyquist), 2 * nyquist, 2 * nyquist
                axis.add_patch(plt.Rectangle(*square, fill=False, linestyle="--", edgecolor="white"))
        figure.supxlabel("frequency across, cycles per pixel", fontsize=9)
        figure.supylabel("frequency down", fontsize=9)
        figure.colorbar(shown, ax=axes, label="log10 power", shrink=0.8)
    return figure


def _frequency_extent(height: int, width: int) -> tuple[float, float, float, float]:
    """Edges (left, right, bottom, top) that put frequency zero, at h // 2 and w // 2, into the middle of its square."""
    left, top = (-(side // 2 + 0.5) / side for side in (width, height))
    return left, left + 1, top + 1, top


def draw_profiles(profiles: Mapping[str, tuple[Tensor, Tensor]], nyquist: float | None = None) -> Figure:
    """Power against radial frequency, both on log axes.

    Args:
        profiles: for each label, frequencies (n,) in cycles per pixel and power (n,); labels that COLORS knows get
            their colour.
        nyquist: the finest frequency that an LR grid holds, drawn as a line; in cycles per (HR) pixel.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        spare = iter(["#CC79A7", "#56B4E9", "#009E73", "#0072B2"])
        for (label, (frequencies, power)), dashes in zip(profiles.items(), ["-", "--", "-.", ":"] * 2, strict=False):
            check_finite(f"the power of {label!r}", power)
            color = COLORS.get(label.split()[0].lower()) or next(spare)
            axis.loglog(frequencies.cpu(), power.detach().cpu(), dashes, label=label, color=color)
        if nyquist:
            axis.axvline(nyquist, color="grey", linewidth=1)
            axis.text(
                nyquist * 0.97, 0.03, "LR grid ends", transform=axis.get_xaxis_transform(), ha="right", color="0.3"
            )
        ticks = [1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]
        axis.set_xticks(ticks, [f"1/{round(1 / tick)}" for tick in ticks], minor=False)
        axis.set_xticks([], minor=True)
        axis.set(xlabel="radial frequency, cycles per pixel", ylabel="power per frequency")
        axis.legend(frameon=False)
    return figure


def draw_bands(values: Mapping[str, Tensor], edges: Sequence[float], label: str, place: str = "pixel") -> Figure:
    """Bars by band of radial frequency, one colour per label.

    Args:
        values: for each label, (n,).
        edges: n + 1 frequencies in cycles per place.
        label: what the bars measure, with its unit.
        place: what a wave is counted by, such as a token.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
        width = 0.8 / len(values)
        spare = iter(["#CC79A7", "#56B4E9", "#009E73", "#0072B2"])
        for i, (name, bars) in enumerate(values.items()):
            check_finite(f"the bars of {name!r}", bars)
            color = COLORS.get(name.split()[0].lower()) or next(spare)
            places = [band + (i - (len(values) - 1) / 2) * width for band in range(len(bars))]
            drawn = axis.bar(places, bars.detach().cpu().tolist(), 0.9 * width, label=name, color=color)
            axis.bar_label(drawn, fmt="%.1f", fontsize=8)
        axis.set_xticks(range(len(edges) - 1), [band_name(*band) for band in pairwise(edges)])
        axis.set(xlabel=f"radial frequency, cycles per {place}", ylabel=label)
        axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(values), fontsize=8)
    return figure


def band_name(low: float, high: float) -> str:
    """A band of frequencies as the axes write it: 1/16 to 1/8."""
    names = [
        "0" if edge == 0 else "1" if edge == 1 else str(Fraction(edge).limit_denominator(256)) for edge in (low, high)
    ]
    return f"above {names[0]}" if high > 0.7 else f"{names[0]} to {names[1]}"
