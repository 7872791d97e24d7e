"""Faces in photographs: found, cut out the way that CelebA's crops are, and put back."""

import cmath
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.pairs import HR_SIZE
from .detector import detect

SEARCHED_PIXELS = 4_000_000
FEATHER = 0.25  # of half a crop: over this margin a pasted face fades out
# Where MTCNN sees the eyes and the corners of the mouth in CelebA's crops: medians over 1,000 of them, as x + yi.
LANDMARKS = (47.1 + 48.8j, 80.6 + 48.7j, 48.9 + 83.3j, 79.2 + 83.0j)


class Box(NamedTuple):
    """The square of a photograph that is one CelebA crop, turned with the face.

    Attributes:
        x, y: its centre, in pixels of the photograph (the first pixel is from 0 to 1).
        side: its side, in the same pixels; 3.7 times the distance of the eyes.
        angle: how far the face is turned clockwise, in radians.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def scaled(self, factor: float) -> "Box":
        """The same square in a photograph that is `factor` times as large."""
        return Box(self.x * factor, self.y * factor, self.side * factor, self.angle)


def find_faces(image: Tensor) -> list[Box]:
    """Finds the faces in a photograph, by MTCNN, whose landmarks tell how each is turned.

    The photograph is brought to at most 4 megapixels for the search, and a small one is enlarged up to twice, so that
    the time is bounded and faces from some 10 pixels on are found.

    Args:
        image: (3, h, w), RGB in [0, 1].

    Returns:
        The largest first; empty if there is none.

    Raises:
        ElsfaceError: the detector's weights are not installed; the message has the command.
    """
    factor = min(2.0, math.sqrt(SEARCHED_PIXELS / image[0].numel()))
    searched = _resized(image, factor)
    landmarks = detect(searched).landmarks[:, [0, 1, 3, 4]]  # the nose is left out: it moves when a head turns
    boxes = [_fit([complex(x, y) for x, y in face]) for face in landmarks.tolist()]
    return sorted((box.scaled(1 / factor) for box in boxes), key=lambda box: -box.side)


def _resized(image: Tensor, factor: float) -> Tensor:
    """(3, h, w) -> (3, factor h, factor w), at least one pixel wide and high."""
    size = [max(1, round(factor * side)) for side in image.shape[-2:]]
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _fit(landmarks: list[complex]) -> Box:
    """The box whose eyes and mouth lie closest to these: a least-squares similarity, which is linear in x + yi."""
    center = sum(LANDMARKS) / len(LANDMARKS)
    seen = sum(landmarks) / len(landmarks)
    pairs = [(ours - center, theirs - seen) for ours, theirs in zip(LANDMARKS, landmarks, strict=True)]
    turn = sum(ours.conjugate() * theirs for ours, theirs in pairs) / sum(abs(ours) ** 2 for ours, _ in pairs)
    middle = seen + turn * (complex(HR_SIZE / 2, HR_SIZE / 2) - center)
    return Box(middle.real, middle.imag, HR_SIZE * abs(turn), cmath.phase(turn))


def crop_face(image: Tensor, box: Box, size: int = HR_SIZE) -> Tensor:
    """Cuts a box out of a photograph, upright, without aliasing.

    Args:
        image: (3, h, w), RGB in [0, 1]. Where the box leaves it, its border is repeated.
        box: from `find_faces`.
        size: side of the result in pixels.

    Returns:
        (3, size, size), in [0, 1].
    """
    left, top, right, bottom = _bounds(box, *image.shape[-2:])
    part = image[:, top:bottom, left:right]
    # Shrink first, with antialiasing: what follows reads only the nearest 4x4 pixels.
    shrunk = _resized(part, 2 * size / box.side) if box.side > 2 * size else part
    sampled = size if box.side <= size else 2 * size
    steps = (torch.arange(sampled, dtype=image.dtype, device=image.device) + 0.5) * (2 / sampled) - 1
    x, y = _to_photograph(steps, steps[:, None], box)
    face = _sample(shrunk, (x - left) / part.shape[-1], (y - top) / part.shape[-2])
    return F.interpolate(face[None], (size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)


def cut_around(image: Tensor, box: Box) -> tuple[Tensor, Box]:
    """Cuts the neighbourhood of a box out of a photograph, its pixels as they are: not turned, not resized.

    Args:
        image: (3, h, w).
        box: from `find_faces`.

    Returns:
        (3, h', w'), a view of the image: what the box touches of it, and a little more. And the box in it.
    """
    left, top, right, bottom = _bounds(box, *image.shape[-2:])
    return image[:, top:bottom, left:right], box._replace(x=box.x - left, y=box.y - top)


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


def _bounds(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of the photograph that a box touches, and a little more: left, top, right, bottom, never empty."""
    half = box.side / 2 * (abs(math.cos(box.angle)) + abs(math.sin(box.angle))) * 1.02 + 4
    left, top = (min(max(int(middle - half), 0), end - 1) for middle, end in ((box.x, width), (box.y, height)))
    right, bottom = (min(max(math.ceil(m + half), 1), end) for m, end in ((box.x, width), (box.y, height)))
    return left, top, right, bottom


def paste_face(image: Tensor, face: Tensor, box: Box) -> Tensor:
    """Puts a face back where it was cut, without a seam, into the photograph itself.

    Inside, all detail is the face's. Colour and brightness (what is wider than a sixteenth of the face) stay the
    photograph's, and towards its sides the face fades out. Outside the box nothing changes.

    Args:
        image: (3, h, w), RGB in [0, 1]; changed in place.
        face: (3, size, size), the face.
        box: where it goes, in pixels of this image.

    Returns:
        The image.
    """
    there = crop_face(image, box, face.shape[-1])
    face = face.to(image) + _smooth(there - face.to(image))
    if box.side < face.shape[-1]:
        face = _resized(face, box.side / face.shape[-1])
    left, top, right, bottom = _bounds(box, *image.shape[-2:])
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
