"""The widget of chapter 01: a cutoff that divides a face."""

from itertools import pairwise

import ipywidgets
import matplotlib as mpl
import torch
from torch import Tensor

from ...data.degradation import downscale, upscale
from ..frequency import band_psnr, low_pass, radius, spectrum
from ..plots import band_name
from .live import WIDE, Panel, Picture
from .pictures import bars_html, picture_html, psnr_text, row_html

EDGES = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]  # of the bands, in cycles per pixel


def spectrum_colors(face: Tensor) -> Tensor:
    """The spectrum of (1, 3, h, w), its frequency zero in the middle, from its lowest to its highest value in viridis.

    Returns:
        (3, h, w), in [0, 1].
    """
    shown = spectrum(face)[0].cpu()
    shown = (shown - shown.min()) / (shown.max() - shown.min()).clamp(min=1e-6)
    return torch.from_numpy(mpl.colormaps["viridis"](shown.numpy())[..., :3]).permute(2, 0, 1)


def frequency_explorer(face: Tensor, scale: int = 4) -> ipywidgets.VBox:
    """A cutoff that divides a face into its low and its high frequencies, with spectrum and PSNR by band.

    Args:
        face: (1, 3, h, w) in [0, 1]; h and w multiples of scale.
        scale: of the bicubic baseline beside it.

    Returns:
        A box whose `controls` are, by name, the slider `cutoff`, in cycles per pixel; and whose `picture` is the HTML
        that shows spectrum, low-pass and high-pass, and PSNR by band. In the spectrum the circle can be dragged.
    """
    names = [band_name(*band) for band in pairwise(EDGES)]
    bicubic = upscale(downscale(face, scale), scale)
    bicubic_bands = band_psnr(bicubic, face, EDGES)[0].tolist()
    colors = spectrum_colors(face)
    distance = torch.fft.fftshift(radius(face)).cpu()
    height, width = distance.shape
    slider = ipywidgets.FloatSlider(
        value=0.5 / scale,
        min=0.01,
        max=0.5,
        step=0.005,
        description="cutoff",
        readout_format=".3f",
        **WIDE,
    )

    def pull(place: dict[str, int]) -> None:
        slider.value = distance[place["row"], place["column"]].item()

    picture = Picture(pull)

    def draw(change: object = None) -> None:
        cutoff = slider.value
        low = low_pass(face, cutoff)
        bands = {"low-pass": band_psnr(low, face, EDGES)[0].tolist(), "bicubic": bicubic_bands}
        kept = colors * torch.where(distance <= cutoff, 1.0, 0.3)
        figures = [
            picture_html(
                kept,
                f"Spectrum, bright within {cutoff:.3f} cycles per pixel",
                "spectrum; bright: low-pass",
                grid=((height, width), (height // 2, width // 2 + round(cutoff * width))),
            ),
            picture_html(
                low[0], f"Face low-passed at {cutoff:.3f} cycles per pixel", f"low-pass, {psnr_text(low, face)}"
            ),
            picture_html(
                (face - low)[0] + 0.5, f"What lies above {cutoff:.3f} cycles per pixel, on grey", "high-pass, on grey"
            ),
            bars_html(bands, names, "PSNR in dB", 60),
        ]
        picture.value = row_html(figures)

    slider.observe(draw, names="value")
    draw()
    box = Panel([slider, picture])
    box.controls, box.picture = {"cutoff": slider}, picture
    return box
