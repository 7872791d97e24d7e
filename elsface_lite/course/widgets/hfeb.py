"""A widget of chapter 04: what each High-Frequency Enhancement Block does."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import ipywidgets
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import downscale, quantize
from ...errors import ElsfaceError
from ...network.elsface import ELSFace
from ..frequency import band_energy, band_psnr
from ..plots import band_name
from .live import Panel, Picture, chooser
from .pictures import img_html, picture_html, psnr_text, row_html

OCTAVES = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]  # of the grid that the streams work at, in cycles per token
IDLE = "The HFEBs belong to the Transformer stream: while that is off, switching them does nothing."
BANDS = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]  # of the HR face, in cycles per pixel


def hfeb_explorer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Switches High-Frequency Enhancement Blocks off, or the whole Transformer stream, and shows what it changes.

    A block that is off passes its input on; a stream that is off adds nothing to the CNN stream, and its blocks cannot
    be switched meanwhile, which a line above the pictures says.

    Args:
        model: a network with both streams and at least one HFEB.
        faces: (3, h, w) each, in [0, 1]; the LR face is made of it, by the network's scale.

    Returns:
        A box whose `controls` are, by name, `face` (clicked) and the checkboxes `transformer`, `hfeb1`, `hfeb2` ...;
        whose `picture` is the HTML that shows the restored face and, once something is off, its difference from the
        whole network's and the changes by band; and whose `values` are `psnr` in dB, and the changes against the whole
        network in dB, `psnr_change` by band of the HR face and `energy_change` by octave of the fused features.

    Raises:
        ElsfaceError: the model has one stream only, or no HFEB, or there is no face.
    """
    if model.cnn is None or model.transformer is None or not len(model.hfebs) or not faces:
        raise ElsfaceError(
            "HFEBs are switched in a model with both streams and at least one HFEB, on at least one face."
        )
    blocks = [f"hfeb{i + 1}" for i in range(len(model.hfebs))]
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "transformer": ipywidgets.Checkbox(value=True, description="Transformer stream", indent=False),
        **{name: ipywidgets.Checkbox(value=True, description=name.upper(), indent=False) for name in blocks},
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()

    @lru_cache(maxsize=8)
    def prepared(face: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lr = downscale(faces[face][None], model.config.scale)
        with torch.inference_mode():
            trace = model.trace(lr)
        return lr, trace["cnn"], trace["transformer"], trace["fused"]

    @lru_cache(maxsize=64)
    def run(face: str, stream: bool, on: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
        lr, cnn, x, _ = prepared(face)
        return _switched(model, lr, cnn, x, on if stream else None)

    def draw(change: object = None) -> None:
        face, on = controls["face"].value, tuple(controls[name].value for name in blocks)
        whole, chosen = run(face, True, (True,) * len(on)), run(face, controls["transformer"].value, on)
        box.values, box.picture.value = _hfeb_html(faces[face][None], whole, chosen)
        for name in blocks:
            controls[name].disabled = not controls["transformer"].value
        if not controls["transformer"].value:
            box.picture.value = f"<p>{IDLE}</p>{box.picture.value}"

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    switches = ipywidgets.HBox([controls[name] for name in ("transformer", *blocks)])
    box.children = [chooser(controls["face"], faces), switches, box.picture]
    return box


@torch.inference_mode()
def _switched(model: ELSFace, lr: Tensor, cnn: Tensor, x: Tensor, on: Sequence[bool] | None) -> tuple[Tensor, Tensor]:
    """Fused features and SR, from the CNN stream and the Transformer stream before its HFEBs (None: without it)."""
    fused = cnn
    if on is not None:
        for block, used in zip(model.hfebs, on, strict=True):
            x = block(x) if used else x
        fused = cnn + x
    sr = model.upsample(fused)
    if model.config.bicubic_skip:
        sr = sr + F.interpolate(lr, scale_factor=model.config.scale, mode="bicubic")
    return fused, quantize(sr)


def _hfeb_html(
    hr: Tensor, whole: tuple[Tensor, Tensor], chosen: tuple[Tensor, Tensor]
) -> tuple[dict[str, list[float] | float], str]:
    """The numbers for one choice of blocks, and their picture."""
    (whole_fused, whole_sr), (fused, sr) = whole, chosen
    energy = [band_energy(features, OCTAVES)[0].clamp(min=1e-12).log10() for features in (fused, whole_fused)]
    values: dict[str, Any] = {
        "psnr": -10 * (sr - hr).square().mean().log10().item(),
        "psnr_change": (band_psnr(sr, hr, BANDS) - band_psnr(whole_sr, hr, BANDS))[0].tolist(),
        "energy_change": (10 * (energy[0] - energy[1])).tolist(),
    }
    faces = [
        picture_html(hr[0], "The true face, as it is", "HR"),
        picture_html(sr[0], "The face restored by the chosen blocks", f"restored, {psnr_text(sr, hr)}"),
    ]
    if chosen is whole:
        return values, row_html(faces)
    apart = 255 * (sr - whole_sr).abs().max().item()
    faces.append(
        picture_html(
            0.5 + 8 * (sr - whole_sr)[0],
            f"What the chosen blocks change, eightfold on grey; at most {apart:.0f} of 255",
            f"minus the whole network, ×8, at most {apart:.0f} / 255",
        )
    )
    charts = [
        _changes_html(values["psnr_change"], BANDS, "PSNR by band, change in dB", "cycles per HR pixel"),
        _changes_html(values["energy_change"], OCTAVES, "fused features' energy, change in dB", "cycles per token"),
    ]
    return values, row_html(faces) + row_html(charts)


def _changes_html(changes: Sequence[float], edges: Sequence[float], what: str, unit: str) -> str:
    """Bars up or down from zero, one a band, as an HTML figure with an SVG picture in it."""
    step, width = 68, 68 * len(changes) + 10
    up, down = max(0.0, *changes), max(0.0, *(-change for change in changes))
    unit_height = 110 / max(1.0, up + down)
    middle = 18 + unit_height * up if up or down else 75
    names = [band_name(*band) for band in pairwise(edges)]
    parts = [f'<rect width="{width}" height="190" fill="white"/><path d="M4 {middle}H{width - 4}" stroke="#6E6E6E"/>']
    for i, (change, name) in enumerate(zip(changes, names, strict=True)):
        length = unit_height * abs(change)
        y, color = (middle - length, "#0072B2") if change > 0 else (middle, "#D55E00")
        text = middle - length - 4 if change > 0 else middle + length + 12
        parts.append(f'<rect x="{22 + i * step}" y="{y:.1f}" width="34" height="{length:.1f}" fill="{color}"/>')
        parts.append(f'<text x="{39 + i * step}" y="{text:.1f}" text-anchor="middle">{change:+.2f}</text>')
        parts.append(f'<text x="{39 + i * step}" y="166" text-anchor="middle">{name}</text>')
    parts.append(f'<text x="{width / 2}" y="183" text-anchor="middle">{unit}</text>')
    size = f'width="{width}" height="190" font-family="sans-serif" font-size="12"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    numbers = ", ".join(f"{name}: {change:+.2f}" for name, change in zip(names, changes, strict=True))
    return img_html("svg+xml", svg.encode(), f"{what}: {numbers}", what, width)
