"""The widget of chapter 09: one face from faithful to sharp."""

import copy
from collections.abc import Mapping
from functools import lru_cache

import ipywidgets
import torch
from torch import Tensor

from ...data.degradation import downscale, quantize
from ...metrics.image import lpips, psnr
from ...network.elsface import ELSFace
from ...network.weights import toward
from ..plots import faces_html
from .live import WIDE, Panel, Picture, chooser
from .pictures import split_html

STEPS = 10  # of the slider, each kept once it was computed


def sharpness_explorer(faithful: ELSFace, sharp: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """A face restored by weights between two networks, split by a handle on the picture, beside HR.

    Args:
        faithful, sharp: two networks of one config.
        faces: (3, h, w) HR each, in [0, 1], h and w multiples of the scale and 32 or more.

    Returns:
        A box whose `controls` are, by name, `face` (clicked) and the slider `sharpness`; whose `picture` is the HTML
        that shows the faithful face and the chosen one, split by the handle, and HR; and whose `values` are `psnr` in
        dB and `lpips` of the chosen one, and `change` from the faithful one, in 8-bit levels.

    Raises:
        ElsfaceError: the two networks are not of one config, or the network of LPIPS is not installed.
    """
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "sharpness": ipywidgets.FloatSlider(value=1, min=0, max=1, step=1 / STEPS, description="sharpness", **WIDE),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()
    network = lru_cache(maxsize=STEPS + 1)(lambda sharpness: _between(faithful, sharp, sharpness))
    restored = lru_cache(maxsize=64)(lambda face, sharpness: _restored(network(sharpness), faces[face]))

    def draw(change: object = None) -> None:
        name, sharpness = controls["face"].value, round(controls["sharpness"].value, 3)
        hr, before, after = faces[name], restored(name, 0.0), restored(name, sharpness)
        box.values = {
            "psnr": psnr(after, hr).item(),
            "lpips": lpips(after, hr).item(),
            "change": 255 * (after - before).abs().mean().item(),
        }
        caption = f"sharpness {sharpness:.1f}: PSNR {box.values['psnr']:.2f} dB, LPIPS {box.values['lpips']:.3f}"
        split = split_html({"faithful": before, f"sharpness {sharpness:.1f}": after}, "the restored face", caption)
        whole = faces_html({"HR": hr}, "the true face", 384)
        box.picture.value = f'<div style="display:flex;flex-wrap:wrap;gap:10px">{split}{whole}</div>'

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [chooser(controls["face"], faces), controls["sharpness"], box.picture]
    return box


def _between(faithful: ELSFace, sharp: ELSFace, sharpness: float) -> ELSFace:
    network = copy.deepcopy(faithful)
    toward(network, sharp, sharpness)
    return network


@torch.inference_mode()
def _restored(network: ELSFace, hr: Tensor) -> Tensor:
    """(3, h, w) from the LR face of HR, with 8-bit values."""
    return quantize(network(downscale(hr[None], network.config.scale)))[0]
