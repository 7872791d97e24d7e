"""The widget of chapter 02: a face is restored with the latent style of another."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from ...data.degradation import downscale
from ...errors import ElsfaceError
from ...network.elsface import ELSFace
from ..plots import COLORS
from .live import WIDE, Panel, Picture, chooser
from .pictures import img_html, picture_html, row_html

BOTH, MEAN, ZERO = "both streams", "mean of these faces", "zero"
LEFT, STEP, PANEL = 56, 7, 116  # of the charts, in pixels: space for the scale, from channel to channel, height
STREAMS = {"both": ("CNN stream", "Transformer stream"), "cnn": ("CNN stream",), "transformer": ("Transformer stream",)}


def style_mixer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Restores one face with the style of another in some of the channels, and shows what that changes.

    Args:
        model: a network that has latent styles.
        faces: at least two, (3, h, w) each, HR in [0, 1], h and w multiples of the network's scale.

    Returns:
        A box whose `controls` are, by name, `face` and `donor` (both clicked; the donor's style comes in, and may be
        the mean of all faces or zero), the menu `stream`, the range `channels` (first and last that are replaced), and
        the slider `mix` (0: the face's own style, 1: the donor's, above 1: past it by that factor); whose `picture` is
        the HTML with both restorations, their difference and a bar for every weight; and whose `values` are the numbers
        in it: `own` and `mixed`, PSNR in dB, and `moved`, the largest change of a weight.

    Raises:
        ElsfaceError: the network has no styles, there are fewer than two faces, or a face has another shape.
    """
    faces = dict(faces)
    _check(model, faces)
    styles = _styles(model, faces)
    names, last = STREAMS[model.config.streams], model.config.channels - 1
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "donor": ipywidgets.Dropdown(options=list(styles), value=list(faces)[1], description="style of"),
        "stream": ipywidgets.Dropdown(options=list(dict.fromkeys([BOTH, *names])), description="in"),
        "channels": ipywidgets.IntRangeSlider(value=(0, last), min=0, max=last, description="channels", **WIDE),
        "mix": ipywidgets.SelectionSlider(
            options=[0, 0.25, 0.5, 0.75, 1, 2, 5, 10, 30, 100], value=1, description="mix", **WIDE
        ),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()
    lrs = {name: downscale(face[None], model.config.scale) for name, face in faces.items()}
    own_restored = lru_cache(maxsize=32)(lambda face: _restored(model, lrs[face], styles[face]))

    def draw(change: object = None) -> None:
        face, donor, stream, (first, end), mix = (control.value for control in controls.values())
        own, mixed = styles[face], styles[face].clone()
        part = slice(None) if stream == BOTH else slice(names.index(stream), names.index(stream) + 1)
        mixed[part, first : end + 1] += mix * (styles[donor] - own)[part, first : end + 1]
        # What is moved by nothing is not run again, so that equal styles give equal pictures.
        before = own_restored(face)
        after = before if torch.equal(own, mixed) else _restored(model, lrs[face], mixed)
        box.values = {
            "own": _psnr(before, faces[face]),
            "mixed": _psnr(after, faces[face]),
            "moved": (mixed - own).abs().max().item(),
        }
        figures = _faces_html(before, after, box.values, donor)
        one = 1.0 if model.config.style == "residual" else 0.0
        bars = [_bars_html(name, one + own[i], one + mixed[i], (first, end)) for i, name in enumerate(names)]
        box.picture.value = row_html(figures) + row_html(bars)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    choices = [chooser(controls[name], faces) for name in ("face", "donor")]
    box.children = [*choices, *(controls[name] for name in ("stream", "channels", "mix")), box.picture]
    return box


def _check(model: ELSFace, faces: Mapping[str, Tensor]) -> None:
    if model.prepare.encoder is None:
        raise ElsfaceError("this network has no latent styles: load one whose config says style='scale' or 'residual'.")
    if len(faces) < 2:
        raise ElsfaceError(f"mixing takes two faces or more, not {len(faces)}.")
    for name, face in faces.items():
        scale = model.config.scale
        if face.ndim != 3 or face.shape[0] != 3 or face.shape[1] % scale or face.shape[2] % scale:
            raise ElsfaceError(f"{name} must be (3, h, w), h and w multiples of {scale}, not {tuple(face.shape)}.")


