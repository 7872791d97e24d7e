"""What a file holds beside its pixels comes out as it went in: colours, transparency, greyness, date and camera."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from elsface_lite import ElsfaceError, Photograph, portraits, read_image, read_photograph
from elsface_lite.data import decode, photograph
from elsface_lite.data.color import to_pil
from elsface_lite.data.formats import WRITTEN, kind_of

FACE = (255 * portraits()["astronaut"][:, 40:200, 130:320]).round().byte()
RGB = FACE.permute(1, 2, 0).contiguous().numpy()
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/">größer</x:xmpmeta>'.encode()


def wide_profile() -> bytes:
    """The profile of a screen whose red and green are stronger than sRGB's: Display P3's primaries.

    Pillow makes only sRGB and Lab: the colorants and curves of its sRGB are replaced.
    """
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    wide = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    for tag, values in wide.items():
        place = int.from_bytes(data[tags[tag] + 4 : tags[tag] + 8], "big") + 8
        for number, value in enumerate(values):
            data[place + 4 * number : place + 4 * number + 4] = round(65536 * value).to_bytes(4, "big", signed=True)
    place = int.from_bytes(data[tags[b"desc"] + 4 : tags[b"desc"] + 8], "big")
    length = int.from_bytes(data[tags[b"desc"] + 8 : tags[b"desc"] + 12], "big")
    text = "wide screen".encode("utf-16-be")
    data[place + 28 : place + length] = text.ljust(length - 28, b"\0")[: length - 28]
    return bytes(data)


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x0132], made[0x8298], made[0x0110] = "2001:02:03 04:05:06", "(c) me", "a camera"
    made.get_ifd(0x8769).update({0x9003: "2001:02:03 04:05:06", 0xA002: 9})
    return made


def test_a_colour_profile_is_honoured_and_kept(tmp_path: Path) -> None:
    """The same bytes mean stronger colours in a wide profile; and come back as the same bytes."""
    profile = wide_profile()
    Image.fromarray(RGB).save(tmp_path / "wide.png", icc_profile=profile)
    read = read_photograph(tmp_path / "wide.png")
    assert read.profile == profile and torch.equal(read.pixels, FACE)
    plain, converted = FACE.float() / 255, read.rgb()
    expected = ImageCms.profileToProfile(
        Image.fromarray(RGB), ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), 1
    )
    assert (255 * converted).round().byte().permute(1, 2, 0).numpy().tolist() == np.asarray(expected).tolist()
    assert 255 * (converted - plain).abs().mean() > 2
    assert 255 * (read.own_colors(converted) - plain).abs().mean() < 1  # what sRGB cannot show is lost
    read.write(tmp_path / "out.jpg", "JPEG")
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.info["icc_profile"] == profile
    assert torch.equal(read_image(tmp_path / "wide.png"), converted)


@pytest.mark.parametrize(
    "profile", [b"no profile", b"", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
)
def test_what_needs_no_conversion_is_not_touched(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=profile)
    assert torch.equal(read_image(tmp_path / "a.png"), FACE.float() / 255)


def test_the_cases_of_others_have_the_colours_that_they_mean() -> None:
    """A red of Adobe RGB is a stronger one in sRGB: 225 was read as 214."""
    from conftest import shared

    means = [255 * read_image(shared(name)).mean((1, 2)) for name in ("cases/icc_adobe.jpg", "cases/icc_srgb.png")]
    assert (means[0] - means[1]).abs().max() < 1.5


@pytest.mark.parametrize("kind", sorted(WRITTEN))
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_every_kind_keeps_what_it_can(tmp_path: Path, kind: str, mode: str) -> None:
    if kind not in Image.SAVE and kind == "HEIF":
        pytest.importorskip("pillow_heif", reason='HEIC is not installed: pip install "elsface-lite[heic]"')
    picture = Image.fromarray(RGB).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(np.where(GREY > 90, 255, 40).astype(np.uint8)))
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
    picture.save(tmp_path / "a.png", exif=exif(), pnginfo=notes)
    path = tmp_path / f"b{WRITTEN[kind].suffix}"
    read_photograph(tmp_path / "a.png").write(path, kind)
    first, second = read_photograph(tmp_path / "a.png"), read_photograph(path)
    assert second.format == kind and second.size == first.size
    assert 255 * (first.rgb() - second.rgb()).abs().mean() < 3
    assert (second.alpha is not None) == ("A" in mode and WRITTEN[kind].alpha)
    if second.alpha is not None:
        assert (first.alpha.float() - second.alpha.float()).abs().mean() < 2
    spread = second.rgb().amax(0) - second.rgb().amin(0)
    assert "L" not in mode or 255 * spread.max() <= 2
    if "exif" in WRITTEN[kind].holds:
        with Image.open(path) as image:
            assert image.getexif()[0x0132] == "2001:02:03 04:05:06" and image.getexif()[0x8298] == "(c) me"
        assert second.xmp == first.xmp == XMP and first.lost(kind) in (
            None,
            "not in the TIFF: camera's settings, place",
        )
    else:
        assert first.lost(kind) == f"not in the {kind}: date and camera, XMP"


def test_what_is_too_long_for_a_jpeg_is_left_out_and_said(tmp_path: Path) -> None:
    photo = Photograph(FACE, xmp=XMP + 65_536 * b" ")
    photo.write(tmp_path / "a.jpg", "JPEG")
    assert read_photograph(tmp_path / "a.jpg").xmp == b""
    assert photo.lost("JPEG") == "not in the JPEG: XMP" and photo.lost("WEBP") is None


def test_where_no_profile_fits_the_colours_become_srgb(tmp_path: Path) -> None:
    """Without its profile a file of wide colours would show paler ones."""
    photo = Photograph(FACE, profile=wide_profile())
    for kind in ("BMP", "PPM", "JPEG2000", "TGA"):
        photo.write(tmp_path / "a", kind)
        with Image.open(tmp_path / "a") as written:
            shown = abs(np.asarray(written) - np.asarray(to_pil(photo.rgb())).astype(int)).mean()
        assert shown < 1


def test_the_date_of_the_shot_stays_and_the_orientation_is_done(tmp_path: Path) -> None:
    made = exif()
    made[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=made, quality=95, dpi=(300, 300))
    read_photograph(tmp_path / "a.jpg").write(tmp_path / "b.jpg", "JPEG")
    with Image.open(tmp_path / "b.jpg") as image:
        found = image.getexif()
        assert found.get_ifd(0x8769) == {0x9003: "2001:02:03 04:05:06"}  # and not a width that may have changed
        assert 0x0112 not in found and found[0x0110] == "a camera" and image.info["dpi"] == (300, 300)
        assert image.size == (160, 190)


def test_quality_is_what_is_asked_for(tmp_path: Path) -> None:
    read = Photograph(FACE)
    sizes = []
    for quality in (30, None, 99):
        read.write(tmp_path / "a.jpg", "JPEG", quality)
        sizes.append((tmp_path / "a.jpg").stat().st_size)
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 4


def test_the_bits_of_a_file_are_those_that_its_values_take(tmp_path: Path) -> None:
    """12 bits in 16, 8 in 32: read as black until now. And 16 bits come out as 16."""
    for bits in (8, 12, 16):
        values = (GREY.astype(np.float64) / GREY.max() * (2**bits - 1)).round()
        for name, kind in (("a.png", np.uint16), ("a.tif", np.int32)):
            Image.fromarray(values.astype(kind)).save(tmp_path / name)
            read = read_photograph(tmp_path / name)
            expected = torch.from_numpy(values / (2**bits - 1)).float()
            torch.testing.assert_close(read.pixels[0], expected, atol=1e-6, rtol=0)
            assert (read.note is None) == (bits == 16) and (bits == 16 or f"as {bits} bits" in read.note)
    read.write(tmp_path / "b.png", "PNG")
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == "I;16" and np.abs(np.asarray(image).astype(int) - values).max() <= 1


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_enlarging_is_bicubic_and_keeps_the_rest(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photograph, "BAND", 190 * factor**2 * 11)
    photo = Photograph(FACE, torch.full((160, 190), 99, dtype=torch.uint8), exif=b"1")  # not looked into
    large = photo.enlarged(factor)
    expected = torch.nn.functional.interpolate(
        FACE[None].float(), (160 * factor, 190 * factor), mode="bicubic", antialias=True
    )[0].clamp(0, 255)
    assert (large.pixels.float() - expected).abs().max() <= 6  # Pillow weighs by opacity, in 8 bits
    assert (large.alpha == 99).all() and large.exif == b"1" and photo.size == (160, 190)
    opaque = Photograph(FACE).enlarged(factor).pixels
    assert opaque.dtype == torch.uint8 and (opaque.float() - expected).abs().max() <= 1


def test_what_hides_below_transparency_does_not_come_out() -> None:
    """A black that nobody sees, beside an opaque white."""
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    pixels[:, :, 4:] = 255
    alpha = pixels[0].clone()
    assert Photograph(pixels, alpha).enlarged(2).rgb().min() > 0.99


def test_put_leaves_alone_what_is_half_seen() -> None:
    photo = Photograph(FACE.clone(), torch.full((160, 190), 255, dtype=torch.uint8))
    photo.alpha[10:20] = 128
    photo.put(torch.zeros(3, 40, 40), slice(0, 40), slice(0, 40))
    assert torch.equal(photo.pixels[:, 10:20], FACE[:, 10:20]) and not photo.pixels[:, 20:40, :40].any()
    assert torch.equal(photo.pixels[:, :, 40:], FACE[:, :, 40:])


def test_ink_becomes_light_by_its_profile_or_without(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", quality=100, icc_profile=b"no profile")
    assert 255 * (read_image(tmp_path / "a.jpg") - FACE / 255).abs().mean() < 3
    assert read_photograph(tmp_path / "a.jpg").profile is None


@pytest.mark.parametrize("pixels", [9, 10, 11])
def test_the_limit_is_that_of_the_call(tmp_path: Path, pixels: int) -> None:
    Image.new("L", (pixels, 1)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    if pixels < 10:
        assert read_photograph(tmp_path / "a.png", 10).size == (1, 9)
    else:
        with pytest.raises(ElsfaceError, match="too large"):
            read_photograph(tmp_path / "a.png", 10)
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_than_a_hundred_megapixels_are_a_photograph_but_no_tensor(tmp_path: Path) -> None:
    Image.new("1", (12_000, 9_000)).save(tmp_path / "large.png")
    assert read_photograph(tmp_path / "large.png").size == (9_000, 12_000)
    with pytest.raises(ElsfaceError, match="too large"):
        read_image(tmp_path / "large.png")


def test_what_a_kind_cannot_hold_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ElsfaceError, match=r"cannot write .*a\.webp as WEBP .*choose another format"):
        Photograph(torch.zeros(3, 1, 20_000, dtype=torch.uint8)).write(tmp_path / "a.webp", "WEBP")
    assert not list(tmp_path.iterdir())


def test_the_kind_of_a_result_is_that_of_its_source(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "photo.jpg_large", format="JPEG")
    Image.fromarray(RGB).save(tmp_path / "film.gif")
    kinds = {"photo.jpg_large": "JPEG", "film.gif": "PNG", "gone.JPG": "JPEG", "gone.tif": "TIFF", "gone.avif": "AVIF"}
    assert {name: kind_of(tmp_path / name) for name in kinds} == kinds


def test_heic_is_read_or_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif", reason='HEIC is not installed: pip install "elsface-lite[heic]"')
    heif.from_pillow(Image.fromarray(RGB)).save(tmp_path / "IMG_1.HEIC", quality=95)
    assert 255 * (read_image(tmp_path / "IMG_1.HEIC") - FACE / 255).abs().mean() < 3
    assert kind_of(tmp_path / "IMG_1.HEIC") == "HEIF"
    monkeypatch.setattr(decode, "decoders", lambda: ["JPEG"])
    with pytest.raises(ElsfaceError, match=r'pip install "elsface-lite\[heic\]"'):
        read_image(tmp_path / "IMG_1.HEIC")


@pytest.mark.parametrize(
    "save", [dict(format="JPEG2000"), dict(format="TGA"), dict(format="JPEG"), dict(format="AVIF")]
)
def test_a_file_is_read_by_its_content(tmp_path: Path, save: dict) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.dat", **save)
    assert read_photograph(tmp_path / "a.dat").format == save["format"]
    assert kind_of(tmp_path / "a.dat") == save["format"]


def test_bytes_of_exif_that_are_damaged_are_dropped(tmp_path: Path) -> None:
    broken: Callable = lambda: b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03\xff\xff"  # noqa: E731
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=broken())
    read_photograph(tmp_path / "a.jpg").write(tmp_path / "b.jpg", "JPEG")
    assert read_photograph(tmp_path / "b.jpg").size == (160, 190)
