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
from .degradation import read_upload, uploads
from .pictures import img_html, row_html

LARGEST = 128  # pixels of a face that is restored as it is, some seconds on one core; a larger one is shrunk to this
SHOWN = 360  # pixels in the browser, of the face and of the photograph


def photo_restorer(model: ELSFace, photographs: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Finds the faces of a photograph, and shows one of them before and after restoring, on a movable split.

    A photograph whose largest face is more than 128 pixels wide is shrunk until it is not.

    Args:
        model: any network.
        photographs: (3, h, w) each, in [0, 1], with a face or more in each; the reader's own uploads are added.

    Returns:
        A box whose `controls` are, by name, the menus `photograph` and `face`, the sliders `strength` (0: enlarged by
        bicubic, 1: restored) and `split` (share of the photograph as it was), and `upload`; whose `picture` is the HTML
        with the photograph, its faces marked, and the chosen one; whose `values` are `faces` (how many), `side` (of the
        chosen one, in pixels) and `change` (mean over its picture, in 8-bit levels); and whose `message` is the HTML
        that says what became of an upload.

    Raises:
        ElsfaceError: no photograph, or one of them shows no face.
    """
    found = {name: _faces_of(name, image) for name, image in photographs.items()}
    if not found:
        raise ElsfaceError("no photograph to restore: give one or more.")
    slow, wide = {"continuous_update": False}, {"layout": ipywidgets.Layout(width="32em")}
    controls = {
        "photograph": ipywidgets.Dropdown(options=list(found), description="photograph"),
        "upload": ipywidgets.FileUpload(accept="image/*", multiple=False, description="your own"),
        "face": ipywidgets.Dropdown(description="face"),
        "strength": ipywidgets.FloatSlider(value=1, min=0, max=1, step=0.05, description="strength", **slow),
        "split": ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="split", **wide),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture, box.message = controls, ipywidgets.HTML(), ipywidgets.HTML()
    restored = lru_cache(maxsize=32)(lambda name, face: _before_and_after(model, found[name][0], found[name][1][face]))
    overview = lru_cache(maxsize=32)(lambda name, face: _overview_html(*found[name], face))

    def draw(change: object = None) -> None:
        name, face = controls["photograph"].value, controls["face"].value
        boxes, (before, after) = found[name][1], restored(name, face)
        blended = quantize(before.lerp(after, controls["strength"].value))
        moved = 255 * (blended - before).abs().mean().item()
        box.values = {"faces": len(boxes), "side": boxes[face].side, "change": moved}
        caption = f"face {face + 1}, {round(boxes[face].side)} pixels wide"
        zoomed = _split_html(before, blended, controls["split"].value, caption)
        box.picture.value = row_html([zoomed, overview(name, face)])

    def choose(change: object = None) -> None:
        _, boxes = found[controls["photograph"].value]
        labels = [f"{number} of {len(boxes)}: {round(b.side)} pixels" for number, b in enumerate(boxes, 1)]
        controls["face"].unobserve(draw, names="value")
        controls["face"].options = [(label, index) for index, label in enumerate(labels)]
        controls["face"].index = 0
        controls["face"].observe(draw, names="value")
        draw()

    def add(change: object = None) -> None:
        words = []
        for name, content in uploads(controls["upload"].value):
            try:
                key = f"{name} ({len(found)})"
                found[key] = _faces_of(name, read_upload(name, content))
                words.append(f"{name}: {len(found[key][1])} found")
                controls["photograph"].options = list(found)
                controls["photograph"].value = key
            except ElsfaceError as error:
                words.append(str(error))
        box.message.value = "<br>".join(map(html.escape, words))

    controls["face"].observe(draw, names="value")
    controls["photograph"].observe(choose, names="value")
    controls["upload"].observe(add, names="value")
    for name in ("strength", "split"):
        controls[name].observe(draw, names="value")
    choose()
    rows = [("photograph", "upload"), ("face",), ("strength",), ("split",)]
    menus = [ipywidgets.HBox([controls[name] for name in row]) for row in rows]
    box.children = [*menus, box.picture, box.message]
    return box


def _faces_of(name: str, image: Tensor) -> tuple[Tensor, list[Box]]:
    """The photograph, small enough, and the faces in it.

    Raises:
        ElsfaceError: there is none.
    """
    boxes = find_faces(image)
    if not boxes:
        raise ElsfaceError(f"{name}: no face found; an upright one, seen from the front, is found most easily.")
    factor = LARGEST / boxes[0].side
    if factor >= 1:
        return image, boxes
    return _resized(image, factor), [box.scaled(factor) for box in boxes]


@torch.inference_mode()
def _before_and_after(model: ELSFace, image: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """What surrounds a face, (3, scale h, scale w): enlarged by bicubic, and with the face restored and pasted."""
    scale = model.config.scale
    part, place = cut_around(image, box)
    sr, place = model(part[None])[0].clamp(0, 1), place.scaled(scale)
    before = upscale(part[None], scale)[0]
    return before, paste_face(before.clone(), crop_face(sr, place, scale * round(box.side)), place)


def _split_html(before: Tensor, after: Tensor, split: float, caption: str) -> str:
    """One picture that is as it was to the left of a line, and restored to the right."""
    line = round(split * before.shape[-1])
    both = torch.cat([before[..., :line], after[..., line:]], dim=-1)
    if 0 < line < before.shape[-1]:
        both[..., line] = 1
    alt = f"{caption}: {line} of {before.shape[-1]} columns as they were, the others restored"
    return _figure_html(_picture(_resized(both, SHOWN / both.shape[-1])), alt, f"{caption}: left before, right after")


def _figure_html(picture: Image.Image, alt: str, caption: str) -> str:
    """A photograph as an HTML figure: WebP at quality 90, a third of a JPEG."""
    buffer = BytesIO()
    picture.save(buffer, format="WEBP", quality=90)
    return img_html("webp", buffer.getvalue(), alt, caption, SHOWN)


def _picture(image: Tensor) -> Image.Image:
    """(3, h, w) in [0, 1] as Pillow's."""
    return Image.fromarray((255 * image).round().byte().permute(1, 2, 0).contiguous().numpy())


def _resized(image: Tensor, factor: float) -> Tensor:
    """(3, h, w) -> (3, factor h, factor w), at least one pixel wide and high, with 8-bit values."""
    size = [max(1, round(factor * side)) for side in image.shape[-2:]]
    return quantize(F.interpolate(image[None], size, mode="bicubic", antialias=True)[0])


def _overview_html(image: Tensor, boxes: list[Box], face: int) -> str:
    """The photograph, each face in a square, the chosen one in a thick blue one."""
    factor = SHOWN / image.shape[-1]
    picture = _picture(_resized(image, factor))
    pen = ImageDraw.Draw(picture)
    for index, box in enumerate(boxes):
        turn = cmath.rect(box.side / 2, box.angle)
        corners = [complex(box.x, box.y) + turn * corner for corner in (-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j)]
        points = [(factor * corner.real, factor * corner.imag) for corner in corners]
        color, width = (COLORS["sr"], 3) if index == face else ("white", 1)
        pen.polygon(points, outline=color, width=width)
    caption = f"{image.shape[-1]}×{image.shape[-2]}, {len(boxes)} found"
    alt = f"{len(boxes)} faces marked in a photograph of {image.shape[-1]} by {image.shape[-2]} pixels"
    return _figure_html(picture, alt, caption)
