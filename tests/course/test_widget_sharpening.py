"""The widget of chapter 05, driven from code: every control changes the picture, and the numbers in it are right."""

import base64
import math
import re
import time

import pytest
import torch

from elsface_lite.course.widgets import sharpening_explorer
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.training.losses import gaussian_blur, gaussian_kernel, unsharp_mask


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return portraits()["astronaut"][None, :, 30:158, 160:288]


@pytest.mark.parametrize(("control", "value"), [("taps", 9), ("amount", 2.0), ("threshold", 10)])
def test_every_control_changes_the_picture(face, control, value):
    panel = sharpening_explorer(face)
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == (5 if control == "threshold" else 4)  # else there is no mask
    assert all(len(alt) >= 20 for alt in re.findall(r'alt="([^"]*)"', panel.picture.value))


def test_it_opens_with_the_unsharp_mask_of_the_paper(face):
    panel = sharpening_explorer(face)
    added = 255 * (unsharp_mask(face, gaussian_kernel(51)) - face).abs().mean().item()
    assert panel.values["added"] == pytest.approx(added, rel=1e-5)
    assert panel.values["sigma"] == pytest.approx(8)
    assert panel.values["share"] == 1
    assert panel.values["formula"] == pytest.approx(1.5 - 0.5 * math.exp(-2 * math.pi**2), abs=1e-4)
    assert panel.values["measured"] == pytest.approx(1.5, abs=0.02)
    assert "51 taps, sigma 8.0 pixels" in panel.picture.value
    assert f"{added:.1f} of 255" in panel.picture.value


def test_a_weight_of_zero_adds_nothing(face):
    panel = sharpening_explorer(face)
    panel.controls["amount"].value = 0
    assert panel.values["added"] == 0
    assert panel.values["measured"] == pytest.approx(1)


def test_the_mask_is_the_one_of_the_threshold(face):
    panel = sharpening_explorer(face)
    panel.controls["threshold"].value = 10
    kernel = gaussian_kernel(51)
    detail = face - gaussian_blur(face, kernel)
    share = gaussian_blur((255 * detail.abs() > 10).float(), kernel).mean().item()
    assert panel.values["share"] == pytest.approx(share, rel=1e-5)
    assert f"mask: {100 * share:.0f} % of the face" in panel.picture.value
    previous = share
    panel.controls["threshold"].value = 40
    assert panel.values["share"] < previous


def test_the_curve_is_an_opaque_picture(face):
    panel = sharpening_explorer(face)
    (data,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", panel.picture.value)
    svg = base64.b64decode(data).decode()
    assert 'fill="white"' in svg
    assert svg.count("<circle") == 64  # the rings of a spectrum of 128 pixels


def test_seven_taps_the_answer_of_an_exercise_can_be_had(face):
    panel = sharpening_explorer(face)
    panel.controls["taps"].value = 7
    assert panel.values["sigma"] == pytest.approx(1.4) and "7 taps, sigma 1.4 pixels" in panel.picture.value


def test_a_small_face_gets_small_radii():
    panel = sharpening_explorer(torch.rand(1, 3, 20, 30))
    assert max(panel.controls["taps"].options) == 31
    panel.controls["taps"].value = 31
    assert panel.values["sigma"] == pytest.approx(5)


@pytest.mark.parametrize("shape", [(3, 128, 128), (2, 3, 128, 128), (1, 1, 128, 128), (1, 3, 12, 128)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ElsfaceError, match="takes one face"):
        sharpening_explorer(torch.rand(shape))


def test_a_redraw_is_quick(face):
    panel = sharpening_explorer(face)
    start = time.process_time()
    for taps in (9, 21, 31, 41):
        panel.controls["taps"].value = taps
    # CPU seconds, and a generous multiple of the 30 ms that one takes on a quiet machine.
    assert (time.process_time() - start) / 4 < 0.3
