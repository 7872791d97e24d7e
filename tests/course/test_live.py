"""A picture of a widget in a browser, with a model that notes what is sent: pointer, keys, and what a redraw keeps."""

import json
import re

import pytest
import torch
from browsers import chromium

from elsface_lite import read_image
from elsface_lite.course.widgets.live import Panel, Picture, chooser
from elsface_lite.course.widgets.pictures import handle, picture_html, split_html

pytestmark = pytest.mark.slow
# What anywidget does: the module's `render` gets an element and a model.
RENDER = """async ([script, html]) => {
    const {default: {render}} = await import(URL.createObjectURL(new Blob([script], {type: 'text/javascript'})));
    window.sent = [];
    window.html = html;
    const heard = [];
    const model = {get: () => window.html, send: message => sent.push(message), on: (_, f) => heard.push(f)};
    window.redraw = html => { window.html = html; heard.forEach(f => f()); };
    document.body.innerHTML = '<div class="widget-vbox"><div class="widget-inline-hbox">'
        + '<label class="widget-label">blur</label><div class="noUi-handle" aria-valuetext="0"></div>'
        + '<div class="widget-readout">4</div></div><button class="widget-upload"><i></i>your own (0)</button></div>';
    const el = document.body.firstChild.appendChild(document.createElement('div'));
    render({model, el});
}"""


