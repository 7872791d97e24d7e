"""The widget of chapter 10: a photograph, its faces, and one of them restored where it is."""

import cmath
import html
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO

import ipywidgets
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ...data.degradation import quantize, upscale
from ...errors import ElsfaceError
from ...inference.faces import Box, crop_face, cut_around, find_faces, paste_face
from ...network.elsface import ELSFace
from ..plots import COLORS
from .degradation import new_label, read_upload, uploads
from .live import WIDE, Panel, Picture, chooser
from .pictures import img_html, row_html, split_html

LARGEST = 128  # pixels of a face that is restored as it is, some seconds on one core; a larger one is shrunk to this
SHOWN = 360  # pixels of the photograph in the browser


def photo_restorer(model: ELSFace, photographs: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Finds the faces of a photograph, and shows one of them before and after restoring, with a handle on the picture.

    A photograph whose largest face is more than 128 pixels wide is shrunk until it is not.

    Args:
        model: any network.
        photographs: (3, h, w) each, in [0, 1], with a face or more in each; the reader's own uploads are added.

    Returns:
        A box whose `controls` are, by name, `photograph` and `face` (both clicked), the slider `strength` (0: enlarged
        by bicubic, 1: restored), and `upload`; whose `picture` is the HTML with the chosen face before and after, and
        the photograph with its faces marked; whose `values` are `faces` (how many), `side` (of the
        chosen one, in pixels) and `change` (mean over its picture, in 8-bit levels); and whose `message` is the HTML
        that says what became of an upload. Faces are counted from left to right, and the largest is shown first.

    Raises:
        ElsfaceError: no photograph, or one of them shows no face.
    """
    found = {name: _faces_of(name, image) for name, image in photographs.items()}
    if not found:
        raise ElsfaceError("no photograph to restore: give one or more.")
    controls = {
        "photograph": ipywidgets.Dropdown(options=list(found), description="photograph"),
        "upload": ipywidgets.FileUpload(accept="image/*", multiple=False, description="your own"),
        "face": ipywidgets.Dropdown(description="face"),
        "strength": ipywidgets.FloatSlider(value=1, min=0, max=1, step=0.05, description="strength", **WIDE),
    }
    box = Panel()
    box.controls, box.message = controls, ipywidgets.HTML()
    box.picture = Picture(lambda asked: setattr(controls["face"], "index", asked["pick"]))
    pictures = {name: image for name, (image, *_) in found.items()}
    restored = lru_cache(maxsize=32)(lambda name, face: _before_and_after(model, found[name][0], found[name][1][face]))
    overview = lru_cache(maxsize=32)(lambda name, face: _overview_html(*found[name], face))

    def draw(change: object = None) -> None:
        name, face = controls["photograph"].value, controls["face"].value
        boxes, (before, after) = found[name][1], restored(name, face)
        blended = quantize(before.lerp(after, controls["strength"].value))
        moved = 255 * (blended - before).abs().mean().item()
        box.values = {"faces": len(boxes), "side": boxes[face].side, "change": moved}
        caption = f"face {face + 1}, {round(boxes[face].side)} pixels wide"
        split = split_html({"before": before, "after": blended}, caption, caption, save="restored.webp")
        box.picture.value = row_html([split, overview(name, face)])

    def choose(change: object = None) -> None:
        _, boxes, _ = found[controls["photograph"].value]
        labels = [f"{number} of {len(boxes)}: {round(b.side)} pixels" for number, b in enumerate(boxes, 1)]
        controls["face"].unobserve(draw, names="value")
        controls["face"].options = [(label, index) for index, label in enumerate(labels)]
        controls["face"].index = max(range(len(boxes)), key=lambda index: boxes[index].side)
        controls["face"].observe(draw, names="value")
        draw()

    def add(change: object = None) -> None:
        words = []
        for name, content in uploads(controls["upload"].value):
            box.message.value = html.escape(f"{name}: looking for faces …")
            try:
                key = new_label(name, found)
                found[key] = _faces_of(name, read_upload(name, content))
                pictures[key] = found[key][0]
                words.append(f"{name}: {len(found[key][1])} found")
                controls["photograph"].options = list(found)
                controls["photograph"].value = key
            except ElsfaceError as error:
                words.append(str(error))
        box.message.value = "<br>".join(map(html.escape, words))

    controls["face"].observe(draw, names="value")
    controls["photograph"].observe(choose, names="value")
    controls["upload"].observe(add, names="value")
    controls["strength"].observe(draw, names="value")
    choose()
    choices = ipywidgets.HBox([chooser(controls["photograph"], pictures), controls["upload"]])
    box.children = [choices, controls["strength"], box.picture, box.message]
    return box


def _faces_of(name: str, image: Tensor) -> tuple[Tensor, list[Box], str]:
    """The photograph, small enough, the faces in it from left to right, and how large it is, in words.

    Raises:
        ElsfaceError: there is none.
    """
    boxes = sorted(find_faces(image), key=lambda box: box.x)
    if not boxes:
        raise ElsfaceError(f"{name}: no face found; an upright one, seen from the front, is found most easily.")
    factor = LARGEST / max(box.side for box in boxes)
    if factor >= 1:
        return image, boxes, _size(image)
    small = _resized(image, factor)
    return small, [box.scaled(factor) for box in boxes], f"{_size(small)}, shrunk from {_size(image)}"


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}×{image.shape[-2]}"


@torch.inference_mode()
def _before_and_after(model: ELSFace, image: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """What surrounds a face, (3, scale h, scale w): enlarged by bicubic, and with the face restored and pasted."""
    scale = model.config.scale
    part, place = cut_around(image, box)
    sr, place = model(part[None])[0].clamp(0, 1), place.scaled(scale)
    before = upscale(part[None], scale)[0]
    return before, paste_face(before.clone(), crop_face(sr, place, scale * round(box.side)), place)


def _resized(image: Tensor, factor: float) -> Tensor:
    """(3, h, w) -> (3, factor h, factor w), at least one pixel wide and high, with 8-bit values."""
    size = [max(1, round(factor * side)) for side in image.shape[-2:]]
    return quantize(F.interpolate(image[None], size, mode="bicubic", antialias=True)[0])


def _overview_html(image: Tensor, boxes: list[Box], size: str, face: int) -> str:
    """The photograph, each face in a square that can be clicked, the chosen one in a thick blue one."""
    factor = SHOWN / image.shape[-1]
    picture = Image.fromarray((255 * _resized(image, factor)).round().byte().permute(1, 2, 0).contiguous().numpy())
    pen, places = ImageDraw.Draw(picture), []
    for index, box in enumerate(boxes):
        turn = cmath.rect(box.side / 2, box.angle)
        corners = [complex(box.x, box.y) + turn * corner for corner in (-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j)]
        points = [(factor * corner.real, factor * corner.imag) for corner in corners]
        color, width = (COLORS["sr"], 3) if index == face else ("white", 1)
        pen.polygon(points, outline=color, width=width)
        places.append(_place_html(box.scaled(factor), f"face {index + 1}, {round(box.side)} pixels", index, face))
    buffer = BytesIO()
    picture.save(buffer, format="WEBP", quality=85)  # a third of a JPEG
    caption = f"{size}, {len(boxes)} found"
    alt = f"{len(boxes)} faces marked in a photograph of {image.shape[-1]} by {image.shape[-2]} pixels"
    figure = img_html("webp", buffer.getvalue(), alt, caption, SHOWN)
    group = f'role="radiogroup" aria-label="faces" style="position:relative;width:{SHOWN}px"'
    return f"<div {group}>{figure}{''.join(places)}</div>"


def _place_html(box: Box, label: str, index: int, chosen: int) -> str:
    """What is clicked above a face: without content, so that nothing hides what is drawn."""
    half = box.side / 2
    style = f"position:absolute;left:{box.x - half:.0f}px;top:{box.y - half:.0f}px;transform:rotate({box.angle:.3f}rad)"
    size = f"width:{box.side:.0f}px;height:{box.side:.0f}px"
    checked = str(index == chosen).lower()
    return f'<span data-pick="{index}" aria-checked="{checked}" aria-label="{label}" style="{style};{size}"></span>'
