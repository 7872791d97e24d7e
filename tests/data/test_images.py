"""Reading and writing pictures: every kind that cameras, scanners and the web make, and every way to break one."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from png import png_bytes

from elsface_lite import ElsfaceError, read_image, write_png
from elsface_lite.data.decode import MAX_PIXELS
from elsface_lite.data.images import image_size
from elsface_lite.data.search import SUFFIXES, find_images

RGB = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
SMOOTH = np.stack([*np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 48)), np.full((48, 40), 90.0)], -1)
SMOOTH = SMOOTH.round().astype(np.uint8)
# EXIF orientation -> how a viewer turns the stored rows (EXIF 2.3, tag 0x0112).
TURNS: dict[int, Callable] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def pixels(path: Path) -> np.ndarray:
    """What read_image gives, as 8-bit rows, after the promises that hold for every picture."""
    image = read_image(path)
    assert image.dtype == torch.float32
    assert image.ndim == 3
    assert image.shape[0] == 3
    assert image.is_contiguous()
    assert 0 <= image.min() <= image.max() <= 1
    return (255 * image).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp", "ppm", "webp", "gif"])
def test_lossless_files_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    image = Image.fromarray(RGB // 128 * 255) if suffix == "gif" else Image.fromarray(RGB)
    image.save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert (pixels(path) == np.asarray(image)).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif, quality=100)
    expected = TURNS[orientation](SMOOTH)
    found = pixels(path)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_damaged_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "exif.jpg"
    Image.fromarray(SMOOTH).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03\xff\xff")
    assert pixels(path).shape == SMOOTH.shape


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_transparency_is_flattened_on_white(tmp_path: Path, suffix: str) -> None:
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 102, np.uint8)])
    rgba[0, 0] = (0, 0, 0, 0)
    Image.fromarray(rgba).save(
        tmp_path / f"a.{suffix}", **({"lossless": True, "exact": True} if suffix == "webp" else {})
    )
    found = pixels(tmp_path / f"a.{suffix}").astype(float)
    expected = 0.4 * RGB.astype(float) + 0.6 * 255
    expected[0, 0] = 255
    assert np.abs(found - expected).max() <= 1.01


def test_transparent_palette_color_and_grey_are_flattened_too(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "p.png", transparency=0)
    assert pixels(tmp_path / "p.png").tolist() == [[[255] * 3, [40, 50, 60]]]
    Image.fromarray(RGB).save(tmp_path / "rgb.png", transparency=tuple(map(int, RGB[0, 0])))
    found = pixels(tmp_path / "rgb.png")
    assert (found[0, 0] == 255).all()
    assert (found[1:] == RGB[1:]).all()
    Image.fromarray(np.dstack([RGB[..., 0], np.full(RGB.shape[:2], 51, np.uint8)]), "LA").save(tmp_path / "la.png")
    expected = 0.2 * RGB[..., :1].astype(float) + 0.8 * 255
    assert np.abs(pixels(tmp_path / "la.png") - expected).max() <= 1.01


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_black_and_white_and_palettes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "a.png")
    assert (pixels(tmp_path / "a.png") == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(0, 65535, 500).round().astype(np.uint16).reshape(20, 25)
    Image.fromarray(deep).save(tmp_path / f"deep.{suffix}")
    image = read_image(tmp_path / f"deep.{suffix}")
    assert torch.allclose(image, torch.from_numpy(deep / 65535).float().expand(3, -1, -1), atol=1 / 255)
    assert len(image.unique()) > 250


def test_16_bits_of_color_are_scaled_too(tmp_path: Path) -> None:
    rows = b"".join(
        b"\0" + struct.pack(">6H", *row) for row in ((0, 257, 65535, 32768, 1000, 9), (1, 2, 3, 4, 5, 60000))
    )
    (tmp_path / "deep.png").write_bytes(png_bytes(2, 2, 16, 2, rows))
    expected = torch.tensor([[0, 32768], [1, 4]]) / 65535
    assert torch.allclose(read_image(tmp_path / "deep.png")[0], expected, atol=1 / 255)


def test_floats_are_taken_within_0_and_1_only(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)).save(tmp_path / "f.tiff")
    assert read_image(tmp_path / "f.tiff")[0, 1, 2] == 1
    for bad in (300.0, -1.0, np.nan, np.inf):
        Image.fromarray(np.full((2, 3), bad, np.float32)).save(tmp_path / "bad.tiff")
        with pytest.raises(ElsfaceError, match=r"bad\.tiff holds values outside \[0, 1\]"):
            read_image(tmp_path / "bad.tiff")


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(SMOOTH).convert("CMYK")
    image.save(tmp_path / f"print.{suffix}", quality=100)
    difference = pixels(tmp_path / f"print.{suffix}").astype(int) - np.asarray(image.convert("RGB"))
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue", "green")]
    extra = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"film.{suffix}", save_all=True, append_images=frames[1:], **extra)
    assert (pixels(tmp_path / f"film.{suffix}") == [255, 0, 0]).all()


def test_one_pixel_can_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "one.png")
    assert pixels(tmp_path / "one.png").tolist() == [[[1, 2, 3]]]


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(SMOOTH).save(tmp_path / "really.png", format="JPEG")
    assert pixels(tmp_path / "really.png").shape == SMOOTH.shape


def test_names_with_spaces_and_umlauts(tmp_path: Path) -> None:
    path = tmp_path / "zwölf Bögen" / "Größe 1.png"
    write_png(torch.rand(3, 4, 5), path)
    assert read_image(path).shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is text\n" * 9, "is not an image that can be read here"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(99), "is not an image that can be read here"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(99), "is a film"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image that can be read here"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "photo.png is"),
        (b"\xff\xd8\xff\xe0", "photo.png is"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(ElsfaceError) as caught:
        read_image(path)
    assert says in str(caught.value)
    assert "photo.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ElsfaceError, match="does not exist"):
        read_image(tmp_path / "no.png")
    with pytest.raises(ElsfaceError, match="is not a file"):
        read_image(tmp_path)
    with pytest.raises(ElsfaceError):
        read_image(tmp_path / ("x" * 5000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(ElsfaceError, match="is not a file"):
            read_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (60_000, 60_000), (MAX_PIXELS, 1)])
def test_bombs_are_refused_from_their_header(tmp_path: Path, width: int, height: int) -> None:
    # There are no pixels in this file: only one who never decodes it can answer with its size.
    (tmp_path / "bomb.png").write_bytes(png_bytes(width, height, 8, 2, b""))
    with pytest.raises(ElsfaceError, match=r"bomb\.png is too large .*100 megapixels.*shrink it"):
        read_image(tmp_path / "bomb.png")


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB.repeat(4, 0).repeat(4, 1)).save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)
    path = tmp_path / "half.img"
    for part in (0.02, 0.3, 0.6, 0.9):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(ElsfaceError, match=r"half\.img"):
            read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_flipped_bits_give_an_image_or_one_clear_line(tmp_path: Path, kind: str) -> None:
    data, random = encoded(kind), np.random.default_rng(1)
    path = tmp_path / "flipped.img"
    refused = 0
    for _ in range(30):
        broken = bytearray(data)
        for place in random.integers(0, min(len(data), 400), 5):
            broken[place] ^= 1 << random.integers(8)
        path.write_bytes(broken)
        try:
            pixels(path)
        except ElsfaceError as error:
            refused += 1
            assert "flipped.img" in str(error)
            assert "\n" not in str(error)
    assert refused


def test_write_png_rounds_clamps_and_makes_folders(tmp_path: Path) -> None:
    image = torch.tensor([-0.5, 0.0, 0.4999, 2.0]).expand(3, 1, 4)
    write_png(image, tmp_path / "new" / "folder" / "a.png")
    assert pixels(tmp_path / "new" / "folder" / "a.png")[0, :, 0].tolist() == [0, 0, 127, 255]
    assert image.min() == -0.5


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, MemoryError])
def test_write_png_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    path = tmp_path / "a.png"
    write_png(torch.zeros(3, 4, 4), path)

    def half(image: Image.Image, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half")
        raise stop

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(ElsfaceError if stop is OSError else stop):
        write_png(torch.ones(3, 4, 4), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert pixels(path).max() == 0


def test_write_png_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ElsfaceError, match=r"a batch of 2, not one picture"):
        write_png(torch.rand(2, 3, 4, 4), tmp_path / "a.png")
    with pytest.raises(ElsfaceError, match="NaN"):
        write_png(torch.full((3, 4, 4), torch.nan), tmp_path / "a.png")
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ElsfaceError, match="cannot write"):
        write_png(torch.rand(3, 4, 4), tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ElsfaceError, match="cannot write"):
        write_png(torch.rand(3, 4, 4), tmp_path / "folder.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize("form", [lambda a: a, Image.fromarray, lambda a: torch.from_numpy(a).permute(2, 0, 1)])
def test_write_png_takes_a_picture_in_any_form(tmp_path: Path, form: Callable) -> None:
    write_png(form(RGB), tmp_path / "a.png")
    assert (pixels(tmp_path / "a.png") == RGB).all()


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_find_images_in_order_and_once(tmp_path: Path) -> None:
    names = ["b.PNG", "a.jpeg", "deep/er/c.webp", "notes.txt", ".hidden.png", ".cache/d.png", "deep/._e.png"]
    touch(*(tmp_path / name for name in names))
    found = find_images([tmp_path / "b.PNG", tmp_path, tmp_path / "notes.txt"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "b.PNG",
        "a.jpeg",
        "deep/er/c.webp",
        "notes.txt",
    ]
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


def test_find_images_survives_links_in_a_circle(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.png", tmp_path / "two" / "b.png")
    try:
        (tmp_path / "one" / "to-two").symlink_to(tmp_path / "two", target_is_directory=True)
        (tmp_path / "two" / "to-one").symlink_to(tmp_path / "one", target_is_directory=True)
        (tmp_path / "one" / "self.png").symlink_to(tmp_path / "one" / "self.png")
    except OSError:
        pytest.skip("no links on this file system")
    assert [path.name for path in find_images([tmp_path / "one"])] == ["a.png", "self.png", "b.png"]
    with pytest.raises(ElsfaceError, match=r"self\.png"):
        read_image(tmp_path / "one" / "self.png")


def test_find_images_names_what_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(ElsfaceError, match=r"nowhere does not exist"):
        find_images([tmp_path / "nowhere"])
    touch(tmp_path / "notes.txt")
    with pytest.raises(ElsfaceError, match="holds no image"):
        find_images([tmp_path])


def test_a_pattern_is_what_it_matches(tmp_path):
    """Where the shell leaves it to the program."""
    for name in ("b.png", "a.png", "c.jpg", "[d].png"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path / "?.png"])] == ["a.png", "b.png"]
    assert [path.name for path in find_images([tmp_path / "[d].png"])] == ["[d].png"]
    with pytest.raises(ElsfaceError, match="does not exist"):
        find_images([tmp_path / "*.bmp"])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_the_header_is_that_of_the_picture(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (5, 9), "red").save(path, **({} if suffix in ("bmp", "gif") else {"exif": exif}))
    assert image_size(path) == tuple(read_image(path).shape[1:])


def test_a_header_is_enough_for_the_size(tmp_path):
    Image.new("RGB", (500, 300), "red").save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    assert image_size(tmp_path / "a.png") == (300, 500)
    with pytest.raises(ElsfaceError, match=r"gone\.png does not exist"):
        image_size(tmp_path / "gone.png")
