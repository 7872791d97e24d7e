"""The widget of chapter 00: a face of one's own is made small, and restored."""

import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, count
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import downscale, quantize, upscale
from ...data.images import read_image
from ...data.pairs import center_crop
from ...errors import ElsfaceError
from ...inference.faces import crop_face, find_faces
from ...network.elsface import ELSFace
from ...training.losses import gaussian_blur
from ..plots import faces_html
from .live import WIDE, Panel, Picture, chooser
from .pictures import psnr_text, split_html

PAIR = 176  # pixels of HR and LR in the browser: one above the other they are as high as what is compared


def degradation_explorer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Makes an LR face of an HR one by scale and blur; a handle on the picture compares bicubic with the network.

    Args:
        model: any network; where the scale is not its own, bicubic brings its output to the HR size.
        faces: (3, h, w) each, in [0, 1], square, h a multiple of 16; the reader's own uploads are added.

    Returns:
        A box whose `controls` are, by name, `face` (clicked), the sliders `scale` and `blur` (sigma in HR pixels), and
        `upload`; whose `picture` is the HTML that shows bicubic and SR with the handle, HR and LR; and whose `message`
        is the HTML that says what became of an upload.
    """
    faces = dict(faces)
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "upload": ipywidgets.FileUpload(accept="image/*", multiple=False, description="your own"),
        "scale": ipywidgets.SelectionSlider(options=[4, 8, 16], value=4, description="scale ×", **WIDE),
        "blur": ipywidgets.FloatSlider(value=0, min=0, max=4, step=0.5, description="blur, pixels", **WIDE),
    }
    box = Panel()
    box.controls, box.picture, box.message = controls, Picture(), ipywidgets.HTML()
    compared = lru_cache(maxsize=32)(lambda face, scale, blur: _degrade_and_restore(model, faces[face], scale, blur))

    def draw(change: object = None) -> None:
        state = {name: controls[name].value for name in ("face", "scale", "blur")}
        box.picture.value = _compared_html(faces[state["face"]], *compared(**state))

    def add(change: object = None) -> None:
        before = len(faces)
        names = ", ".join(name for name, _ in uploads(controls["upload"].value))
        box.message.value = html.escape(f"{names}: looking for faces …")
        box.message.value = _add_uploads(controls["upload"].value, faces)
        if len(faces) > before:
            controls["face"].options = list(faces)
            controls["face"].value = list(faces)[-1]

    for name in ("face", "scale", "blur"):
        controls[name].observe(draw, names="value")
    controls["upload"].observe(add, names="value")
    draw()
    choices = ipywidgets.HBox([chooser(controls["face"], faces), controls["upload"]])
    box.children = [choices, controls["scale"], controls["blur"], box.picture, box.message]
    return box


@torch.inference_mode()
def _degrade_and_restore(model: ELSFace, hr: Tensor, scale: int, blur: float) -> tuple[Tensor, Tensor, Tensor]:
    """LR (3, h / scale, w / scale), and from it bicubic and SR, both (3, h, w), with 8-bit values."""
    blurred = hr[None]
    if blur:
        # Three sigmas to either side hold all but 0.3 % of a Gaussian.
        taps = torch.arange(-ceil(3 * blur), ceil(3 * blur) + 1)
        blurred = gaussian_blur(blurred, torch.softmax(-(taps**2) / (2 * blur**2), dim=0))
    lr = downscale(blurred, scale)
    sr = model(lr)
    if sr.shape[-1] != hr.shape[-1]:
        sr = F.interpolate(sr, hr.shape[-2:], mode="bicubic", antialias=True)
    return lr[0], upscale(lr, scale)[0], quantize(sr)[0]


def _compared_html(hr: Tensor, lr: Tensor, bicubic: Tensor, sr: Tensor) -> str:
    """Bicubic and SR with the handle, HR and LR."""
    sizes = [f"{image.shape[-1]}×{image.shape[-2]}" for image in (hr, lr)]
    gained = f"left bicubic, {psnr_text(bicubic, hr)} | right restored, {psnr_text(sr, hr)}"
    split = split_html(
        {"bicubic": bicubic, "restored": sr}, "the face, from its LR pixels", gained, save="restored.webp"
    )
    pair = faces_html({f"HR, {sizes[0]}": hr, f"LR, {sizes[1]}": lr}, "The HR face and the LR face made of it", PAIR)
    return f'<div style="display:flex;flex-wrap:wrap;gap:10px">{split}<div style="width:{PAIR}px">{pair}</div></div>'


def uploads(value: dict[str, Any] | Sequence[dict[str, Any]]) -> list[tuple[str, bytes]]:
    """What a FileUpload holds, as (name, content): its value is a dict in ipywidgets 7 and a tuple in 8."""
    if isinstance(value, dict):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]


def new_label(name: str, taken: Mapping[str, Any]) -> str:
    """What a menu calls an upload: its name, with a number where that is taken."""
    return next(label for label in chain([name], (f"{name} ({n})" for n in count(2))) if label not in taken)


def read_upload(name: str, content: bytes) -> Tensor:
    """An uploaded picture, (3, h, w) in [0, 1].

    Raises:
        ElsfaceError: the file is no picture that can be read.
    """
    with TemporaryDirectory() as folder:
        # Under its own name, so that an error names the file that the reader knows.
        path = Path(folder, Path(name).name)
        path.write_bytes(content)
        try:
            return read_image(path)
        except ElsfaceError as error:
            raise ElsfaceError(str(error).replace(str(path), path.name)) from error


def uploaded_face(name: str, content: bytes) -> tuple[Tensor, str]:
    """The largest face of an uploaded picture, and where it comes from in words.

    Args:
        name: of the file, for messages.
        content: of the file.

    Returns:
        (3, 128, 128) in [0, 1]; without a face in it, the middle of the picture.

    Raises:
        ElsfaceError: the file is no picture that can be read.
    """
    image = read_upload(name, content)
    found = find_faces(image)
    if found:
        return quantize(crop_face(image, found[0])), f"{Path(name).name}: the largest of {len(found)} found"
    return center_crop(image, 128), f"{Path(name).name}: no face found, so this is the middle of the picture"


def _add_uploads(value: dict[str, Any] | Sequence[dict[str, Any]], faces: dict[str, Tensor]) -> str:
    """Adds the uploaded faces by their file names; returns what there is to say, as HTML."""
    words = []
    for name, content in uploads(value):
        try:
            face, what = uploaded_face(name, content)
            faces[new_label(name, faces)] = face
        except ElsfaceError as error:
            what = str(error)
        words.append(html.escape(what))
    return "<br>".join(words)
