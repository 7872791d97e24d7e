"""The page that restores in the browser: it computes what `restore` does, keeps everything here, and fits a phone."""

import base64
import json
import math
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from browsers import asked_of_others, assert_it_fits, assert_it_is_legible, chromium, served, watch
from conftest import ROOT

from elsface_lite import read_image, restore, upscale, write_png
from elsface_lite.data.degradation import resize
from elsface_lite.data.sources import portraits

pytestmark = pytest.mark.slow
WEB = ROOT / "web"
FINISHED = re.compile(r"restored in|Nothing to do|No face was found|cannot be used|no picture")
PIXELS = """() => {
    const canvas = document.querySelector('#result canvas[slot=after]'), {width, height} = canvas;
    const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
    let text = '';
    for (let i = 0; i < data.length; i += 4096) text += String.fromCharCode(...data.subarray(i, i + 4096));
    return [height, width, btoa(text)];
}"""


def shrunk(name: str, divisor: int) -> torch.Tensor:
    photograph = portraits()[name]
    return resize(photograph, *(side // divisor for side in photograph.shape[-2:]))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The page, as `make web` builds it."""
    if not shutil.which("npm"):
        pytest.skip("no page: install node and npm")
    subprocess.run(["make", "web/node_modules"], cwd=ROOT, check=True)
    out = tmp_path_factory.mktemp("web")
    runpy.run_path(WEB / "build.py")["build"](out, "lite-x4-blind")
    return out


@pytest.fixture(scope="module")
def browser(built, tmp_path_factory):
    """With a camera, before which a man sits still."""
    video = tmp_path_factory.mktemp("camera") / "video.y4m"
    grey = (255 * shrunk("grace_hopper", 6).mean(0)).byte()[:, :84]  # an even number of rows and columns
    colours = torch.full((2, *(side // 2 for side in grey.shape)), 128, dtype=torch.uint8)
    frame = b"FRAME\n" + grey.numpy().tobytes() + colours.numpy().tobytes()
    video.write_bytes(b"YUV4MPEG2 W84 H100 F30:1 Ip A1:1 C420jpeg\n" + 30 * frame)
    source = f"--use-file-for-fake-video-capture={video}"
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", source) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(built):
    with served(built) as address:
        yield address


@pytest.fixture(scope="module")
def page(browser, address):
    """The page with its networks loaded; `asked` are the addresses of all that it has loaded since."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}, permissions=["camera"]).new_page()
    page.set_default_timeout(240_000)
    watch(page)
    page.goto(f"{address}?runtime=wasm")
    page.locator("body[data-runtime]").wait_for()
    yield page
    assert not page.errors


def give(page, path: Path) -> str:
    """Gives the page a photograph; what it says at the end."""
    page.set_input_files("#file", path)
    page.locator("#status", has_text=FINISHED).wait_for()
    return page.inner_text("#status")


def shown(page) -> np.ndarray:
    """The picture after, (h, w, 3), 0 to 255."""
    height, width, pixels = page.evaluate(PIXELS)
    return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def expected(image) -> np.ndarray:
    return (255 * image).round().permute(1, 2, 0).numpy().astype(int)


def test_sizes(built):
    """What one visitor loads is below 14 MB; each of the two networks has 3."""
    size = {path.relative_to(built).as_posix(): path.stat().st_size for path in built.rglob("*") if path.is_file()}
    runtimes = json.loads((built / "settings.json").read_text())["runtimes"]
    everything = sum(size.values())
    for runtime, other in (("wasm", "webgpu"), ("webgpu", "wasm")):
        loaded = everything - size[runtimes[other]["script"]] - size[runtimes[other]["binary"]]
        assert loaded < 14e6, f"{runtime}: {loaded}"
    assert max(size["models/faithful.onnx"], size["models/sharp.onnx"]) < 3.3e6


def test_lock_names_no_registry():
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert "node_modules/onnxruntime-web" in lock["packages"]
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


def test_a_face_is_what_restore_makes_of_it(page, built):
    """A small picture is taken as an LR face: within 1/255, since both round to 8 bits."""
    assert give(page, built / "example.png").startswith("1 face restored in")
    (result,) = restore(built / "example.png", lr=True, weights="lite-x4-blind")
    assert abs(shown(page) - expected(result.image)).max() <= 1


def test_the_slider_ends_at_what_the_sharp_weights_make(page, built):
    """Between the ends the two pictures are mixed."""
    give(page, built / "example.png")
    slider = page.get_by_role("slider", name="Faithful Sharp")
    slider.wait_for()
    faithful = shown(page)
    slider.fill("1")
    (result,) = restore(built / "example.png", lr=True, weights="lite-x4-blind", sharpness=1)
    assert abs(shown(page) - expected(result.image)).max() <= 1
    slider.fill("0.5")
    assert abs(shown(page) - (faithful + expected(result.image)) / 2).max() <= 2
    slider.fill("0")
    assert (shown(page) == faithful).all()


def two_people() -> torch.Tensor:
    """One upright, one on her side, on so much grey that the search looks at it twice."""
    both = torch.full((3, 400, 640), 0.5)
    both[:, 100:220, 30:132] = shrunk("grace_hopper", 5)
    both[:, 100:228, 300:428] = shrunk("astronaut", 4).rot90(1, (1, 2))
    return both


@pytest.mark.parametrize(
    ("photograph", "angles", "least"),
    [
        pytest.param(lambda: shrunk("grace_hopper", 4).mean(0, keepdim=True).expand(3, -1, -1), [0], 20, id="grey"),
        pytest.param(two_people, [0, -90], 20, id="two, one on her side"),
        pytest.param(lambda: resize(shrunk("grace_hopper", 6), 300, 255), [0], 12, id="enlarged: halved before"),
        pytest.param(lambda: resize(shrunk("grace_hopper", 16), 384, 328), [0], 12, id="soft: restored again"),
    ],
)
def test_a_photograph_is_what_restore_makes_of_it(page, tmp_path, photograph, angles, least):
    """Found, cut, restored and put back. Both round the enlarged photograph and the result to 8 bits: hence 2/255."""
    write_png(photograph(), tmp_path / "photograph.png")
    assert give(page, tmp_path / "photograph.png").startswith(f"{len(angles)} face")
    (result,) = restore(tmp_path / "photograph.png", paste=True)
    assert [math.degrees(box.angle) for box in result.boxes] == pytest.approx(angles, abs=10)
    pasted = shown(page)
    difference = abs(pasted - expected(result.image))
    print(f"{difference.max()} of 255 at most, {(difference > 0).mean():.1e} of the values differ")
    assert difference.max() <= 2
    assert (difference > 0).mean() < 1e-3
    bicubic = expected(upscale(read_image(tmp_path / "photograph.png"), 4))
    for box in result.boxes:
        x, y, half = (round(4 * value) for value in (box.x, box.y, box.side / 4))
        inside = np.s_[y - half : y + half, x - half : x + half]
        assert abs(pasted - bicubic)[inside].max() > least, "nothing was pasted"


def test_it_says_why_nothing_was_restored(page, built, tmp_path):
    write_png(portraits()["grace_hopper"][:, :120, :100] * 0 + 0.5, tmp_path / "grey.png")
    assert give(page, tmp_path / "grey.png").startswith("No face was found")
    assert page.get_by_role("button", name="Restore the whole picture").is_visible()
    face = portraits()["grace_hopper"][:, 50:430, 80:460]  # 324 pixels wide
    settings = json.loads((built / "settings.json").read_text())
    grain = 0.02 * torch.randn(3, 500, 500, generator=torch.Generator().manual_seed(0))
    large = (resize(face, 500, 500) + grain).clamp(0, 1)  # enlarged; its grain is sharp
    for image, why in (
        (face, rf"already sharp \(3\d\d pixels with hair and chin\); .* up to {settings['largestFace']}\."),
        (large, "large as it is, with"),
    ):
        write_png(image, tmp_path / "large.png")
        assert re.match(f"Nothing to do. 1 face left alone: {why}", give(page, tmp_path / "large.png"))
        assert page.get_by_role("button", name="Show it on a small copy").is_visible()
    assert page.locator("#save").is_hidden()
    (tmp_path / "text.png").write_text("no picture")
    assert "save it as JPEG or PNG" in give(page, tmp_path / "text.png")


def test_a_sharp_face_is_shown_on_a_small_copy(page, tmp_path):
    """Its largest face has 64 pixels there."""
    write_png(portraits()["grace_hopper"], tmp_path / "portrait.png")
    assert give(page, tmp_path / "portrait.png").startswith("Nothing to do.")
    page.get_by_role("button", name="Show it on a small copy").click()
    page.locator("#status", has_text="restored in").wait_for()
    width, height = map(int, re.search(r"in a copy of (\d+)×(\d+) pixels\.$", page.inner_text("#status")).groups())
    assert 64 < width < 128 and height / width == pytest.approx(600 / 512, abs=0.02)
    assert shown(page).shape == (4 * height, 4 * width, 3)
    assert page.locator("#save").is_visible() and page.locator("#small").is_hidden()


def test_the_place_of_the_slider_is_kept(page, built):
    """It is there when the faces are, and waits for the sharp network without moving what is below."""
    give(page, built / "example.png")
    save = page.locator("#save")
    assert page.locator("#sharpness").is_visible()
    place = save.bounding_box()
    page.locator("#sharpness input:enabled").wait_for()
    assert save.bounding_box() == place and page.inner_text("#sharpness").split() == ["Faithful", "Sharp"]


def test_faces_are_shown_from_left_to_right(page, tmp_path):
    """Whichever is larger: a button each, after the one for all."""
    both = torch.full((3, 160, 330), 0.5)
    both[:, 20:140, 10:112] = shrunk("grace_hopper", 5)
    both[:, 10:138, 180:308] = shrunk("astronaut", 4)
    for name, photograph in (("there", both), ("mirrored", both.flip(2))):
        write_png(photograph, tmp_path / f"{name}.png")
        assert give(page, tmp_path / f"{name}.png").startswith("2 faces")
        places = []
        for number in (1, 2):
            page.get_by_role("button", name=f"Face {number}").click()
            places.append(page.locator("#result").evaluate("({view}) => view.x / view.zoom"))
        assert places[0] > places[1], "of the picture's corner, which goes to the left"


def test_the_camera(page):
    page.get_by_role("button", name="Camera").click()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Take the picture").click()
    page.locator("dialog").wait_for(state="hidden")
    page.locator("#status", has_text=FINISHED).wait_for()
    assert page.inner_text("#status").startswith("1 face restored in")
    assert page.locator("#result canvas").first.evaluate("canvas => [canvas.width, canvas.height]") == [4 * 84, 4 * 100]


def test_the_result_is_saved_in_the_format_that_it_came_in(page, built):
    give(page, built / "example.png")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "example-restored.png"
    assert (expected(read_image(download.value.path())) == shown(page)).all()


def test_the_handle_by_keyboard_and_pointer(page, built):
    give(page, built / "example.png")
    handle = page.locator("#result").get_by_role("slider", name="How much of the picture before is shown")
    handle.focus()
    page.keyboard.press("End")
    assert handle.input_value() == "100"
    page.keyboard.press("ArrowLeft")
    assert handle.get_attribute("aria-valuetext") == "99 % before"
    box = page.locator("#result .frame").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 120)
    page.mouse.up()
    assert abs(float(handle.input_value()) - 25) <= 1
    out = page.locator("#result").get_by_role("button", name="Zoom out")
    handle.focus()
    page.keyboard.press("0")
    assert out.is_disabled()
    page.keyboard.press("+")
    assert out.is_enabled()


def test_nothing_leaves(page, address):
    """All that was loaded came from the page's own server."""
    assert len(page.asked) > 10
    assert not asked_of_others(page, address)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "connect-src 'self';" in policy and "default-src 'none'" in policy


def test_a_second_visit_without_a_network_on_a_phone(page, built):
    """It opens and restores again, and fits; so it does on a wide screen."""
    wide = page.viewport_size
    page.context.set_offline(True)
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        page.reload()
        page.locator("body[data-runtime]").wait_for()
        assert page.locator(".ethics").bounding_box()["y"] < 844 - 40, "the two sentences are not on the first screen"
        for state in ("start", "own"):
            if state == "own":
                assert give(page, built / "example.png").startswith("1 face restored in")
            assert page.locator(f"body[data-state={state}]").count() == 1
            for size in (wide, page.viewport_size):
                page.set_viewport_size(size)
                assert_it_fits(page)
                assert_it_is_legible(page)
    finally:
        page.context.set_offline(False)
        page.set_viewport_size(wide)
