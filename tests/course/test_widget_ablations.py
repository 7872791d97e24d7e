"""The widget of chapter 08, driven from code: every control changes the picture, and the numbers in it are right."""

import base64
import re
import time

import pytest
import torch

from elsface_lite.course.frequency import low_pass, radial_profile
from elsface_lite.course.widgets import ablation_explorer
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.image import psnr

MEANS = {"all parts": {"PSNR": 28.189, "LPIPS": 0.14674}, "bicubic": {"PSNR": 25.579}}


@pytest.fixture(scope="module")
def faces() -> dict[str, torch.Tensor]:
    cuts = portraits()["astronaut"][:, 30:158, 160:288], portraits()["grace_hopper"][:, 90:218, 190:318]
    hr = torch.stack(cuts)
    bicubic = upscale(downscale(hr, 4), 4)
    return {"HR": hr, "bicubic": bicubic} | {
        label: low_pass(hr, cutoff).clamp(0, 1) for label, cutoff in (("all parts", 0.3), ("no <HFEB>", 0.2))
    }


def panel_of(faces, /, **changes):
    spectra = {label: radial_profile(images)[1].mean(0) for label, images in faces.items()}
    spectra["frequency"] = radial_profile(faces["HR"])[0]
    arguments = {"faces": faces, "names": ["astronaut", "hopper"], "spectra": spectra, "means": MEANS}
    return ablation_explorer(**arguments | changes)


def svg_of(panel) -> str:
    (data,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", panel.picture.value)
    return base64.b64decode(data).decode()


@pytest.mark.parametrize(
    ("control", "value"), [("left", "bicubic"), ("right", "all parts"), ("face", 1), ("errors", True)]
)
def test_every_control_changes_the_picture_and_back(faces, control, value):
    panel = panel_of(faces)
    before, old = panel.picture.value, panel.controls[control].value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == 5
    assert all(len(alt) >= 20 for alt in re.findall(r'alt="([^"]*)"', panel.picture.value))
    panel.controls[control].value = old
    assert panel.picture.value == before


def test_the_numbers_are_those_of_the_faces_and_the_table(faces):
    panel = panel_of(faces)
    assert (panel.controls["left"].value, panel.controls["right"].value) == ("all parts", "no <HFEB>")
    panel.controls["face"].value = 1
    for place, label in {"bicubic": "bicubic", "left": "all parts", "right": "no <HFEB>"}.items():
        assert panel.values[place] == pytest.approx(psnr(faces[label][1:], faces["HR"][1:]).item())
    rows = re.findall(r"<tr>(.*?)</tr>", panel.picture.value)
    assert [re.findall("<td>(.*?)</td>", row)[2:] for row in rows] == [
        ["PSNR", "LPIPS"],
        ["25.58", ""],
        ["28.19", "0.1467"],
        ["", ""],
    ]
    assert "right: no &lt;HFEB&gt;" in rows[3] and f"{panel.values['right']:.2f}" in rows[3]


def test_the_curves_are_shares_of_the_power_of_hr(faces):
    """What has HR's power lies on the black line of 0 dB, at every frequency."""
    panel = panel_of(faces | {"perfect": faces["HR"]})
    assert panel.controls["right"].value == "perfect"
    svg = svg_of(panel)
    (zero,) = re.findall(r'<path d="M\d+ ([\d.]+)H\d+" stroke="black"/>', svg)
    lines = re.findall(r'<polyline points="([^"]*)"', svg)
    heights = [[float(point.split(",")[1]) for point in line.split()] for line in lines]
    assert len(lines) == 3 and {len(line) for line in heights} == {64}
    assert set(heights[2]) == {float(zero)}
    assert heights[0][-1] > float(zero) + 50, "bicubic is far below at the highest frequency"
    assert "right: perfect 0" in panel.picture.value
    assert 'fill="white"' in svg


def test_errors_are_black_where_there_are_none(faces):
    panel = panel_of(faces | {"perfect": faces["HR"]})
    panel.controls["errors"].value = True
    assert "Where perfect is wrong" in panel.picture.value and "Where bicubic is wrong" in panel.picture.value
    other = panel_of(faces | {"perfect": (faces["HR"] + 0.3).clamp(0, 1)})
    other.controls["errors"].value = True
    assert other.picture.value != panel.picture.value


def test_what_does_not_belong_together_is_refused(faces):
    spectra = {label: torch.ones(8) for label in [*faces, "frequency"]}
    without = {label: images for label, images in faces.items() if label != "bicubic"}
    for changes in ({"faces": without}, {"spectra": {"HR": torch.ones(8)}}):
        with pytest.raises(ElsfaceError, match="HR and bicubic among them"):
            panel_of(faces, **changes)
    for changes in ({"names": ["one"]}, {"spectra": spectra | {"HR": torch.ones(9)}}):
        with pytest.raises(ElsfaceError, match="one for each name"):
            panel_of(faces, **changes)
    with pytest.raises(ElsfaceError, match="one for each name"):
        panel_of(faces | {"bicubic": faces["HR"][:1]}, spectra=spectra)
    with pytest.raises(ElsfaceError, match="bicubic holds NaN"):
        panel_of(faces, spectra=spectra | {"bicubic": torch.full((8,), torch.nan)})


def test_a_redraw_is_quick(faces):
    panel = panel_of(faces)
    start = time.process_time()
    for errors in (True, False, True, False):
        panel.controls["errors"].value = errors
    # CPU seconds, and a generous multiple of the 40 ms that one takes on a quiet machine.
    assert (time.process_time() - start) / 4 < 0.3
