"""Files opened with care: the content chooses the decoder, a size is seen before it is decoded, a fault is one line."""

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from ..errors import ElsfaceError

# Only these decoders are ever tried: some of Pillow's (EPS, for one) start other programs. TGA comes last, since its
# files begin with no mark that tells them from others.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF", "HEIF", "JPEG2000", "TGA")
# How such files are named; what is named otherwise is looked into.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".pnm", ".avif",
    ".heic", ".heif", ".jp2", ".j2k", ".tga",
)  # fmt: skip
MAX_PIXELS = 100_000_000  # of a picture whose pixels become floats, 12 bytes each
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MAX_PHOTOGRAPH = 250_000_000  # pixels; they stay 8-bit, 3 bytes each and 4 more while Pillow decodes or encodes
DEPTHS = (8, 12, 16, 31)  # bits that grey values of more than 8 are made of

# Where nobody has set up logging, Pillow's notes on a broken file would go to stderr beside our one line.
logging.getLogger("PIL").addHandler(logging.NullHandler())
_lock = threading.Lock()


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file that is there; whatever happens to it in the block is said in one line.

    Raises:
        ElsfaceError: it is not there, or is no file, or the block has failed.
    """
    file = Path(path)
    with one_line(file):
        if not file.is_file():  # also keeps pipes and devices out, which would be waited for without end
            raise ElsfaceError(f"{file} {'is not a file' if file.exists() else 'does not exist'}: check the name.")
        yield file


@contextmanager
def one_line(name: object) -> Iterator[None]:
    """A block whose every error becomes one line that names the picture.

    Raises:
        ElsfaceError: the block has failed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except ElsfaceError:
        raise
    except Exception as error:  # Pillow's decoders answer broken files with almost any exception
        raise _unreadable(name, error) from error


def _unreadable(path: object, error: Exception) -> ElsfaceError:
    if isinstance(error, OSError) and error.errno is not None:
        return ElsfaceError(f"cannot read {path}: {error.strerror}.")
    if isinstance(error, MemoryError):
        return ElsfaceError(f"{path} does not fit into memory: shrink it first.")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ElsfaceError(f"{path} is damaged ({reason}): save it again, or take another copy.")


@cache
def decoders() -> list[str]:
    """Those of FORMATS that are installed; from then on Pillow knows them, and their suffixes."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return [known for known in FORMATS if known in Image.OPEN]


def open_image(file: Path | IO[bytes], name: object, limit: int = MAX_PIXELS) -> Image.Image:
    """The image with only its header read.

    Args:
        file: a path, or an open file.
        name: what the picture is called in an error.
        limit: pixels that it must have fewer than.

    Raises:
        ElsfaceError: it is no image, or too large.
    """
    formats = decoders()
    try:
        with _bounded_by(limit):
            image = Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far more than", limit) from error
    except Image.UnidentifiedImageError as error:
        raise ElsfaceError(f"{name} {_what_else(file)}.") from error
    if image.width * image.height >= limit:
        image.close()
        raise _too_large(name, f"{image.width}x{image.height}, and the limit is", limit)
    return image


@contextmanager
def _bounded_by(limit: int) -> Iterator[None]:
    """Pillow refuses what has twice its own limit, a global: ours while a header is read, and then as it was."""
    with _lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _too_large(path: object, size: str, limit: int) -> ElsfaceError:
    return ElsfaceError(f"{path} is too large ({size} {limit // 10**6} megapixels): shrink it first.")


def _what_else(file: Path | IO[bytes]) -> str:
    with file.open("rb") if isinstance(file, Path) else file as opened:
        opened.seek(0)
        start = opened.read(12)
    if not start:
        return "is empty: take another copy"
    if start[4:8] == b"ftyp" and start[8:12] in HEIC and "HEIF" not in decoders():
        return 'is a HEIC picture: to read it, `pip install "elsface-lite[heic]"`'
    if start[4:8] == b"ftyp" and start[8:12] not in HEIC:
        return "is a film: save its frames as pictures, such as by `ffmpeg -i FILM %05d.png`"
    known = ", ".join(decoders())
    return f"is not an image that can be read here ({known}), or is damaged at its beginning: save it as JPEG or PNG"


def is_picture(path: Path) -> bool:
    """Whether a file begins like a picture of a kind that has a mark, whatever its name."""
    marked = [known for known in decoders() if known != "TGA"]
    with suppress(Exception), named(path), _bounded_by(MAX_PIXELS), Image.open(path, formats=marked):
        return True
    return False


def upright(image: Image.Image) -> Image.Image:
    """The image decoded, and turned as its EXIF orientation says."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return image


def is_deep(image: Image.Image) -> bool:
    """Whether its grey values have more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def deep_grey(image: Image.Image, path: object) -> tuple[np.ndarray, int | None]:
    """Grey values of 16 and 32 bits, and floats: Pillow's own conversion to RGB would clip them at 255.

    A file of 16 or 32 bits often holds a camera's 12, or 8: without looking at the values it would be read as black.

    Returns:
        (h, w), float32, in [0, 1], and the bits that the values are made of; None for floats.

    Raises:
        ElsfaceError: they are not in that range.
    """
    values, bits = np.array(image), None
    if image.mode != "F":
        bits = next(depth for depth in DEPTHS if values.max() < 2**depth)
    values = values.astype(np.float32)
    if bits:
        values /= 2**bits - 1
    if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN is refused as well
        raise ElsfaceError(f"{path} holds values outside [0, 1]: save it with 8 or 16 bits.")
    return values, bits


def read_bytes(file: IO[bytes]) -> BytesIO:
    """All of an open file, from its beginning."""
    if file.seekable():
        file.seek(0)
    return BytesIO(file.read())
