"""The widget of chapter 10, driven from code: photographs, faces, strength and uploads."""

import re
import time
from datetime import UTC, datetime
from io import BytesIO

import pytest
import torch
import torch.nn.functional as F
from clicks import click
from PIL import Image
from torch import Tensor

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, downscale, find_faces, quantize, restore, upscale
from elsface_lite.course.widgets import photo_restorer
from elsface_lite.course.widgets.photo import LARGEST, SHOWN
from elsface_lite.data.sources import portraits
from elsface_lite.inference.faces import cut_around


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """The astronaut at 128x128: a face of some 40 pixels."""
    return downscale(portraits()["astronaut"][None], 4)[0]


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1, out_channels=4)).eval()


@pytest.fixture
def panel(model: ELSFace, photo: Tensor):
    return photo_restorer(model, {"one": photo, "two": torch.cat([photo, F.pad(photo.flip(2), (24, 0))], 2)})


def png(image: Tensor) -> bytes:
    buffer = BytesIO()
    Image.fromarray((255 * image).round().byte().permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def upload(panel, name: str, content: bytes) -> None:
    """Hands a file over as the FileUpload of the installed ipywidgets does; `uploads` is tested for both versions."""
    control = panel.controls["upload"]
    if isinstance(control.value, dict):
        control.set_trait("value", {name: {"metadata": {"name": name, "type": "image/png"}, "content": content}})
        return
    file = {"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)}
    control.set_trait("value", (file | {"last_modified": datetime.now(UTC)},))


def test_every_control_changes_the_picture(panel) -> None:
    states = [panel.picture.value]
    for control, value in (("strength", 0.5), ("photograph", "two"), ("face", None)):
        panel.controls[control].value = 1 - panel.controls["face"].value if value is None else value
        states.append(panel.picture.value)
    assert len(set(states)) == 4
    assert all(state.count("<img alt=") == 3 for state in states)
    assert all(len(alt) > 20 for alt in re.findall(r'alt="([^"]*)"', states[-1]))


def test_the_values_are_those_of_the_photograph(panel, photo: Tensor, model: ELSFace) -> None:
    (box,) = find_faces(photo)
    assert panel.values["faces"] == 1
    assert panel.values["side"] == pytest.approx(box.side)
    # What has changed is what restoring and pasting the whole photograph changes around the face.
    (whole,) = restore(photo, weights=model, paste=True)
    before, place = cut_around(photo, box)
    left, top = (round(4 * (a - b)) for a, b in ((box.x, place.x), (box.y, place.y)))
    height, width = (4 * side for side in before.shape[-2:])
    changed = quantize(whole.image) - upscale(photo[None], 4)[0]
    expected = 255 * changed[:, top : top + height, left : left + width].abs().mean().item()
    assert panel.values["change"] == pytest.approx(expected, rel=0.01)
    panel.controls["strength"].value = 0
    assert panel.values["change"] == 0
    panel.controls["photograph"].value = "two"
    assert panel.values["faces"] == 2
    assert [label for label, _ in panel.controls["face"].options] == [f"{n} of 2: {s} pixels" for n, s in sides(panel)]


def sides(panel) -> list[tuple[int, int]]:
    found = []
    for index in range(2):
        panel.controls["face"].value = index
        found.append((index + 1, round(panel.values["side"])))
    return found


def test_the_strength_computes_nothing_and_is_quick(panel, model: ELSFace, monkeypatch) -> None:
    monkeypatch.setattr(model, "forward", None)
    start = time.process_time()
    for value in (0.1, 0.3, 0.7, 1.0):
        panel.controls["strength"].value = value / 2
    # A generous multiple of the 30 ms that one takes on a quiet machine.
    assert (time.process_time() - start) / 4 < 0.3


def test_a_face_is_clicked_where_it_is(panel, photo: Tensor) -> None:
    """Its place in the picture is that of its square, in the pixels that the browser shows; from left to right."""
    panel.controls["photograph"].value = "two"
    image = torch.cat([photo, F.pad(photo.flip(2), (24, 0))], 2)
    boxes = sorted(find_faces(image), key=lambda box: box.x)
    for index, box in enumerate(boxes):
        click(panel.picture, pick=index)
        assert panel.controls["face"].value == index
        place = re.search(rf'data-pick="{index}" aria-checked="true".*?left:(\d+)px;top:(\d+)px', panel.picture.value)
        expected = [SHOWN / image.shape[-1] * (at - box.side / 2) for at in (box.x, box.y)]
        assert [int(at) for at in place.groups()] == pytest.approx(expected, abs=1)


@pytest.mark.slow
def test_a_large_face_is_shrunk(model: ELSFace) -> None:
    panel = photo_restorer(model, {"large": portraits()["astronaut"]})
    assert panel.values["side"] == pytest.approx(LARGEST)
    width = round(512 * LARGEST / find_faces(portraits()["astronaut"])[0].side)
    assert f"{width}×{width}, shrunk from 512×512, 1 found" in panel.picture.value


def test_the_largest_face_is_shown_first(model: ELSFace, photo: Tensor) -> None:
    left, right = F.interpolate(photo[None], scale_factor=0.8, mode="bicubic").clamp(0, 1)[0], photo
    left = F.pad(left, (0, 0, 0, right.shape[1] - left.shape[1]))
    panel = photo_restorer(model, {"two": torch.cat([left, right], 2)})
    assert panel.controls["face"].value == 1
    assert "face 2, " in panel.picture.value


def test_an_upload_appears_and_a_bad_one_does_not(panel, photo: Tensor) -> None:
    said = []
    panel.message.observe(lambda change: said.append(change["new"]), names="value")
    upload(panel, "me.png", png(photo))
    assert said == ["me.png: looking for faces …", "me.png: 1 found"]
    assert panel.controls["photograph"].value == "me.png"
    assert panel.values["faces"] == 1
    for name, content, says in (
        ("notes.txt", b"no picture", "is not an image"),
        ("wall.png", png(torch.full((3, 60, 80), 0.5)), "no face found"),
    ):
        upload(panel, name, content)
        assert panel.message.value.startswith(name)
        assert says in panel.message.value
        assert len(panel.controls["photograph"].options) == 3
    upload(panel, "me.png", png(photo.flip(2)))
    assert panel.controls["photograph"].value == "me.png (2)"


def test_what_shows_no_face_is_refused(model: ELSFace) -> None:
    with pytest.raises(ElsfaceError, match="no photograph"):
        photo_restorer(model, {})
    with pytest.raises(ElsfaceError, match=r"^flat: no face found"):
        photo_restorer(model, {"flat": torch.full((3, 60, 80), 0.5)})
