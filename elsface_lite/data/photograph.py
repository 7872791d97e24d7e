"""A photograph as its file has it: its own colours, and what is not pixels (transparency, profile, date, camera)."""

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, PngImagePlugin
from torch import Tensor

from ..errors import ElsfaceError
from ..files import whole_file
from .color import from_srgb, pil_in_srgb, to_pil, to_srgb, usable_profile, without_ink
from .decode import MAX_PHOTOGRAPH, deep_grey, is_deep, named, one_line, open_image, read_bytes, upright
from .degradation import upscale
from .formats import WRITTEN, Format

BAND = 4_000_000  # pixels that are copied from Pillow at a time
EXIF_KEPT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)  # description, camera, software, date, rights
EXIF_FOLDERS = (0x8769, 0x8825)  # what the camera did, and where it was
EXIF_SIZES = (0xA002, 0xA003)  # width and height, which may change
XMP = 0x02BC  # among a TIFF's tags
LONGEST_XMP = 65_504  # bytes, in a JPEG


@dataclass
class Photograph:
    """A picture and what its file says of it.

    Attributes:
        pixels: (c, h, w), c = 1 for grey and 3 for RGB, in its own colours: uint8, or floats in [0, 1] where it came as
            such or has more than 8 bits.
        alpha: (h, w), uint8, 255 where it is opaque; None if it is everywhere.
        profile: the ICC profile of its colours, where they are not sRGB.
        exif: date, camera, rights and place, for Pillow's encoders.
        xmp: what other programs noted, as it was.
        dpi: dots per inch, across and down.
        format: of its file, a key of `WRITTEN`, or another name of Pillow's.
        note: what the reader of the file should know.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    profile: bytes | None = None
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    format: str = "PNG"
    note: str | None = field(default=None, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def is_grey(self) -> bool:
        """Whether no pixel has a colour; a few are asked first."""
        return all(bool((pixels == pixels[:1]).all()) for pixels in (self.pixels[:, ::16, ::16], self.pixels))

    def rgb(self, rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """A part of it as the networks take it: (3, h, w), float32, sRGB in [0, 1], laid on white."""
        part = self._on_white(rows, columns)
        return (to_srgb(part, self.profile) if self.profile else part.expand(3, -1, -1)).contiguous()

    def _on_white(self, rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        part = in_floats(self.pixels[:, rows, columns])
        if self.alpha is None:
            return part
        opacity = in_floats(self.alpha[rows, columns])
        return part * opacity + 1 - opacity

    def own_colors(self, image: Tensor) -> Tensor:
        """(3, h, w), sRGB in [0, 1] -> (c, h, w), in the photograph's own colours."""
        channels = len(self.pixels)
        if self.profile:
            return from_srgb(image, self.profile, channels)
        return image.mean(0, keepdim=True) if channels == 1 else image

    def put(self, part: Tensor, rows: slice, columns: slice) -> None:
        """Replaces a part by (c, h, w) in own colours, where it is opaque: what is half seen stays as it is."""
        there = self.pixels[:, rows, columns]
        if self.alpha is not None:
            part = torch.where(self.alpha[rows, columns] == 255, part, in_floats(there))
        there.copy_(part.mul(255).round() if there.dtype == torch.uint8 else part)

    def enlarged(self, factor: int) -> "Photograph":
        """The same, by bicubic interpolation; 1 copies it."""
        if factor == 1:
            return replace(self, pixels=self.pixels.clone())
        if self.alpha is None:
            return replace(self, pixels=_upscaled(self.pixels, factor))
        # Pillow weighs colours by their opacity, so that what hides below full transparency does not come out.
        with to_pil(self.pixels) as picture:
            picture.putalpha(Image.fromarray(self.alpha.numpy()))
            large = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.BICUBIC)
        values = _tensor(large)
        return replace(self, pixels=values[:-1], alpha=values[-1])

    def shrunk(self, factor: float) -> "Photograph":
        """The same, antialiased, factor below 1; in 8 bits, so that no large picture becomes floats."""
        size = [max(1, round(factor * side)) for side in self.size]
        planes = [self.pixels] if self.alpha is None else [self.pixels, self.alpha[None]]
        small = [F.interpolate(plane[None], size, mode="bicubic", antialias=True)[0] for plane in planes]
        pixels = small[0] if self.pixels.dtype == torch.uint8 else small[0].clamp(0, 1)
        return replace(self, pixels=pixels, alpha=small[1][0] if len(small) > 1 else None)

    def like(self, image: Tensor) -> "Photograph":
        """A picture made of this one, (3, h, w), sRGB in [0, 1], in the same colours, with the same date and camera."""
        pixels = self.own_colors(image)
        if self.pixels.dtype == torch.uint8:
            pixels = (255 * pixels).round().to(torch.uint8)
        return replace(self, pixels=pixels, alpha=None)

    def write(self, path: str | os.PathLike[str], kind: str, quality: int | None = None) -> None:
        """Writes it, whole or not at all, with all that the kind of file can hold.

        Args:
            path: the file; missing folders are made, an existing file is replaced.
            kind: a key of `WRITTEN`.
            quality: 1 to 100, for the kinds that lose something; None is 95.

        Raises:
            ElsfaceError: the place cannot be written, or the kind cannot hold this picture.
        """
        form = WRITTEN[kind]
        options = form.options | self._facts(kind)
        if quality and "quality" in options:
            options["quality"] = quality
        picture = self._picture(form)
        with whole_file(path) as beside:
            try:
                picture.save(beside, format=kind, **options)
            except (ValueError, SyntaxError, RuntimeError) as error:
                raise ElsfaceError(f"cannot write {path} as {kind} ({error}): choose another format.") from error

    def lost(self, kind: str) -> str | None:
        """What a kind of file cannot hold of it, in a few words; None if there is nothing."""
        words = {"exif": "date and camera", "xmp": "XMP"}
        lost = [word for name, word in words.items() if getattr(self, name) and not self._fits(name, kind)]
        if kind == "TIFF" and any(folder in _loaded(self.exif) for folder in EXIF_FOLDERS):
            lost.append("camera's settings, place")
        return f"not in the {kind}: {', '.join(lost)}" if lost else None

    def _fits(self, name: str, kind: str) -> bool:
        too_long = (name, kind) == ("xmp", "JPEG") and len(self.xmp) > LONGEST_XMP
        return name in WRITTEN[kind].holds and not too_long

    def _facts(self, kind: str) -> dict[str, Any]:
        """What the kind of file can hold beside the pixels, for Pillow's encoder."""
        facts: dict[str, Any] = dict(exif=self.exif, icc_profile=self.profile, xmp=self.xmp, dpi=self.dpi)
        if kind == "TIFF":
            facts["exif"] = _without_folders(self.exif, self.xmp)
        if kind == "PNG" and self.xmp:
            facts["pnginfo"] = PngImagePlugin.PngInfo()
            facts["pnginfo"].add_itxt("XML:com.adobe.xmp", self.xmp.decode("utf-8", "replace"))
        return {name: value for name, value in facts.items() if value and (name == "pnginfo" or self._fits(name, kind))}

    def _picture(self, form: Format) -> Image.Image:
        """Its pixels, in sRGB where the file holds no profile."""
        if self.pixels.dtype != torch.uint8 and len(self.pixels) == 1 and form is WRITTEN["PNG"]:
            return Image.fromarray((65535 * self.pixels[0]).round().numpy().astype(np.uint16))
        alpha = self.alpha if form.alpha else None
        picture = to_pil(self._on_white() if self.alpha is not None and alpha is None else self.pixels)
        if self.profile and "icc_profile" not in form.holds:
            picture = pil_in_srgb(picture, self.profile)
        if alpha is not None:
            picture.putalpha(Image.fromarray(alpha.numpy()))
        return picture


