"""Pictures in and out of files: whatever a camera, a scanner or the web writes becomes (3, h, w) RGB in [0, 1]."""

import glob
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import ElsfaceError
from ..files import whole_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".avif")
# Only these decoders are ever tried: a file's content, not its name, chooses the decoder, and some of Pillow's
# (EPS, for one) start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
MAX_PIXELS = 100_000_000
ORIENTATION = 0x0112  # the EXIF tag; from 5 on, height and width are exchanged

# Where nobody has set up logging, Pillow's notes on a broken file would go to stderr beside our one line.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Reads a picture the way that a viewer shows it.

    EXIF orientation is applied, transparency is flattened on white, palettes, grey, CMYK and 1-bit become RGB, 16 bits
    are scaled (not clipped), and an animation gives its first frame. Colour profiles are ignored.

    Args:
        path: a JPEG, PNG, WebP, TIFF, GIF, BMP, PPM or AVIF file.

    Returns:
        (3, h, w), float32, RGB in [0, 1].

    Raises:
        ElsfaceError: the file is missing, is no image, is damaged, or has 100 megapixels or more (which is seen in its
            header, before anything is decoded). The message names it and says what to do.
    """
    with _named(path) as file, _open(file, file) as image:
        return _to_tensor(_upright(image), file)


def decode_image(picture: Image.Image | IO[bytes]) -> Tensor:
    """What `read_image` would read, of a picture that Pillow has opened, or of an open file, from its beginning.

    Args:
        picture: a PIL image, a file opened in binary mode, or an io.BytesIO.

    Returns:
        (3, h, w), float32, RGB in [0, 1].

    Raises:
        ElsfaceError: it holds no image, is damaged, or has 100 megapixels or more.
    """
    name = "the picture"
    with _one_line(name):
        if isinstance(picture, Image.Image):
            return _to_tensor(_upright(picture), name)
        if picture.seekable():
            picture.seek(0)
        with _open(BytesIO(picture.read()), name) as image:
            return _to_tensor(_upright(image), name)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels of what `read_image` would read, from the header alone.

    Raises:
        ElsfaceError: as in `read_image`, as far as a header shows it.
    """
    with _named(path) as file, _open(file, file) as image:
        if image.format == "TIFF":  # whether its size is that before or after turning depends on Pillow's version
            image = _upright(image)
            return image.height, image.width
        # Not image.getexif(), which decodes a PNG to look behind its pixels.
        turned = Image.Image.getexif(image).get(ORIENTATION) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file that is there; whatever happens to it in the block is said in one line."""
    file = Path(path)
    with _one_line(file):
        if not file.is_file():  # also keeps pipes and devices out, which would be waited for without end
            raise ElsfaceError(f"{file} {'is not a file' if file.exists() else 'does not exist'}: check the name.")
        yield file


@contextmanager
def _one_line(name: object) -> Iterator[None]:
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


def _open(file: Path | IO[bytes], name: object) -> Image.Image:
    """The image with only its header read."""
    Image.init()
    try:
        image = Image.open(file, formats=[known for known in FORMATS if known in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far more than") from error
    except Image.UnidentifiedImageError as error:
        raise ElsfaceError(f"{name} {_what_else(file)}: save it as JPEG or PNG.") from error
    if image.width * image.height >= MAX_PIXELS:
        image.close()
        raise _too_large(name, f"{image.width}x{image.height}, and the limit is")
    return image


def _too_large(path: object, size: str) -> ElsfaceError:
    return ElsfaceError(f"{path} is too large ({size} {MAX_PIXELS // 10**6} megapixels): shrink it first.")


def _what_else(file: Path | IO[bytes]) -> str:
    with file.open("rb") if isinstance(file, Path) else file as opened:
        opened.seek(0)
        start = opened.read(12)
    if not start:
        return "is empty"
    if start[4:8] == b"ftyp":
        return "is a HEIC picture or a film, which cannot be read here"
    return f"is not an image that can be read here ({', '.join(FORMATS)}), or is damaged at its beginning"


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return image


def _to_tensor(image: Image.Image, path: object) -> Tensor:
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep_grey(image, path)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)


def _from_deep_grey(image: Image.Image, path: object) -> Tensor:
    """16 and 32 bits, and floats: Pillow's own conversion to RGB would clip them at 255."""
    values = np.array(image).astype(np.float32)
    if image.mode != "F":
        values /= 65535 if values.max() <= 65535 else 2**31 - 1
    if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN is refused as well
        raise ElsfaceError(f"{path} holds values outside [0, 1]: save it with 8 or 16 bits.")
    return torch.from_numpy(values).expand(3, -1, -1).contiguous()


def write_png(image: Tensor, path: str | os.PathLike[str]) -> None:
    """Writes an 8-bit PNG, whole or not at all.

    Args:
        image: (3, h, w), RGB; values outside [0, 1] are clamped.
        path: the file; missing folders are made, an existing file is replaced.

    Raises:
        ElsfaceError: the place cannot be written, or the image holds NaN.
        ValueError: the image has another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"write_png takes one image (3, h, w), not {tuple(image.shape)}.")
    if image.isnan().any():
        raise ElsfaceError(f"cannot write {path}: the image holds NaN.")
    pixels = image.detach().clamp(0, 1).mul_(255).round_().to("cpu", torch.uint8).permute(1, 2, 0).contiguous()
    with whole_file(path) as beside:
        # Pillow's own level takes several times as long, beside a network that wants the same cores.
        Image.fromarray(pixels.numpy()).save(beside, format="PNG", compress_level=1)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder of this name.

    Raises:
        ElsfaceError: the system will not look, since the name is too long or the place is closed to us.
    """
    try:
        return Path(path).is_dir()
    except OSError as error:
        raise ElsfaceError(f"cannot look for {path}: {error.strerror}.") from error


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files among files and folders.

    Args:
        inputs: a file is taken as it is; a folder is searched with all below it, links followed, for names that end
            like an image (`SUFFIXES`), sorted; hidden ones are passed over. What is neither may be a pattern such as
            `*.jpg`, which some shells leave to the program.

    Returns:
        Each file once, in the order given.

    Raises:
        ElsfaceError: an input does not exist, or a folder holds no image.
    """
    found: list[Path] = []
    for path in map(Path, inputs):
        if is_folder(path):
            images = _search(path, set())
            if not images:
                raise ElsfaceError(f"{path} holds no image (looked for names in {', '.join(SUFFIXES)}).")
            found += images
        elif path.exists():
            found.append(path)
        elif matches := sorted(glob.glob(str(path))):  # noqa: PTH207 (of absolute paths, too)
            found += find_images(matches)
        else:
            raise ElsfaceError(f"{path} does not exist: check the name.")
    return list(dict.fromkeys(found))


def _search(folder: Path, seen: set[Path]) -> list[Path]:
    """All images below a folder; `seen` are the folders behind us, so that links in a circle end."""
    real = folder.resolve()
    if real in seen:
        return []
    seen.add(real)
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ElsfaceError(f"cannot look into {folder}: {error.strerror or error}.") from error
    found: list[Path] = []
    for entry in entries:
        if is_folder(entry):
            found += _search(entry, seen)
        elif entry.suffix.lower() in SUFFIXES:
            found.append(entry)
    return found
