"""Pictures as Python has them: tensors, arrays, PIL images, open files and paths give one tensor, or one line."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from elsface_lite.data.images import read_image
from elsface_lite.data.inputs import as_batch, as_image
from elsface_lite.errors import ElsfaceError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 4), dtype=np.uint8)
RGB = torch.from_numpy(PIXELS[..., :3].copy()).permute(2, 0, 1).float() / 255
GREY = RGB[:1].expand(3, -1, -1)


def png(pixels: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file  # at its end, as whoever wrote it leaves it


def saved(folder: Path, pixels: np.ndarray) -> Path:
    (folder / "a.png").write_bytes(png(pixels).getvalue())
    return folder / "a.png"


@pytest.mark.parametrize(
    "picture",
    [
        RGB, RGB[None], RGB.double(), (255 * RGB).round().byte(), PIXELS[..., :3], RGB.permute(1, 2, 0).numpy(),
        RGB.permute(1, 2, 0).double().numpy(), Image.fromarray(PIXELS[..., :3]), png(PIXELS[..., :3]),
    ],
)  # fmt: skip
def test_colour_pictures_are_one_tensor(picture):
    image = as_image(picture)
    assert image.dtype == torch.float32 and torch.equal(image, RGB)
    assert torch.equal(as_batch(picture), RGB[None])


@pytest.mark.parametrize(
    "picture",
    [PIXELS[..., 0], PIXELS[..., :1], GREY[0].numpy(), GREY[0, ..., None].numpy(), Image.fromarray(PIXELS[..., 0])],
)
def test_grey_pictures_become_rgb(picture):
    assert torch.equal(as_image(picture), GREY)


def test_what_is_transparent_is_laid_on_white(tmp_path):
    expected = read_image(saved(tmp_path, PIXELS))
    assert not torch.equal(expected, RGB)
    for picture in (PIXELS, Image.fromarray(PIXELS), png(PIXELS), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert torch.equal(as_image(picture), expected)
    torch.testing.assert_close(as_image(PIXELS.astype(np.float32) / 255), expected, atol=1 / 255, rtol=0)


def test_a_pil_image_is_turned_as_a_viewer_does(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert torch.equal(as_image(image), read_image(tmp_path / "a.png"))
        assert as_image(image).shape == (3, 5, 7)


def test_open_files_are_read_from_their_beginning(tmp_path):
    with saved(tmp_path, PIXELS[..., :3]).open("rb") as file:
        file.read(20)
        assert torch.equal(as_image(file), RGB)


def test_gradients_pass():
    image = RGB.clone().requires_grad_()
    as_image(image).sum().backward()
    assert image.grad is not None


def test_lists_become_batches():
    for pictures in ([RGB, PIXELS[..., :3]], (png(PIXELS[..., :3]), RGB[None]), np.stack(2 * [PIXELS[..., :3]])):
        assert torch.equal(as_batch(pictures), torch.stack([RGB, RGB]))
    assert torch.equal(as_batch(torch.stack([RGB, RGB])), torch.stack([RGB, RGB]))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (RGB[0], r"a tensor \(7, 5\) is no RGB picture"),
        (RGB[:2], r"a tensor \(2, 7, 5\)"),
        (RGB.permute(1, 2, 0), r"a tensor \(7, 5, 3\)"),
        (torch.stack([RGB, RGB]), "a batch of 2, not one picture"),
        (255 * RGB, r"values from 0 to 249, not in \[0, 1\]"),
        (RGB * torch.nan, "values from nan"),
        (RGB[:, :0], "has no pixel"),
        (RGB.long(), "tensor of torch.int64"),
        (RGB.numpy(), r"an array \(3, 7, 5\) .*\(h, w, 3\)"),
        (PIXELS[..., :2], r"an array \(7, 5, 2\)"),
        (PIXELS[:0], "has no pixel"),
        (PIXELS.astype(np.uint16), "array of uint16"),
        (PIXELS.astype(float), "values from 0 to 249"),
        (io.BytesIO(b""), "the picture is empty"),
        (io.BytesIO(b"no picture at all"), "the picture is not an image"),
        (io.StringIO("text"), "the picture is damaged"),
        ("gone.png", r"gone\.png does not exist"),
        (5, "of type int cannot be taken: give a tensor"),
        (None, "of type NoneType"),
        ([RGB], "of type list cannot be taken"),
    ],
)
def test_everything_else_is_one_line(picture, message):
    with pytest.raises(ElsfaceError, match=message) as error:
        as_image(picture)
    assert "\n" not in str(error.value)


def test_batches_that_cannot_be():
    with pytest.raises(ElsfaceError, match="have 2 sizes"):
        as_batch([RGB, RGB[..., :4]])
    with pytest.raises(ElsfaceError, match="are none"):
        as_batch([])
    with pytest.raises(ElsfaceError, match=r"a tensor \(2, 4, 5, 5\)"):
        as_batch(torch.zeros(2, 4, 5, 5))