@torch.inference_mode()
def _styles(model: ELSFace, faces: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The styles of all faces, their mean, and zero: (s, c) each."""
    scale = model.config.scale
    encoder: Any = model.prepare.encoder  # checked by the caller to be there
    styles = {name: encoder(downscale(face[None], scale))[0] for name, face in faces.items()}
    mean = torch.stack(list(styles.values())).mean(0)
    return styles | {MEAN: mean, ZERO: torch.zeros_like(mean)}


@torch.inference_mode()
def _restored(model: ELSFace, lr: Tensor, styles: Tensor) -> Tensor:
    """SR (3, h, w) in [0, 1] of LR (1, 3, h, w) with these styles, (s, c), in place of its own."""
    # A forward hook that returns something replaces the output.
    hook = model.prepare.encoder.register_forward_hook(lambda *_: styles[None])
    try:
        return model(lr)[0].clamp(0, 1)
    finally:
        hook.remove()


def _psnr(sr: Tensor, hr: Tensor) -> float:
    return -10 * (sr - hr).square().mean().clamp(min=1e-10).log10().item()


def _faces_html(own: Tensor, mixed: Tensor, values: Mapping[str, float], donor: str) -> list[str]:
    """Restored with its own style, with the mixed one, and the difference on grey, strengthened until one sees it."""
    difference = mixed - own
    largest = difference.abs().max().item()
    strength = next((k for k in (1000, 300, 100, 30, 10, 3) if k * largest <= 0.5), 1) if largest else 1
    change = f"{values['mixed'] - values['own']:+.3f} dB"
    what = f"difference × {strength}, on grey; at most {255 * largest:.1f} of 255"
    return [
        picture_html(own, "The face restored with its own style", f"own style: {values['own']:.3f} dB"),
        picture_html(mixed, f"The face restored with the style of {donor} mixed in", f"mixed style: {change}"),
        picture_html(0.5 + strength * difference, f"The change in the restored face, times {strength}, on grey", what),
    ]


def _bars_html(name: str, own: Tensor, mixed: Tensor, channels: tuple[int, int]) -> str:
    """The weights of one stream, (c,) each, own and mixed as dots; below them what the mixing moved, as bars."""
    width, height = LEFT + STEP * len(own) + 8, 2 * PANEL
    moved = mixed - own
    yellow = f'x="{LEFT + STEP * channels[0]}" width="{STEP * (channels[1] - channels[0] + 1)}"'
    low, high = (f([own.min().item(), own.max().item(), mixed.min().item(), mixed.max().item()]) for f in (min, max))
    dots, place = _scaled(f"{name}: weights, own as rings, mixed as dots", low, high, width, 0)
    for channel, (ring, dot) in enumerate(zip(own.tolist(), mixed.tolist(), strict=True)):
        x, (y, at) = LEFT + STEP * (channel + 0.5), (place(ring), place(dot))
        dots.append(f'<path d="M{x} {y:.1f}V{at:.1f}" stroke="{COLORS["sr"]}"/>')
        dots.append(f'<circle cx="{x}" cy="{y:.1f}" r="2.5" fill="white" stroke="#555555"/>')
        dots.append(f'<circle cx="{x}" cy="{at:.1f}" r="1.8" fill="{COLORS["sr"]}"/>')
    low, high = min(moved.min().item(), 0), max(moved.max().item(), 0)
    bars, place = _scaled("mixed minus own", low, high, width, PANEL)
    for channel, value in enumerate(moved.tolist()):
        x, y, at = LEFT + STEP * (channel + 0.5), place(0), place(value)
        bars.append(f'<path d="M{x} {y:.1f}V{at:.1f}" stroke="{COLORS["lr"]}" stroke-width="{STEP - 3}"/>')
    parts = [
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect {yellow} y="20" height="{height - 24}" fill="#FFF3C4"/>',
        *dots,
        *bars,
    ]
    size = f'width="{width}" height="{height}" font-family="sans-serif" font-size="12"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    alt = f"{len(own)} weights of the {name}; the mixing moves them by up to {moved.abs().max().item():.4f}"
    return img_html("svg+xml", svg.encode(), alt, f"{name}: a place a channel, yellow where styles are mixed", width)


def _scaled(title: str, low: float, high: float, width: int, top: int) -> tuple[list[str], Callable[[float], float]]:
    """Title and scale of a panel from low to high, and where a value lies in it, in pixels from above."""
    high = max(high, low + 1e-6)

    def place(value: float) -> float:
        return top + PANEL - 10 - (PANEL - 40) * (value - low) / (high - low)

    parts = [f'<text x="{LEFT}" y="{top + 14}">{title}</text>']
    for value in dict.fromkeys((low, high, *((0.0,) if low < -0.2 * high and high > -0.2 * low else ()))):
        parts.append(f'<path d="M{LEFT} {place(value):.1f}H{width - 8}" stroke="black" stroke-width="0.4"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{place(value) + 4:.0f}" text-anchor="end">{value:.2g}</text>')
    return parts, place
