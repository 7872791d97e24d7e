"""Colour profiles: from the colours that a file means to sRGB, which the networks were trained on, and back."""

from contextlib import suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


def usable_profile(profile: bytes | None, mode: str) -> bytes | None:
    """The profile, if colours of a Pillow mode ("RGB", "L") have to be converted by it, and can be, both ways."""
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(opened).lower():
            return None
        _transform(profile, mode, False), _transform(profile, mode, True)
    except Exception:  # a damaged profile, or one of another kind of colours: read as a viewer without profiles does
        return None
    return profile


@lru_cache(16)
def _transform(profile: bytes, mode: str, back: bool) -> ImageCms.ImageCmsTransform:
    own, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    if back:
        return ImageCms.buildTransform(srgb, own, "RGB", mode, INTENT)
    return ImageCms.buildTransform(own, srgb, mode, "RGB", INTENT)


def to_srgb(image: Tensor, profile: bytes) -> Tensor:
    """(c, h, w) in [0, 1] of a profile, c = 1 or 3 -> (3, h, w), sRGB."""
    return _converted(image, profile, back=False)


def pil_in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A PIL image of a profile in sRGB, grey as grey."""
    colors = _transform(profile, picture.mode, False).apply(picture)
    return colors.convert(picture.mode)


def from_srgb(image: Tensor, profile: bytes, channels: int) -> Tensor:
    """(3, h, w), sRGB in [0, 1] -> (channels, h, w) of a profile, channels = 1 or 3."""
    return _converted(image, profile, back=True, mode="L" if channels == 1 else "RGB")


def _converted(image: Tensor, profile: bytes, back: bool, mode: str | None = None) -> Tensor:
    """By Pillow's ImageCms, which knows 8 bits."""
    picture = to_pil(image)
    return in_tensor(_transform(profile, mode or picture.mode, back).apply(picture))


def to_pil(image: Tensor) -> Image.Image:
    """(c, h, w), c = 1 or 3, 8 bits or in [0, 1], as Pillow's, 8 bits."""
    if image.dtype != torch.uint8:
        image = image.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def in_tensor(picture: Image.Image) -> Tensor:
    """A PIL image of 8 bits as (c, h, w) in [0, 1]: the inverse of `to_pil`."""
    return torch.from_numpy(np.atleast_3d(np.array(picture))).permute(2, 0, 1).contiguous().float() / 255


def without_ink(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK picture in sRGB, by its profile if that can be used."""
    if profile:
        with suppress(Exception):  # a damaged profile, or none of ink
            return _transform(profile, "CMYK", False).apply(image)
    return image.convert("RGB")
