"""Pictures in and out of files: whatever a camera, a scanner or the web writes becomes (3, h, w) RGB in [0, 1]."""

import os

from PIL import Image
from torch import Tensor

from ..errors import ElsfaceError
from .decode import MAX_PIXELS, named, open_image, upright
from .inputs import Picture, as_image
from .photograph import Photograph, read_photograph

ORIENTATION = 0x0112  # the EXIF tag; from 5 on, height and width are exchanged


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Reads a picture the way that a viewer shows it.

    EXIF orientation is applied, colours are converted to sRGB where the file has a profile, transparency is laid on
    white, palettes, grey, CMYK and 1-bit become RGB, 16 bits are scaled (not clipped), and an animation gives its first
    frame: `read_photograph` keeps what this leaves out.

    Args:
        path: a JPEG, PNG, WebP, TIFF, GIF, BMP, PPM, AVIF, JPEG 2000 or TGA file; HEIC, with the extra `heic`.

    Returns:
        (3, h, w), float32, RGB in [0, 1].

    Raises:
        ElsfaceError: the file is missing, is no image, is damaged, or has 100 megapixels or more (which is seen in its
            header, before anything is decoded). The message names it and says what to do.
    """
    return read_photograph(path, MAX_PIXELS).rgb()


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels of what `read_image` would read, from the header alone.

    Raises:
        ElsfaceError: as in `read_image`, as far as a header shows it.
    """
    with named(path) as file, open_image(file, file) as image:
        if image.format == "TIFF":  # whether its size is that before or after turning depends on Pillow's version
            image = upright(image)
            return image.height, image.width
        # Not image.getexif(), which decodes a PNG to look behind its pixels.
        turned = Image.Image.getexif(image).get(ORIENTATION) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


def write_png(image: Picture, path: str | os.PathLike[str]) -> None:
    """Writes an 8-bit PNG, whole or not at all.

    Args:
        image: (3, h, w), RGB, values outside [0, 1] are clamped; or in any other form that `as_image` takes.
        path: the file; missing folders are made, an existing file is replaced.

    Raises:
        ElsfaceError: the place cannot be written, or the image is none, or holds NaN.
    """
    if isinstance(image, Tensor) and image.is_floating_point():
        if image.isnan().any():
            raise ElsfaceError(f"cannot write {path}: the image holds NaN.")
        image = image.detach().clamp(0, 1)
    Photograph(as_image(image)).write(path, "PNG")
