"""The widgets of the course, driven from code: what a reader moves changes what they see."""

import time
from datetime import UTC, datetime
from io import BytesIO
from itertools import product

import pytest
import torch
from clicks import click
from PIL import Image

from elsface_lite.course.widgets import degradation_explorer, distort, uploaded_face, uploads
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.image import lpips, psnr
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    return portraits()["astronaut"][:, 30:158, 160:288]


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(hfebs=1, hfeb_blocks=1)).eval()


def png(image: torch.Tensor) -> bytes:
    buffer = BytesIO()
    Image.fromarray((255 * image).round().byte().permute(1, 2, 0).numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def as_upload(name: str, content: bytes, version: int):
    """The value of a FileUpload under ipywidgets 7 and 8."""
    if version == 7:
        return {name: {"metadata": {"name": name, "type": "image/png"}, "content": content}}
    return (
        {
            "name": name,
            "type": "image/png",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime.now(UTC),
        },
    )


@pytest.mark.parametrize(("control", "value"), [("scale", 8), ("scale", 16), ("blur", 2.0)])
def test_every_control_of_the_degradation_changes_the_picture(model, astronaut, control, value):
    panel = degradation_explorer(model, {"astronaut": astronaut})
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == 4


def test_the_captions_state_the_psnr_of_bicubic(model, astronaut):
    panel = degradation_explorer(model, {"astronaut": astronaut})
    hr = astronaut[None]
    error = (upscale(downscale(hr, 4), 4) - hr).square().mean()
    assert f"left bicubic, {-10 * error.log10():.1f} dB" in panel.picture.value
    assert "LR, 32×32" in panel.picture.value
    panel.controls["scale"].value = 8
    assert "LR, 16×16" in panel.picture.value


def test_a_state_that_was_seen_computes_nothing_and_is_quick(model, astronaut, monkeypatch):
    panel = degradation_explorer(model, {"astronaut": astronaut})
    panel.controls["scale"].value = 8
    monkeypatch.setattr(model, "forward", None)
    start = time.process_time()
    for scale in (4, 8, 4, 8):
        panel.controls["scale"].value = scale
    # A generous multiple of the 60 ms that one takes on a quiet machine.
    assert (time.process_time() - start) / 4 < 0.5


@pytest.mark.parametrize("version", [7, 8])
def test_an_upload_is_read_in_both_versions_of_ipywidgets(version):
    assert uploads(as_upload("me.png", b"content", version)) == [("me.png", b"content")]


def test_the_face_of_an_uploaded_photograph_is_found_and_cropped():
    face, words = uploaded_face("me.png", png(portraits()["astronaut"]))
    assert face.shape == (3, 128, 128)
    assert words.startswith("me.png: the largest of")
    middle, words = uploaded_face("wall.png", png(torch.full((3, 90, 140), 0.5)))
    assert middle.shape == (3, 128, 128)
    assert "no face found" in words


def test_an_upload_that_is_no_picture_is_named_in_one_line():
    with pytest.raises(ElsfaceError, match=r"^notes\.txt ") as error:
        uploaded_face("notes.txt", b"not a picture")
    assert "\n" not in str(error.value)


def test_an_upload_appears_in_the_menu_and_a_bad_one_does_not(model, astronaut, monkeypatch):
    panel = degradation_explorer(model, {"astronaut": astronaut})
    upload, said = panel.controls["upload"], []
    panel.message.observe(lambda change: said.append(change["new"]), names="value")
    for name, content, count in (("me.png", png(portraits()["astronaut"]), 2), ("notes.txt", b"no", 2)):
        value = as_upload(name, content, 7 if isinstance(upload.value, dict) else 8)
        upload.set_trait("value", value)
        assert len(panel.controls["face"].options) == count
        assert name in panel.message.value
    assert said[0] == "me.png: looking for faces …"
    thumbnails = panel.children[0].children[0]
    assert thumbnails.value.count("<img") == 2
    click(thumbnails, pick=0)
    assert panel.controls["face"].value == "astronaut"
    click(thumbnails, pick=1)
    assert panel.controls["face"].value == "me.png"
    assert "HR, 128×128" in panel.picture.value


@pytest.mark.slow
def test_no_distortion_of_chapter_07_beats_bicubic_in_psnr_alone(astronaut):
    """The answer to its riddle: whatever is nearer in values is nearer in LPIPS as well."""
    hr = astronaut[None]
    bicubic = upscale(downscale(hr, 4), 4)
    settings = product((0, 1, 1.5, 2, 2.5), (0, 0.02, 0.04, 0.055), (0, 1), (100, 95, 40, 10, 5))
    distorted = (distort(hr, blur, noise, shift, quality) for blur, noise, shift, quality in settings)
    nearer = [face for face in distorted if psnr(face, hr) > psnr(bicubic, hr)]
    assert len(nearer) > 20
    assert all(lpips(face, hr) < lpips(bicubic, hr) for face in nearer)