def in_floats(values: Tensor) -> Tensor:
    """8-bit values, or floats, of any shape: the same in [0, 1]."""
    return values.float() / 255 if values.dtype == torch.uint8 else values


def _upscaled(pixels: Tensor, factor: int) -> Tensor:
    """`upscale` of 8-bit pixels, by bands of rows, of which each needs two more at either side."""
    if pixels.dtype != torch.uint8:
        return upscale(pixels, factor)
    channels, height, width = pixels.shape
    large = torch.empty(factor * height, factor * width, channels, dtype=torch.uint8).permute(2, 0, 1)
    step = max(1, BAND // (factor * factor * width))
    for top in range(0, height, step):
        bottom, above = min(top + step, height), max(top - 2, 0)
        band = upscale(in_floats(pixels[:, above : bottom + 2]), factor)
        start = factor * (top - above)
        large[:, factor * top : factor * bottom] = (255 * band[:, start : start + factor * (bottom - top)]).round()
    return large


def read_photograph(path: str | os.PathLike[str], limit: int = MAX_PHOTOGRAPH) -> Photograph:
    """Reads a picture the way that a viewer shows it, and keeps what its file says of it.

    EXIF orientation is applied. Grey stays grey; palettes, CMYK and LAB become RGB, CMYK by its profile. 16 and 32 bits
    are scaled by the bits that the values take (8, 12, 16 or 31), and an animation gives its first frame.

    Args:
        path: a file of one of `decode.FORMATS`.
        limit: pixels that it must have fewer than.

    Raises:
        ElsfaceError: the file is missing, is no image, is damaged, or is too large (which is seen in its header, before
            anything is decoded). The message names it and says what to do.
    """
    with named(path) as file, open_image(file, file, limit) as image:
        return from_pil(image, file)


def decode_photograph(picture: Image.Image | IO[bytes], limit: int = MAX_PHOTOGRAPH) -> Photograph:
    """What `read_photograph` would read, of a picture that Pillow has opened, or of an open file, from its beginning.

    Raises:
        ElsfaceError: it holds no image, is damaged, or too large.
    """
    name = "the picture"
    with one_line(name):
        if isinstance(picture, Image.Image):
            return from_pil(picture, name)
        with open_image(read_bytes(picture), name, limit) as image:
            return from_pil(image, name)


def from_pil(image: Image.Image, name: object) -> Photograph:
    """What `read_photograph` would read, of a picture that Pillow has opened.

    Raises:
        ElsfaceError: its values are outside [0, 1]; whatever else Pillow raises of a broken file.
    """
    kind = "JPEG" if image.format == "MPO" else image.format or "PNG"
    image = upright(image)
    facts: dict[str, Any] = dict(exif=_exif(image), xmp=_xmp(image), dpi=image.info.get("dpi"), format=kind)
    if is_deep(image):
        grey_values, bits = deep_grey(image, name)
        note = f"read as {bits} bits, which its values take" if bits not in (None, 16) else None
        return Photograph(torch.from_numpy(grey_values)[None], note=note, **facts)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        values = _tensor(image.convert("LA" if image.mode in ("L", "LA") else "RGBA"))
        mode = "L" if len(values) == 2 else "RGB"
        return Photograph(values[:-1], values[-1], usable_profile(profile, mode), **facts)
    if image.mode == "CMYK":
        return Photograph(_tensor(without_ink(image, profile)), **facts)
    grey = image.mode in ("1", "L")
    image, native = image.convert("L" if grey else "RGB"), image.mode in ("L", "RGB")
    return Photograph(_tensor(image), None, usable_profile(profile, image.mode) if native else None, **facts)


def _tensor(image: Image.Image) -> Tensor:
    """(c, h, w), uint8, by bands, since Pillow's way holds the pixels three times."""
    array = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    step = max(1, BAND // image.width)
    for top in range(0, image.height, step):
        band = image.crop((0, top, image.width, min(top + step, image.height)))
        array[top : top + step] = np.array(band).reshape(band.height, band.width, -1)
    return torch.from_numpy(array).permute(2, 0, 1)


def _exif(image: Image.Image) -> bytes:
    """What is true of the picture whatever is done with its pixels: not its size, its orientation, its thumbnail."""
    kept = Image.Exif()
    with suppress(Exception):  # of a damaged block there is nothing to keep
        old = image.getexif()
        for tag in EXIF_KEPT:
            if tag in old:
                kept[tag] = old[tag]
        for folder in EXIF_FOLDERS:
            values = {tag: value for tag, value in old.get_ifd(folder).items() if tag not in EXIF_SIZES}
            if values:
                kept.get_ifd(folder).update(values)
        return kept.tobytes() if dict(kept) or any(map(kept.get_ifd, EXIF_FOLDERS)) else b""
    return b""


def _xmp(image: Image.Image) -> bytes:
    xmp = image.info.get("xmp") or b""
    return xmp.encode() if isinstance(xmp, str) else bytes(xmp)


def _loaded(exif: bytes) -> Image.Exif:
    loaded = Image.Exif()
    loaded.load(exif)
    return loaded


def _without_folders(exif: bytes, xmp: bytes = b"") -> bytes:
    """Date, camera and rights alone, with XMP as a tag: Pillow writes no compressed TIFF with folders of tags in it."""
    kept = _loaded(exif)
    for folder in EXIF_FOLDERS:
        kept.pop(folder, None)
    if xmp:
        kept[XMP] = xmp
    return kept.tobytes() if dict(kept) else b""
