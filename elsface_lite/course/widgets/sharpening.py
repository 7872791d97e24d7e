"""The widget of chapter 05: a face under an unsharp mask of one's own choice."""

import math

import ipywidgets
import torch
from torch import Tensor

from ...errors import ElsfaceError
from ...training.losses import gaussian_blur, gaussian_kernel, unsharp_mask
from ..frequency import radial_profile
from ..plots import COLORS, faces_html
from .live import WIDE, Panel, Picture
from .pictures import img_html, row_html, split_html

OFF = -1  # of the threshold: a menu's value None means "nothing chosen" to ipywidgets
TAPS = (3, 5, 7, 9, 15, 21, 31, 41, 51, 61, 75, 101)


def sharpening_explorer(face: Tensor) -> ipywidgets.VBox:
    """Radius, amount and threshold of an unsharp mask, with what it adds, where, and at which frequencies.

    Args:
        face: (1, 3, h, w) in [0, 1], h and w 16 or more.

    Returns:
        A box whose `controls` are, by name, the sliders `taps` (of the Gaussian), `amount` (how much of the detail is
        added) and `threshold` (in 8-bit levels, -1 for off); whose `picture` is the HTML that shows the face before and
        after with a handle, what was added on grey, the mask if there is a threshold, and the transfer function; and
        whose `values` are the numbers in it: `sigma` in pixels, `added` in 8-bit levels (mean size), `share` of the
        mask (mean, 0 to 1), and the `formula` and `measured` factor by which a wave of 1/8 cycle per pixel is enlarged.

    Raises:
        ElsfaceError: the face has another shape, or is smaller than 16 pixels.
    """
    if face.ndim != 4 or face.shape[:2] != (1, 3) or min(face.shape[-2:]) < 16:
        raise ElsfaceError(
            f"the widget takes one face, (1, 3, h, w) with sides of 16 pixels or more, not {tuple(face.shape)}."
        )
    sizes = [taps for taps in TAPS if taps // 2 < min(face.shape[-2:])]
    controls = {
        "taps": ipywidgets.SelectionSlider(
            options=sizes, value=51 if 51 in sizes else sizes[-1], description="radius, taps", **WIDE
        ),
        "amount": ipywidgets.FloatSlider(value=0.5, min=0, max=3, step=0.1, description="amount", **WIDE),
        "threshold": ipywidgets.SelectionSlider(
            options=[("off", OFF)] + [(str(levels), levels) for levels in (0, 2, 5, 10, 20, 40)],
            value=OFF,
            description="threshold, of 255",
            **WIDE,
        ),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()
    profile = radial_profile(face)

    def draw(change: object = None) -> None:
        taps, amount, threshold = (control.value for control in controls.values())
        box.values, figures = _sharpened(face, profile, taps, amount, None if threshold == OFF else threshold)
        box.picture.value = row_html(figures)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [*controls.values(), box.picture]
    return box


@torch.inference_mode()
def _sharpened(
    face: Tensor, profile: tuple[Tensor, Tensor], taps: int, amount: float, threshold: float | None
) -> tuple[dict[str, float], list[str]]:
    """The numbers of one state; its three pictures and the curve as HTML."""
    kernel = gaussian_kernel(taps)
    sigma = 0.3 * ((taps - 1) / 2 - 1) + 0.8
    sharp = unsharp_mask(face, kernel, amount, threshold)
    if threshold is None:
        mask = torch.ones_like(face)
    else:
        mask = gaussian_blur((255 * (face - gaussian_blur(face, kernel)).abs() > threshold).to(face.dtype), kernel)
    frequencies, power = profile
    measured = (radial_profile(sharp)[1][0] / power[0].clamp(min=1e-12)).sqrt()
    formula = 1 + amount * (1 - torch.exp(-2 * (math.pi * sigma * frequencies) ** 2))
    eighth = (frequencies - 1 / 8).abs().argmin()
    values = {
        "sigma": sigma,
        "added": 255 * (sharp - face).abs().mean().item(),
        "share": mask.mean().item(),
        "formula": formula[eighth].item(),
        "measured": measured[eighth].item(),
    }
    curve = _gain_svg(frequencies.tolist(), formula.tolist(), measured.tolist())
    said = f"transfer at 1/8: {values['formula']:.2f} by the formula, {values['measured']:.2f} measured"
    split = split_html(
        {"original": face[0], "sharpened": sharp[0]},
        "the face under the unsharp mask",
        f"{taps} taps, sigma {sigma:.1f} pixels",
        256,
    )
    pictures, alt = {f"added, on grey: {values['added']:.1f} of 255": (sharp - face)[0] + 0.5}, "what sharpening added"
    if threshold is not None:
        pictures[f"threshold mask: {100 * values['share']:.0f} % of the face"] = _framed(mask[0])
        alt = "what sharpening added, on grey, and the threshold mask, bright where it sharpens"
    return values, [
        split,
        faces_html(pictures, alt, 256),
        img_html("svg+xml", curve.encode(), f"Transfer function of the unsharp mask; {said}", said, 320),
    ]


def _framed(picture: Tensor) -> Tensor:
    """(3, h, w) with grey edges: a white picture is seen on a white page."""
    framed = picture.clone()
    framed[:, [0, -1]] = framed[:, :, [0, -1]] = 0.5
    return framed


def _gain_svg(frequencies: list[float], formula: list[float], measured: list[float]) -> str:
    """Transfer function on a log axis from 1/128 to 1/2: the formula as a line, the measured one as dots."""
    width, height, left, bottom = 320, 192, 34, 40
    top = max(1.6, 1.1 * max(formula), 1.05 * max(m for f, m in zip(frequencies, measured, strict=True) if f > 0.03))

    def place(frequency: float, gain: float) -> tuple[float, float]:
        x = left + (width - left - 8) * (math.log2(frequency) + 7) / 6
        return x, 20 + (height - 20 - bottom) * (top - min(max(gain, 0.8), top)) / (top - 0.8)

    shown = [(f, g, m) for f, g, m in zip(frequencies, formula, measured, strict=True) if f >= 1 / 128]
    parts = [f'<rect width="{width}" height="{height}" fill="white"/>']
    for power in range(1, 8):
        x, y = place(2**-power, 0.8)
        parts.append(f'<path d="M{x:.1f} {y:.1f}v4" stroke="black"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">1/{2**power}</text>')
    step = 0.2 if top < 2 else 0.5 if top < 3 else 1
    for gain in [1 + i * step for i in range(int((top - 1) / step) + 1)]:
        y = place(0.1, gain)[1]
        parts.append(f'<path d="M{left} {y:.1f}H{width - 8}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">{gain:.1f}</text>')
    line = " ".join("{:.1f},{:.1f}".format(*place(f, g)) for f, g, _ in shown)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLORS["sr"]}" stroke-width="2"/>')
    dot = '<circle cx="{:.1f}" cy="{:.1f}" r="2" fill="' + COLORS["lr"] + '"/>'
    parts += [dot.format(*place(f, m)) for f, _, m in shown]
    parts.append(f'<text x="{left}" y="12" fill="{COLORS["sr"]}" font-weight="bold">formula, no threshold</text>')
    parts.append(f'<text x="{left + 130}" y="12" fill="{COLORS["lr"]}" font-weight="bold">measured on this face</text>')
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 6}" text-anchor="middle">cycles per pixel</text>')
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
