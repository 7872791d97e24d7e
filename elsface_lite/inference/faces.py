"""Faces in photographs: found, cut out the way that CelebA's crops are, and put back."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.inputs import Picture, as_image, as_photograph
from ..data.pairs import HR_SIZE
from .box import LANDMARKS as LANDMARKS
from .box import Box as Box
from .finder import SMALLEST, resized, search

FEATHER = 0.25  # of half a crop: over this margin a pasted face fades out
SHRUNK = 0.9  # of its own size: a face that is pasted smaller is shrunk before, without aliasing


def find_faces(image: Picture, smallest: float = SMALLEST) -> list[Box]:
    """Finds the faces in a photograph, by MTCNN, whose landmarks tell how each is turned.

    All quarter turns are searched at 1 megapixel; then, upright and in the turns where a face surely is (in all where
    none is), at 4 megapixels, to which a small photograph is enlarged up to twice, and a larger one again in tiles.

    Args:
        image: (3, h, w), RGB in [0, 1], or in any other form that `as_photograph` takes.
        smallest: side of the smallest box that is looked for, in pixels of the photograph; in small ones, smaller.

    Returns:
        The largest first; empty if there is none.

    Raises:
        ElsfaceError: the detector's weights are not installed; the message has the command.
    """
    return [seen.box for seen in search(as_photograph(image), smallest)]


def crop_face(image: Picture, box: Box, size: int = HR_SIZE) -> Tensor:
    """Cuts a box out of a photograph, upright, without aliasing.

    Args:
        image: (3, h, w), RGB in [0, 1], or in any other form that `as_image` takes. Where the box leaves it, its border
            is repeated.
        box: from `find_faces`.
        size: side of the result in pixels.

    Returns:
        (3, size, size), in [0, 1].
    """
    return cut_out(as_image(image), box, size)


def cut_out(image: Tensor, box: Box, size: int) -> Tensor:
    """`crop_face` of (c, h, w), of which nothing is asked."""
    left, top, right, bottom = bounds(box, *image.shape[-2:])
    part = image[:, top:bottom, left:right]
    # Shrink first, with antialiasing: what follows reads only the nearest 4x4 pixels.
    shrunk = resized(part, 2 * size / box.side) if box.side > 2 * size else part
    sampled = size if box.side <= size else 2 * size
    steps = (torch.arange(sampled, dtype=image.dtype, device=image.device) + 0.5) * (2 / sampled) - 1
    x, y = _to_photograph(steps, steps[:, None], box)
    face = _sample(shrunk, (x - left) / part.shape[-1], (y - top) / part.shape[-2])
    return F.interpolate(face[None], (size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)


def cut_around(image: Picture, box: Box) -> tuple[Tensor, Box]:
    """Cuts the neighbourhood of a box out of a photograph, its pixels as they are: not turned, not resized.

    Args:
        image: (3, h, w), RGB in [0, 1], or in any other form that `as_image` takes.
        box: from `find_faces`.

    Returns:
        (3, h', w'), of a float tensor a view: what the box touches of it, and a little more. And the box in it.
    """
    image = as_image(image)
    left, top, right, bottom = bounds(box, *image.shape[-2:])
    return image[:, top:bottom, left:right], box.moved(-left, -top)


def _to_photograph(u: Tensor, v: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """From the box, whose sides are at -1 and 1, to pixels of the photograph."""
    cos, sin = (box.side / 2 * part for part in (math.cos(box.angle), math.sin(box.angle)))
    return box.x + cos * u - sin * v, box.y + sin * u + cos * v


def _to_box(x: Tensor, y: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """The inverse of `_to_photograph`."""
    cos, sin = (2 / box.side * part for part in (math.cos(box.angle), math.sin(box.angle)))
    return cos * (x - box.x) + sin * (y - box.y), cos * (y - box.y) - sin * (x - box.x)


def _sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The image at places (h, w), from 0 to 1 over its width and height, bicubic, its border repeated: (3, h, w)."""
    grid = 2 * torch.stack([x, y], -1) - 1
    return F.grid_sample(image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False)[0]


def bounds(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of the photograph that a box touches, and a little more: left, top, right, bottom, never empty."""
    half = box.side / 2 * (abs(math.cos(box.angle)) + abs(math.sin(box.angle))) * 1.02 + 4
    left, top = (min(max(int(middle - half), 0), end - 1) for middle, end in ((box.x, width), (box.y, height)))
    right, bottom = (min(max(math.ceil(m + half), 1), end) for m, end in ((box.x, width), (box.y, height)))
    return left, top, right, bottom


def paste_face(image: Picture, face: Picture, box: Box) -> Tensor:
    """Puts a face back where it was cut, without a seam, into the photograph itself.

    Inside, all detail is the face's. Colour and brightness (what is wider than a sixteenth of the face) stay the
    photograph's, and towards its sides the face fades out. Outside the box nothing changes.

    Args:
        image: (3, h, w), RGB in [0, 1]: a float tensor is changed in place; or in any other form that `as_image` takes.
        face: (3, size, size), the face, in any of these forms.
        box: where it goes, in pixels of this image.

    Returns:
        The image.
    """
    return paste(as_image(image), as_image(face), box)


def paste(image: Tensor, face: Tensor, box: Box) -> Tensor:
    """`paste_face` of (c, h, w) and (c, size, size), of which nothing is asked."""
    there = cut_out(image, box, face.shape[-1])
    face = face.to(image) + _smooth(there - face.to(image))
    if box.side < SHRUNK * face.shape[-1]:
        face = resized(face, box.side / face.shape[-1])
    left, top, right, bottom = bounds(box, *image.shape[-2:])
    y = torch.arange(top, bottom, dtype=image.dtype, device=image.device)[:, None] + 0.5
    x = torch.arange(left, right, dtype=image.dtype, device=image.device) + 0.5
    u, v = _to_box(x, y, box)
    pasted = _sample(face, (u + 1) / 2, (v + 1) / 2)
    part = image[:, top:bottom, left:right]
    part.lerp_(pasted.clamp(0, 1), _fade(u) * _fade(v))
    return image


def _smooth(image: Tensor) -> Tensor:
    """What is left of (3, h, w) at 16x16."""
    small = F.interpolate(image[None], (16, 16), mode="bicubic", antialias=True)
    return F.interpolate(small, image.shape[-2:], mode="bicubic", antialias=True)[0]


def _fade(u: Tensor) -> Tensor:
    """1 in the middle of the box, 0 from its sides on, and smooth between: 3t^2 - 2t^3."""
    t = ((1 - u.abs()) / FEATHER).clamp(0, 1)
    return t * t * (3 - 2 * t)
