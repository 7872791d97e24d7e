"""The widget of chapter 10 for degradations: a face as a photograph would have it, and what networks make of that."""

from collections.abc import Mapping

import ipywidgets
import torch
from torch import Tensor

from ...data.blind import Blind
from ...data.degradation import generator, quantize, upscale
from ...errors import ElsfaceError
from ...network.elsface import ELSFace
from ..plots import faces_html
from .live import WIDE, Panel, Picture
from .pictures import psnr_text

AT_REST = {"blur": 0.1, "shrink": 4.0, "noise": 0.0, "quality": 100}  # there the face is only shrunk, as by `Bicubic`
SCALE = 4


def blind_preview(hr: Tensor, models: Mapping[str, ELSFace] | None = None) -> ipywidgets.VBox:
    """A face under `Blind`, with ranges of one's own choice, and another draw for every seed.

    Args:
        hr: (3, h, w) in [0, 1], h and w multiples of 4.
        models: networks of scale 4, by name, that restore the LR face.

    Returns:
        A box whose `controls` are, by name, the sliders `blur` (its greatest sigma, in HR pixels), `shrink` (the
        greatest number of HR pixels that become one; three seeds in ten keep 4), `noise` (its greatest deviation, in
        8-bit levels), `quality` (the least of the JPEG) and `seed`; whose `picture` is the HTML that shows HR, LR,
        bicubic and each network's answer; and whose `values` are the answers, (3, h, w) each, with `lr`, by these
        names.

    Raises:
        ElsfaceError: the face has another shape, or a network another scale.
    """
    models = dict(models or {})
    if hr.ndim != 3 or hr.shape[0] != 3 or any(side % SCALE for side in hr.shape[-2:]):
        raise ElsfaceError(f"the widget takes one face, (3, h, w) with sides of 4, 8, 12…, not {tuple(hr.shape)}.")
    for name, model in models.items():
        if model.config.scale != SCALE:
            raise ElsfaceError(f"the widget shows networks of scale {SCALE}; {name} has {model.config.scale}.")
    controls = {
        "blur": ipywidgets.FloatSlider(min=0.1, max=4, step=0.1, description="blur up to, pixels", **WIDE),
        "shrink": ipywidgets.FloatSlider(min=2, max=8, step=0.5, description="shrunk up to", **WIDE),
        "noise": ipywidgets.FloatSlider(min=0, max=30, step=1, description="noise up to /255", **WIDE),
        "quality": ipywidgets.IntSlider(min=20, max=100, step=5, description="JPEG quality from", **WIDE),
        "seed": ipywidgets.IntSlider(value=1, min=0, max=99, description="seed", **WIDE),
    }
    for name, value in AT_REST.items():
        controls[name].value = value
    box = Panel()
    box.controls, box.picture = controls, Picture()

    def draw(change: object = None) -> None:
        state = {name: control.value for name, control in controls.items()}
        controls["seed"].disabled = all(state[name] == value for name, value in AT_REST.items())  # nothing is drawn
        box.values = _restored(hr, spoilt(hr, **state), models)
        captions = {"HR": hr, "LR, as the network gets it": box.values["lr"]}
        answers = {name: image for name, image in box.values.items() if name != "lr"}
        captions |= {f"{name}, {psnr_text(image, hr)}": image for name, image in answers.items()}
        box.picture.value = faces_html(
            captions, "a face, its LR face as a photograph may have it, and what is made of it", 256
        )

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [*controls.values(), box.picture]
    return box


def spoilt(hr: Tensor, blur: float, shrink: float, noise: float, quality: int, seed: int) -> Tensor:
    """The LR face by `Blind` with these ends of its ranges; at rest, the face is only shrunk."""
    at_rest = {"blur": blur, "shrink": shrink, "noise": noise, "quality": quality} == AT_REST
    degradation = Blind(
        SCALE,
        blur=(0.1, blur),
        shrink=(min(float(SCALE), shrink), max(float(SCALE), shrink)),
        noise=noise,
        quality=(quality, 100),
        clean=float(at_rest),
    )
    return degradation(hr, generator(seed))


@torch.inference_mode()
def _restored(hr: Tensor, lr: Tensor, models: Mapping[str, ELSFace]) -> dict[str, Tensor]:
    """The LR face, bicubic, and what each network makes of it."""
    answers = {name: quantize(model(lr[None])[0]) for name, model in models.items()}
    return {"lr": lr, "bicubic": upscale(lr, SCALE)} | answers
