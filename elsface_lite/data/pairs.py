"""LR/HR pairs: an HR face is the centre square of a picture, its LR face is made of it by a degradation."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import ElsfaceError
from .degradation import Bicubic, Degradation, generator, resize
from .images import read_image

HR_SIZE = 128  # side of a CelebA crop as face super-resolution uses it
KEPT_BYTES = 2 * 1024**3  # decoded faces that a FacePairs keeps in memory: 43,690 of 128x128; the rest is read again


def center_crop(image: Tensor, size: int) -> Tensor:
    """Takes the largest centred square to size x size by antialiased bicubic: cropped, never stretched.

    Args:
        image: (..., h, w) in [0, 1], such as (3, h, w) or (b, 3, h, w).
        size: side of the result in pixels.

    Returns:
        (..., size, size) in [0, 1], rounded to 8 bits if it had to be resized.
    """
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[..., top : top + side, left : left + side]
    return square if side == size else resize(square, size, size)


def load_face(path: str | Path, size: int, enlarge: bool = False) -> Tensor:
    """Reads one HR face: (3, size, size) uint8, 0 to 255.

    Args:
        path: a picture file, in any size, colour mode and aspect ratio.
        size: side of the HR face in pixels.
        enlarge: takes a smaller picture as well; what is enlarged has nothing fine to learn from, or to measure.

    Raises:
        ElsfaceError: the file is not a readable picture, or smaller than size; the message names it.
    """
    image = read_image(path)
    height, width = image.shape[-2:]
    if min(height, width) < size and not enlarge:
        advice = "leave it out, choose a smaller HR size, or enlarge it knowingly (enlarge=True)"
        raise ElsfaceError(f"{path} has {width}x{height} pixels, too few for an HR face of {size}x{size}: {advice}.")
    return (255 * center_crop(image, size)).round().to(torch.uint8)


def load_faces(paths: Iterable[str | Path], size: int, enlarge: bool = False) -> Tensor:
    """Reads HR faces into one tensor: (n, 3, size, size) uint8, 0 to 255; see `load_face`.

    Raises:
        ElsfaceError: there is no path, or a file is not a readable picture, or smaller than size; it is named.
    """
    faces = [load_face(path, size, enlarge) for path in paths]
    if not faces:
        raise ElsfaceError("no face to load: the list of files is empty.")
    return torch.stack(faces)


class FacePairs(Dataset[tuple[Tensor, Tensor]]):
    """LR and HR faces from picture files; each file is decoded once and its HR face kept as uint8.

    Args:
        paths: picture files, in any size, colour mode and aspect ratio.
        scale: LR pixels are this many HR pixels wide.
        size: side of the HR faces in pixels; a multiple of scale.
        degradation: makes an LR face of an HR one; None for `Bicubic(scale)`. For workers that are spawned it has to
            be picklable: no lambda.
        seed: of what is random in the degradation.
        enlarge: takes pictures that are smaller than size as well.

    Items: (3, size / scale, size / scale) and (3, size, size), float32 in [0, 1], the same ones for every access.

    Raises:
        ElsfaceError: no paths, or scale does not divide size; on reading, a file is not a readable picture or is
            smaller than size, or the degradation makes LR faces of another size.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        scale: int = 4,
        size: int = HR_SIZE,
        degradation: Degradation | None = None,
        seed: int = 0,
        enlarge: bool = False,
    ) -> None:
        self.paths, self.scale, self.size = list(paths), scale, size
        self.degradation = Bicubic(scale) if degradation is None else degradation
        self.seed, self.enlarge = seed, enlarge
        self.kept: dict[int, Tensor] = {}
        if not self.paths:
            raise ElsfaceError("no face to make pairs of: the list of files is empty.")
        if scale < 1:
            raise ElsfaceError(f"scale {scale} enlarges nothing: choose 1 or more.")
        if size < scale or size % scale:
            advice = f"choose a size that it divides, such as {size // scale * scale or scale}"
            raise ElsfaceError(f"scale {scale} does not divide the HR size {size}: {advice}.")

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process gets: it keeps faces of its own."""
        return self.__dict__ | {"kept": {}}

    def __len__(self) -> int:
        return len(self.paths)

    def hr(self, index: int) -> Tensor:
        """One HR face: (3, size, size), float32 in [0, 1]."""
        face = self.kept.get(index)
        if face is None:
            face = load_face(self.paths[index], self.size, self.enlarge)
            if (len(self.kept) + 1) * face.numel() <= KEPT_BYTES:
                self.kept[index] = face
        return face.float() / 255

    def pair(self, hr: Tensor, *key: int) -> tuple[Tensor, Tensor]:
        """Degrades an HR face (3, size, size) by random numbers that depend on seed and key alone: (LR, HR).

        Raises:
            ElsfaceError: the LR face is not (3, size / scale, size / scale).
        """
        lr = self.degradation(hr, generator(self.seed, *key))
        side = self.size // self.scale
        if lr.shape != (3, side, side):
            made = f"{self.degradation!r} made an LR face {tuple(lr.shape)} of an HR face {tuple(hr.shape)}"
            raise ElsfaceError(f"{made}: at scale {self.scale} it has to be {(3, side, side)}.")
        return lr, hr

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        index = range(len(self))[index]  # from the end, too; beyond it an IndexError
        return self.pair(self.hr(index), index)


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
