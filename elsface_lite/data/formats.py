"""The kinds of file that pictures are written as, and which of them a picture's result becomes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .decode import MAX_PHOTOGRAPH, SUFFIXES, decoders, named, open_image

QUALITY = 95


@dataclass(frozen=True)
class Format:
    """A kind of file that pictures are written as.

    Attributes:
        suffix: of a new file.
        alpha: whether it holds transparency.
        options: for Pillow's encoder, `quality` among them where the kind has one.
        holds: what else Pillow writes into it, by the names of its options.
    """

    suffix: str
    alpha: bool
    options: dict[str, Any]
    holds: frozenset[str] = frozenset()


LOSSY = {"quality": QUALITY}
FACTS = frozenset({"icc_profile", "exif", "xmp"})
WRITTEN = {
    "JPEG": Format(".jpg", False, LOSSY | {"subsampling": 0}, FACTS | {"dpi"}),
    # Pillow's own level takes several times as long, beside a network that wants the same cores.
    "PNG": Format(".png", True, {"compress_level": 1}, FACTS | {"dpi"}),
    "WEBP": Format(".webp", True, LOSSY | {"exact": True}, FACTS),
    "TIFF": Format(".tif", True, {"compression": "tiff_adobe_deflate"}, FACTS | {"dpi"}),
    "AVIF": Format(".avif", True, LOSSY, FACTS),
    "HEIF": Format(".heic", True, LOSSY, FACTS),
    "JPEG2000": Format(".jp2", True, {}),
    "BMP": Format(".bmp", False, {}, frozenset({"dpi"})),
    "TGA": Format(".tga", True, {}),
    "PPM": Format(".ppm", False, {}),
}


def kind_named(path: Path) -> str | None:
    """The kind of file that a name says, a key of `WRITTEN`; None if it says none of them."""
    decoders()
    kind = Image.registered_extensions().get(path.suffix.lower())
    return "JPEG" if kind == "MPO" else kind if kind in WRITTEN else None


def kind_of(path: Path) -> str:
    """The kind of file that a picture's result becomes: its own, or PNG where that cannot be written.

    Raises:
        ElsfaceError: the name does not say what it is, and its content cannot be read.
    """
    if path.suffix.lower() in SUFFIXES:
        return kind_named(path) or "PNG"
    with named(path) as file, open_image(file, file, MAX_PHOTOGRAPH) as image:
        return "JPEG" if image.format == "MPO" else image.format if image.format in WRITTEN else "PNG"
