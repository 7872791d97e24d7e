"""Whatever form a picture has in Python, as the one that everything here computes with."""

import os
from collections.abc import Sequence
from typing import IO, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ElsfaceError
from .decode import MAX_PIXELS
from .photograph import Photograph, decode_photograph, read_photograph

Picture: TypeAlias = Tensor | np.ndarray | Image.Image | IO[bytes] | str | os.PathLike[str]
Pictures: TypeAlias = Picture | Sequence[Picture]
TAKEN = "a tensor (3, h, w), an array (h, w, 3), a PIL image, an open file or a path"


def as_image(picture: Picture) -> Tensor:
    """A picture as a tensor.

    Args:
        picture: a tensor (3, h, w) or (1, 3, h, w); an array (h, w), (h, w, 1), (h, w, 3), or (h, w, 4), which is laid
            on white; both either floats in [0, 1] or uint8. Or a PIL image, a file opened in binary mode (io.BytesIO),
            or a path, which give what `read_image` gives.

    Returns:
        (3, h, w), float32, RGB in [0, 1], on the device of a tensor.

    Raises:
        ElsfaceError: it is nothing of that, or holds values outside [0, 1], or is no readable picture.
    """
    if isinstance(picture, Tensor):
        if picture.ndim == 4 and len(picture) != 1:
            raise ElsfaceError(f"a tensor {tuple(picture.shape)} is a batch of {len(picture)}, not one picture.")
        return _from_tensor(picture[0] if picture.ndim == 4 else picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, str | os.PathLike):
        return read_photograph(picture, MAX_PIXELS).rgb()
    if isinstance(picture, Image.Image) or hasattr(picture, "read"):
        return decode_photograph(picture, MAX_PIXELS).rgb()
    raise ElsfaceError(f"a picture of type {type(picture).__name__} cannot be taken: give {TAKEN}.")


def as_photograph(picture: Picture) -> Photograph:
    """A picture with what is known of it beside its pixels: its profile, transparency, date and so on.

    Args:
        picture: as `as_image` takes it; a file may have up to 250 megapixels.

    Raises:
        ElsfaceError: as in `as_image`.
    """
    if isinstance(picture, str | os.PathLike):
        return read_photograph(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim in (2, 3) and picture.size:
        picture = Image.fromarray(_checked_array(picture))
    if isinstance(picture, Image.Image) or hasattr(picture, "read"):
        return decode_photograph(picture)  # type: ignore[arg-type]
    return Photograph(as_image(picture).detach().cpu())


def as_batch(pictures: Pictures) -> Tensor:
    """Pictures of one size as one tensor.

    Args:
        pictures: a tensor (b, 3, h, w), an array (b, h, w, 3), a list of pictures, or one picture, as `as_image`
            takes it.

    Returns:
        (b, 3, h, w), float32, RGB in [0, 1].

    Raises:
        ElsfaceError: a picture cannot be taken, there is none, or they differ in size.
    """
    if isinstance(pictures, Tensor) and pictures.ndim == 4:
        return _from_tensor(pictures)
    several = isinstance(pictures, list | tuple) or (isinstance(pictures, np.ndarray) and pictures.ndim == 4)
    images = [as_image(picture) for picture in pictures] if several else [as_image(pictures)]  # type: ignore[union-attr, arg-type]
    sizes = {f"{image.shape[-1]}x{image.shape[-2]}" for image in images}
    if len(sizes) != 1:
        reason = f"have {len(sizes)} sizes ({', '.join(sorted(sizes)[:3])})" if sizes else "are none"
        raise ElsfaceError(f"the pictures of a batch {reason}: give at least one, and all of one size.")
    return torch.stack(images)


def _from_tensor(image: Tensor) -> Tensor:
    if image.ndim not in (3, 4) or image.shape[-3] != 3:
        raise ElsfaceError(f"a tensor {tuple(image.shape)} is no RGB picture: give (3, h, w) or (b, 3, h, w).")
    return _in_range(image)


def _checked_array(array: np.ndarray) -> np.ndarray:
    """The array, (h, w, 1) as (h, w)."""
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        advice = "give (h, w, 3), (h, w, 4) or (h, w), or a tensor (3, h, w)"
        raise ElsfaceError(f"an array {array.shape} is no picture: {advice}.")
    return array[..., 0] if array.shape[2:] == (1,) else array


def _from_array(array: np.ndarray) -> Tensor:
    array = _checked_array(array)
    if array.dtype == np.uint8 and array.size:  # by the way that files go, so that both are equal to the last bit
        return decode_photograph(Image.fromarray(array)).rgb()
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise ElsfaceError(f"an array of {array.dtype} is no picture: give uint8, or floats in [0, 1].")
    image = _in_range(torch.from_numpy(np.atleast_3d(array).astype(np.float32)).permute(2, 0, 1))
    colours, opacity = image[:3], image[3:]
    if len(opacity):
        colours = colours * opacity + 1 - opacity
    return colours.expand(3, -1, -1).contiguous()


def _in_range(image: Tensor) -> Tensor:
    if not image.numel():
        raise ElsfaceError(f"a picture {tuple(image.shape)} has no pixel: it may have been cut out beyond the border.")
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise ElsfaceError(f"a tensor of {image.dtype} is no picture: give uint8, or floats in [0, 1].")
    image = image.float()
    low, high = image.detach().aminmax()
    if not (low >= 0 and high <= 1):  # written so that NaN is refused as well
        raise ElsfaceError(f"a picture has values from {low:g} to {high:g}, not in [0, 1]: divide or clamp them first.")
    return image
