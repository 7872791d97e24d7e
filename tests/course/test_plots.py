"""Pictures as HTML: small, faithful, and with alt text."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from elsface_lite.course.plots import draw_spectra, faces_html, figure_html, in_squares, smallest
from elsface_lite.data.sources import portraits


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return portraits()["astronaut"][:, 30:158, 160:288]


def pictures(page: str) -> list[tuple[str, torch.Tensor]]:
    """Kind and pixels (3, h, w), 0 to 255, of every image in an HTML text."""
    found = []
    for kind, data in re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page):
        image = Image.open(BytesIO(base64.b64decode(data))).convert("RGB")
        found.append((kind, torch.from_numpy(np.array(image)).permute(2, 0, 1).float()))
    return found


def test_a_row_of_faces_keeps_resolution_and_pixels(face):
    small = face[:, 32:64, 32:64]
    (large_kind, large), (small_kind, exact) = pictures(
        faces_html({"HR": face, "LR": small}, "A face and a part of it")
    )
    assert (large_kind, small_kind) == ("jpeg", "webp")
    assert large.shape == face.shape
    assert torch.equal(exact[:, ::6, ::6], (255 * small).round()) and exact.shape == (3, 192, 192)
    assert (large - 255 * face).abs().mean() < 2.5, "JPEG may cost two levels, not more"


@pytest.mark.parametrize(
    ("side", "width", "shown"), [(32, 150, 160), (64, 64, 64), (64, 256, 256), (65, 256, 65), (8, 4, 8)]
)
def test_a_small_picture_is_squares_by_its_own_pixels(face, side, width, shown):
    """At a whole scale, however wide it is shown, and without a style, which an untrusted notebook would drop."""
    small = face[:, :side, :side]
    assert in_squares(small, width).shape == (3, shown, shown)
    assert torch.equal(in_squares(small, width)[:, :: max(1, shown // side), :: max(1, shown // side)], small)
    page = faces_html({"LR": small}, "A part of a face", width)
    assert "pixelated" not in page and pictures(page)[0][1].shape[-1] == shown


def test_a_grey_picture_is_stored_without_colours(face):
    grey = face[1:2].expand(3, -1, -1)
    pages = [faces_html({"grey": image}, "A face") for image in (grey[:, :64, :64], face[:, :64, :64])]
    ((kind, pixels),) = pictures(pages[0])
    assert kind == "webp" and torch.equal(pixels[:, 1::3, 2::3], (255 * grey[:, :64, :64]).round())
    assert len(pages[0]) < len(pages[1]) / 2
    ((kind, pixels),) = pictures(faces_html({"grey": grey}, "A face"))
    assert kind == "jpeg" and (pixels - 255 * grey).abs().mean() < 2.5


def test_every_face_has_caption_and_alt_text_even_with_quotes(face):
    page = faces_html({'"kept" & lost': face, "HR": face}, 'A face called "first"')
    assert re.findall(r'<img alt="([^"]*)"', page) == [
        "&quot;kept&quot; &amp; lost, picture 1 of 2: A face called &quot;first&quot;",
        "HR, picture 2 of 2: A face called &quot;first&quot;",
    ]
    assert page.count("<figcaption>") == 2


def test_values_outside_the_range_are_clamped():
    ((_, pixels),) = pictures(
        faces_html({"x": torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1).expand(3, 8, 8)}, "A colour")
    )
    assert pixels[:, 0, 0].tolist() == [0, 128, 255]


def test_the_smaller_encoding_is_taken(face):
    buffer = BytesIO()
    Image.fromarray((255 * face).round().byte().permute(1, 2, 0).repeat(2, 2, 1).numpy()).save(buffer, format="PNG")
    kind, data = smallest(buffer.getvalue())
    assert kind == "webp"
    assert len(data) < len(buffer.getvalue()) / 2
    assert Image.open(BytesIO(data)).size == (256, 256)


def test_a_figure_is_opaque_and_closed():
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(2, 1))
    axis.plot([0, 1])
    ((_, pixels),) = pictures(figure_html(figure, "A line that rises"))
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("side", [32, 33])
def test_a_wave_lies_at_its_frequency(side):
    """The middle of its square, not half a frequency step beside it."""
    import matplotlib.pyplot as plt

    wave = torch.cos(2 * torch.pi * 4 / side * torch.arange(side)).expand(1, 1, side, side)
    power = torch.fft.fftshift(torch.fft.fft2(wave)[0].abs().square().sum(0))
    figure = draw_spectra([power], ["a wave of 4 cycles in the image"])
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    row, column = divmod(power.argmax().item(), side)
    assert abs(left + (column + 0.5) * (right - left) / side) == pytest.approx(4 / side)
    assert top + (row + 0.5) * (bottom - top) / side == pytest.approx(0)
    plt.close(figure)
