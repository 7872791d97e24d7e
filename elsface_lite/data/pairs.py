"""LR/HR pairs: an HR face is the centre square of a picture, its LR face is made by degradation.py and nowhere else."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import ElsfaceError
from .degradation import downscale, quantize
from .images import read_image

HR_SIZE = 128  # side of a CelebA crop as face super-resolution uses it
KEPT_BYTES = 2 * 1024**3  # decoded faces that a FacePairs keeps in memory: 43,690 of 128x128; the rest is read again


def center_crop(image: Tensor, size: int) -> Tensor:
    """Takes the largest centred square to size x size by antialiased bicubic: cropped, never stretched.

    Args:
        image: (..., h, w) in [0, 1].
        size: side of the result in pixels.

    Returns:
        (..., size, size) in [0, 1], rounded to 8 bits if it had to be resized.
    """
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[..., top : top + side, left : left + side]
    if side == size:
        return square
    planes = square.reshape(1, -1, side, side)
    resized = F.interpolate(planes, (size, size), mode="bicubic", antialias=True)
    return quantize(resized).reshape(*image.shape[:-2], size, size)


def load_face(path: str | Path, size: int) -> Tensor:
    """Reads one HR face: (3, size, size) uint8, 0 to 255.

    Raises:
        ElsfaceError: the file is not a readable picture; the message names it.
    """
    return (255 * center_crop(read_image(path), size)).round().to(torch.uint8)


def load_faces(paths: Iterable[str | Path], size: int) -> Tensor:
    """Reads HR faces into one tensor: (n, 3, size, size) uint8, 0 to 255.

    Raises:
        ElsfaceError: there is no path, or a file is not a readable picture; the message names it.
    """
    faces = [load_face(path, size) for path in paths]
    if not faces:
        raise ElsfaceError("no face to load: the list of files is empty.")
    return torch.stack(faces)


class FacePairs(Dataset[tuple[Tensor, Tensor]]):
    """LR and HR faces from picture files; each file is decoded once and its HR face kept as uint8.

    Args:
        paths: picture files, in any size, colour mode and aspect ratio.
        scale: LR pixels are this many HR pixels wide.
        size: side of the HR faces in pixels; a multiple of scale.

    Items: (3, size / scale, size / scale) and (3, size, size), float32 in [0, 1], both with 8-bit values.

    Raises:
        ElsfaceError: no paths, or scale does not divide size; on reading, a file is not a readable picture.
    """

    def __init__(self, paths: Iterable[str | Path], scale: int, size: int = HR_SIZE) -> None:
        self.paths, self.scale, self.size = list(paths), scale, size
        self.kept: dict[int, Tensor] = {}
        if not self.paths:
            raise ElsfaceError("no face to make pairs of: the list of files is empty.")
        if scale < 1 or size % scale:
            raise ElsfaceError(f"scale {scale} does not divide the HR size {size}: choose a size that it divides.")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        face = self.kept.get(index)
        if face is None:
            face = load_face(self.paths[index], self.size)
            if (len(self.kept) + 1) * face.numel() <= KEPT_BYTES:
                self.kept[index] = face
        hr = face.float() / 255
        return downscale(hr[None], self.scale)[0], hr


def split_by_person(identities: Sequence[str], held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """Splits faces into training and validation so that no person is in both.

    The people are ordered by a hash of seed and name: the same on every machine, whatever the order of the faces.

    Args:
        identities: one name per face.
        held_out: number of people for validation.
        seed: another seed holds out other people.

    Returns:
        Indices into identities, ascending: training, validation.

    Raises:
        ElsfaceError: held_out leaves no person for one of the two.
    """
    people = set(identities)
    if not 0 < held_out < len(people):
        raise ElsfaceError(f"cannot hold out {held_out} of {len(people)} people: choose 1 to {len(people) - 1}.")
    shuffled = sorted(people, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    validation = set(shuffled[:held_out])
    indices = range(len(identities))
    return [i for i in indices if identities[i] not in validation], [i for i in indices if identities[i] in validation]
