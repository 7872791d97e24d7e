"""The widget of chapter 08: two trained variants of the network on the same face."""

import html
import math
from collections.abc import Mapping, Sequence

import ipywidgets
from torch import Tensor

from ...errors import ElsfaceError
from ...metrics.image import psnr
from ..plots import COLORS, check_finite
from .live import Panel, Picture, chooser
from .pictures import img_html, picture_html, row_html

ENLARGED = 5  # times: an error of a fifth of the whole range is drawn white
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 230, 36, 12, 62, 36
HIGHEST, LOWEST = 3, -24  # dB, the ends of the axis: what lies beyond is drawn there
CURVES = {"bicubic": (COLORS["bicubic"], ""), "left": (COLORS["sr"], ""), "right": (COLORS["lr"], "6 3")}


def ablation_explorer(
    faces: Mapping[str, Tensor],
    names: Sequence[str],
    spectra: Mapping[str, Tensor],
    means: Mapping[str, Mapping[str, float]],
) -> ipywidgets.VBox:
    """Two variants side by side: a face restored by each, or its errors, and their spectra beside HR's.

    Args:
        faces: for each label the same n faces, (n, 3, h, w) in [0, 1]: "HR", the truth; "bicubic"; and what every
            variant restored.
        names: of the n faces.
        spectra: for each of these labels the mean power (k,) at the frequencies of the label "frequency", (k,), in
            cycles per pixel, above 0.
        means: for some labels, what was measured over many faces, by its name.

    Returns:
        A box whose `controls` are, by name, the menus `left` and `right` (of bicubic and the variants), `face`
        (clicked), and the check box `errors`; whose `picture` is the HTML with HR, bicubic, the two variants, their
        spectra relative to HR's, and a table; and whose `values` are the PSNR in dB of `bicubic`, `left` and `right` on
        this face.

    Raises:
        ElsfaceError: HR or bicubic is missing, there are other faces or spectra for one label than for another, or
            not as many names as faces; or NaN is among the values.
    """
    shapes = {tuple(images.shape) for images in faces.values()}
    if not {"HR", "bicubic"} <= faces.keys() or faces.keys() | {"frequency"} != spectra.keys():
        raise ElsfaceError("the widget takes faces and spectra of the same labels, HR and bicubic among them.")
    if len(shapes) > 1 or len(names) != len(faces["HR"]) or len({len(powers) for powers in spectra.values()}) > 1:
        raise ElsfaceError("every label needs the same faces, one for each name, and as many powers as frequencies.")
    for label, values in [*faces.items(), *spectra.items()]:
        check_finite(label, values)
    variants = [label for label in faces if label != "HR"]
    controls = {
        "left": ipywidgets.Dropdown(options=variants, value=variants[:2][-1], description="left"),
        "right": ipywidgets.Dropdown(options=variants, value=variants[-1], description="right"),
        "face": ipywidgets.Dropdown(options=[(name, i) for i, name in enumerate(names)], description="face"),
        "errors": ipywidgets.Checkbox(description=f"errors, {ENLARGED} times enlarged"),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()

    def draw(change: object = None) -> None:
        left, right, face, errors = (control.value for control in controls.values())
        shown = {"bicubic": "bicubic", "left": left, "right": right}
        hr = faces["HR"][face]
        box.values = {place: psnr(faces[label][face, None], hr[None]).item() for place, label in shown.items()}
        figures = [picture_html(hr, f"The true face of {names[face]}", "HR")]
        for place, label in shown.items():
            caption = f"{_named(place, label)}, {box.values[place]:.2f} dB"
            figures.append(_face_html(faces[label][face], hr, errors, label, caption))
        powers = {place: spectra[label] / spectra["HR"] for place, label in shown.items()}
        figures.append(_spectra_html(spectra["frequency"].tolist(), powers, shown))
        box.picture.value = row_html(figures) + _means_html(shown, box.values, means)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    choice = chooser(controls["face"], dict(zip(names, faces["HR"], strict=True)))
    box.children = [choice, *(controls[name] for name in ("left", "right", "errors")), box.picture]
    return box


def _named(place: str, label: str) -> str:
    return label if place == label else f"{place}: {label}"


def _face_html(sr: Tensor, hr: Tensor, errors: bool, label: str, caption: str) -> str:
    """One restored face, (3, h, w), or the size of its errors: black for none."""
    if not errors:
        return picture_html(sr, f"The face as {label} gives it", caption)
    error = ENLARGED * (sr - hr).abs().mean(0, keepdim=True)
    return picture_html(error.expand(3, -1, -1), f"Where {label} is wrong, bright on black", caption)


def _spectra_html(frequencies: Sequence[float], powers: Mapping[str, Tensor], shown: Mapping[str, str]) -> str:
    """Power as a share of HR's, in dB, against frequency on a log axis; a curve for each place of CURVES."""
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(frequency: float, level: float) -> tuple[float, float]:
        x = LEFT + across * (math.log2(frequency) + 7) / 6  # from 1/128 to 1/2
        return x, TOP + down * (HIGHEST - min(max(level, LOWEST), HIGHEST)) / (HIGHEST - LOWEST)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for level in range(0, LOWEST - 1, -6):
        y = place(0.1, level)[1]
        color = "black" if level == 0 else "#dddddd"
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{color}"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{level}</text>')
    for octave in range(1, 8):
        x, y = place(2**-octave, LOWEST)
        parts.append(f'<path d="M{x:.1f} {y:.1f}v4" stroke="black"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">1/{2**octave}</text>')
    for i, (name, power) in enumerate(powers.items()):
        color, dashes = CURVES[name]
        levels = (10 * power.clamp(min=1e-9).log10()).tolist()
        line = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in zip(frequencies, levels, strict=True))
        drawn = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        parts.append(f'<polyline points="{line}" {drawn}/>')
        parts.append(f'<path d="M{LEFT} {12 + 16 * i}h24" {drawn}/>')
        parts.append(f'<text x="{LEFT + 30}" y="{16 + 16 * i}">{html.escape(_named(name, shown[name]))}</text>')
    parts.append(f'<text x="{LEFT + across / 2}" y="{HEIGHT - 4}" text-anchor="middle">cycles per pixel</text>')
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    ends = ", ".join(f"{_named(name, shown[name])} {10 * power[-1].log10():.0f}" for name, power in powers.items())
    alt = f"Power by frequency in dB of HR's; at the highest frequency: {ends}"
    return img_html("svg+xml", svg.encode(), alt, "power, dB of HR's, over many faces", WIDTH)


def _means_html(shown: Mapping[str, str], psnrs: Mapping[str, float], means: Mapping[str, Mapping[str, float]]) -> str:
    """A table with a line for each place: PSNR on this face, and what was measured over many faces."""
    names = list(dict.fromkeys(name for label in shown.values() for name in means.get(label, {})))
    rows = [["", "PSNR on this face, dB", *names]]
    for place, label in shown.items():
        numbers = [f"{means[label][name]:.4g}" if name in means.get(label, {}) else "" for name in names]
        rows.append([_named(place, label), f"{psnrs[place]:.2f}", *numbers])
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
