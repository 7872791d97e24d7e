"""The widget of chapter 10 for degradations, driven from code."""

import re
import time

import pytest
import torch
from torch import Tensor

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, downscale, quantize, upscale
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.widgets import blind_preview
from elsface_lite.course.widgets.blind import AT_REST, spoilt
from elsface_lite.data.blind import Blind
from elsface_lite.data.degradation import generator


@pytest.fixture(scope="module")
def face() -> Tensor:
    return portrait_faces()["astronaut"]


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1, out_channels=4)).eval()


def test_at_rest_the_face_is_only_shrunk(face: Tensor, model: ELSFace) -> None:
    panel = blind_preview(face, {"mine": model})
    assert torch.equal(panel.values["lr"], downscale(face, 4))
    assert torch.equal(panel.values["bicubic"], upscale(downscale(face, 4), 4))
    with torch.inference_mode():
        assert torch.equal(panel.values["mine"], quantize(model(panel.values["lr"][None])[0]))
    panel.controls["seed"].value = 7
    assert torch.equal(panel.values["lr"], downscale(face, 4))


def test_every_control_changes_the_picture(face: Tensor) -> None:
    panel = blind_preview(face)
    for control, value in (("blur", 2.5), ("shrink", 8.0), ("noise", 12.0), ("quality", 50), ("seed", 3)):
        before = panel.picture.value
        panel.controls[control].value = value
        assert panel.picture.value != before, control
    assert panel.picture.value.count("<img alt=") == 3
    assert all(len(alt) > 20 for alt in re.findall(r'alt="([^"]*)"', panel.picture.value))
    for control, value in (AT_REST | {"seed": 1}).items():
        panel.controls[control].value = value
    assert panel.picture.value == blind_preview(face).picture.value


def test_it_shows_what_a_network_learns_from(face: Tensor) -> None:
    """With the ends of Blind's own ranges, its draws."""
    drawn = spoilt(face, blur=2.5, shrink=4.0, noise=12.0, quality=50, seed=5)
    own = Blind(4, blur=(0.1, 2.5), shrink=(4.0, 4.0), noise=12.0, quality=(50, 100), clean=0.0)
    assert torch.equal(drawn, own(face, generator(5)))


def test_it_is_quick(face: Tensor) -> None:
    panel = blind_preview(face)
    panel.controls["noise"].value = 5.0
    start = time.perf_counter()
    for seed in range(2, 6):
        panel.controls["seed"].value = seed
    assert (time.perf_counter() - start) / 4 < 0.15


def test_what_cannot_be_shown_is_refused(face: Tensor) -> None:
    with pytest.raises(ElsfaceError, match=r"takes one face.*\(1, 3, 128, 128\)"):
        blind_preview(face[None])
    with pytest.raises(ElsfaceError, match="eight has 8"):
        blind_preview(face, {"eight": ELSFace(ELSFaceConfig.lite(scale=8, channels=8, heads=2, out_channels=4))})