# What a notebook does: a mouse gives the keyboard to its cell, and keys are its own unless what has the keyboard says
# otherwise, before it hears of them (Notebook 7).
NOTEBOOK = """() => {
    const [cell, taken] = [document.body, []];
    window.taken = taken;
    cell.tabIndex = -1;
    cell.addEventListener('mousedown', () => cell.focus());
    document.addEventListener('keydown', ({target, key}) => {
        if (!target.hasAttribute('data-lm-suppress-shortcuts')) taken.push(key);
    }, true);
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser):
    """A function that shows HTML as a picture of a widget, and gives the page."""
    page = browser.new_page()
    page.set_default_timeout(20_000)

    def shown(html: str):
        page.evaluate(RENDER, [Picture._esm, html])
        return page

    yield shown
    page.close()


def sent(page) -> list:
    return json.loads(page.evaluate("JSON.stringify(sent)"))


def tokens(row: int, column: int) -> str:
    return picture_html(torch.zeros(3, 32, 32), f"row {row}", f"row {row}", 320, grid=((32, 32), (row, column)))


def test_a_place_is_pressed_dragged_and_walked(show):
    page = show(tokens(12, 11))
    box = page.locator("img").bounding_box()
    page.mouse.move(box["x"] + 35, box["y"] + 75)
    page.mouse.down()
    page.mouse.move(box["x"] + 36, box["y"] + 76)  # the same place: nothing is asked again
    page.mouse.move(box["x"] + 400, box["y"] + 76)  # beyond the border
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert sent(page) == [{"row": 7, "column": 3}, {"row": 7, "column": 31}]
    page.locator("img").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert sent(page)[2:] == [{"row": 11, "column": 11}, {"row": 12, "column": 12}]


def test_faces_are_clicked_and_walked(show):
    ipywidgets = pytest.importorskip("ipywidgets")
    menu = ipywidgets.Dropdown(options=["one", "two", "mean"], description="style of")
    page = show(chooser(menu, {"one": torch.zeros(3, 8, 8), "two": torch.ones(3, 8, 8)}).value)
    radios = page.get_by_role("radiogroup", name="style of").get_by_role("radio")
    assert radios.count() == 3
    radios.nth(1).click()
    page.get_by_role("radio", name="one").focus()
    for key in ("ArrowLeft", "ArrowRight", "Enter"):  # round the end, back, and the same again
        page.keyboard.press(key)
    assert [message["pick"] for message in sent(page)] == [1, 2, 0, 0]
    assert page.locator("[aria-checked=true]").count() == 1


def test_a_redraw_keeps_the_handle_and_the_focus(show):
    images = {"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}
    page = show(split_html(images, "a face", "one") + tokens(12, 11))
    split = page.locator("before-after")
    split.evaluate("e => { e.value = 20; e.show({left: 4, top: 4, width: 2, height: 2}); window.view = e.view; }")
    page.locator("figure > img").focus()
    images = {"before": torch.ones(3, 8, 8), "after": torch.zeros(3, 8, 8)}
    page.evaluate("html => redraw(html)", split_html(images, "a face", "two") + tokens(3, 11))
    split.locator("img").last.evaluate("image => image.decode()")
    assert split.evaluate("e => [e.value, e.view.zoom, e.view.x === view.x && e.view.y === view.y]") == [20, 4, True]
    assert page.evaluate("document.activeElement.dataset.at") == "3 11"
    assert page.locator("figcaption").all_inner_texts() == ["two", "row 3"]
    page.evaluate("html => redraw(html)", tokens(4, 11))  # another tree
    assert page.locator("before-after").count() == 0
    assert page.locator("img").get_attribute("aria-label").startswith("row 4")


def test_a_notebook_does_not_take_the_keyboard(show):
    images = {"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}
    page = show(split_html(images, "a face", "one") + tokens(12, 11))
    page.evaluate(NOTEBOOK)
    split, place, slider = (page.locator(name) for name in ("before-after", "[data-grid]", ".noUi-handle"))
    split.click(position={"x": 96, "y": 20})
    for key in ("ArrowLeft", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert split.evaluate("e => e.value") == 22
    place.click(position={"x": 35, "y": 75})
    page.keyboard.press("ArrowLeft")
    assert sent(page)[-1] == {"row": 12, "column": 10}
    slider.evaluate("e => { e.tabIndex = 0; e.focus(); }")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("taken") == []
    page.keyboard.press("Control+S")  # which is to save
    assert page.evaluate("taken") == ["Control", "S"]


def test_the_right_picture_is_saved(show):
    images = {"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}
    page = show(split_html(images, "a face", "one", save="restored.webp"))
    assert page.locator("before-after").get_by_role("button").count() == 1, "nothing to zoom"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture after").click()
    assert download.value.suggested_filename == "restored.webp"
    assert torch.equal(read_image(download.value.path()), images["after"])
    page.mouse.move(0, 700)
    page = show(split_html(images, "a face", "one"))
    assert page.locator("before-after").get_by_role("button").count() == 0


def test_another_size_shows_the_same_place_and_no_size_forgets_none(show):
    images = {"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}
    split = show(split_html(images, "a face", "one")).locator("before-after")
    middle = """async (e, style) => {
        Object.assign(e.style, style);
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        const {zoom, x, y} = e.view, {clientWidth: wide, clientHeight: tall} = e.frame;
        return [zoom, (wide / 2 - x) / zoom / wide, (tall / 2 - y) / zoom / tall];
    }"""
    split.evaluate("e => e.show({left: 5, top: 1, width: 2, height: 2})")
    for style in ({}, {"width": "200px"}, {"display": "none"}, {"display": ""}, {"width": "384px"}):
        place = split.evaluate(middle, style)
        if style != {"display": "none"}:
            assert place == pytest.approx([4, 6 / 8, 2 / 8], abs=0.01)


def test_what_is_left_of_a_widget_without_a_kernel_is_its_picture():
    panel = Panel()
    panel.picture = Picture(value="<b>a face</b>")
    bundle = panel._repr_mimebundle_()
    assert bundle["text/html"] == "<b>a face</b>" and "application/vnd.jupyter.widget-view+json" in bundle
    panel.picture.value = split_html({"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}, "a face", "one")
    assert panel._repr_mimebundle_()["text/html"] == handle() + panel.picture.value


def test_a_slider_says_what_stands_beside_it(show):
    """Its name, and its value in place of an index, also when it was moved."""
    page = show(tokens(12, 11))
    page.wait_for_function("document.querySelector('.noUi-handle').ariaLabel === 'blur'")
    handle = page.locator(".noUi-handle")
    assert handle.get_attribute("aria-valuetext") == "4"
    page.evaluate("document.querySelector('.widget-readout').textContent = '8'")
    assert handle.get_attribute("aria-valuetext") == "8"
    handle.evaluate("handle => handle.ariaValueText = '1'")
    assert handle.get_attribute("aria-valuetext") == "8"


def test_an_upload_is_not_counted_on_its_button(show):
    page = show(tokens(12, 11))
    page.get_by_role("button", name=re.compile("^your own$")).wait_for()
    page.evaluate("document.querySelector('.widget-upload').replaceChildren('your own (1)')")
    page.get_by_role("button", name=re.compile("^your own$")).wait_for()


def test_a_small_picture_can_be_enlarged_and_shows_the_way_back(show):
    """Buttons only while somebody is at it, or it is enlarged; none for 1:1, which it has passed already."""
    images = {"before": torch.zeros(3, 8, 8), "after": torch.ones(3, 8, 8)}
    page = show(split_html(images, "a face", "one"))
    page.mouse.move(0, 700)
    split, out = page.locator("before-after"), page.get_by_role("button", name="Zoom out")
    assert not out.is_visible()
    split.hover()
    assert out.is_visible() and not page.get_by_role("button", name="One pixel").is_visible()
    split.dblclick(position={"x": 100, "y": 60})
    page.mouse.move(0, 700)
    assert out.is_visible()
    while out.is_enabled():
        out.click()
    assert split.evaluate("e => e.view.zoom") == 1
    page.mouse.move(0, 700)
    assert not out.is_visible()


def test_one_to_one_is_offered_where_there_is_more_to_see(show):
    images = {"before": torch.zeros(3, 600, 600), "after": torch.ones(3, 600, 600)}
    page = show(split_html(images, "a face", "one"))
    page.get_by_role("button", name="One pixel").click()
    assert page.locator("before-after").evaluate("e => e.view.zoom") == pytest.approx(600 / 384, abs=0.01)
