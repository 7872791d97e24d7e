"""The widget of chapter 09, driven from code, and the handle that its picture gets in a browser."""

import re
import time

import pytest
import torch
from browsers import chromium

from elsface_lite import ELSFace, ELSFaceConfig, downscale, quantize
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.widgets import sharpness_explorer
from elsface_lite.course.widgets.pictures import handle
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.image import lpips, psnr


def network(seed: int, channels: int = 8) -> ELSFace:
    torch.manual_seed(seed)
    return ELSFace(
        ELSFaceConfig.lite(channels=channels, heads=2, hfebs=1, hfeb_blocks=1, out_channels=4)
    ).requires_grad_(False)


@pytest.fixture
def panel():
    return sharpness_explorer(network(0), network(1), portrait_faces())


def test_it_opens_sharp_and_its_numbers_are_right(panel):
    hr = portrait_faces()["astronaut"]
    before, after = (quantize(network(seed)(downscale(hr[None], 4)))[0] for seed in (0, 1))
    assert panel.values["psnr"] == pytest.approx(psnr(after, hr).item(), abs=1e-3)
    assert panel.values["lpips"] == pytest.approx(lpips(after, hr).item(), abs=1e-4)
    assert panel.values["change"] == pytest.approx(255 * (after - before).abs().mean().item(), rel=1e-3)
    assert "sharpness 1.0" in panel.picture.value and panel.picture.value.count("<img") == 3
    assert all(len(alt) >= 20 for alt in re.findall(r'alt="([^"]*)"', panel.picture.value))


def test_every_control_changes_the_picture_and_zero_is_the_faithful_network(panel):
    states = [panel.picture.value]
    for control, value in (("sharpness", 0.5), ("face", "grace_hopper"), ("sharpness", 0.0)):
        panel.controls[control].value = value
        states.append(panel.picture.value)
    assert len(set(states)) == 4
    assert panel.values["change"] == 0


def test_a_sharpness_that_was_seen_computes_no_face_again_and_is_quick(panel, monkeypatch):
    for value in (0.2, 0.4, 0.2):
        panel.controls["sharpness"].value = value
    monkeypatch.setattr(ELSFace, "forward", None)
    start = time.process_time()
    for value in (0.4, 1.0, 0.2):
        panel.controls["sharpness"].value = value
    # A generous multiple of the 25 ms that one takes on a quiet machine: LPIPS and three pictures.
    assert (time.process_time() - start) / 3 < 0.5


def test_networks_of_two_configs_are_refused():
    with pytest.raises(ElsfaceError, match="two configs"):
        sharpness_explorer(network(0), network(1, 4), portrait_faces())


@pytest.mark.slow
def test_the_handle_is_on_the_picture(panel, tmp_path):
    """Left of it is the faithful face, and it follows pointer and keyboard; without scripts two pictures are left."""
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{panel.picture.value}{handle()}", encoding="utf-8")
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(page.as_uri())
        split = tab.locator("before-after")
        assert split.evaluate("element => element.value") == 50
        box = split.bounding_box()
        assert box["width"] == box["height"] == 384
        tab.mouse.move(box["x"] + 192, box["y"] + 100)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 288, box["y"] + 100)
        tab.mouse.up()
        assert split.evaluate("element => element.value") == pytest.approx(75, abs=1)
        tab.locator("before-after input").focus()
        tab.keyboard.press("Home")
        assert split.evaluate("element => element.value") == 0
        assert split.evaluate("element => element.frame.querySelector('.left').textContent") == "faithful"
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto(page.as_uri())
        assert plain.locator("before-after img").count() == 2 and plain.locator("img >> nth=1").is_visible()
