"""A widget's picture in a browser, with a model that notes what is sent: pointer, keyboard, what a redraw keeps."""

import json

import pytest
import torch
from browsers import chromium

from elsface_lite.course.widgets.live import Picture, chooser
from elsface_lite.course.widgets.pictures import picture_html, split_html

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
        + '<label class="widget-label">blur</label><div class="noUi-handle"></div></div></div>';
    const el = document.body.firstChild.appendChild(document.createElement('div'));
    render({model, el});
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
    page.evaluate("document.querySelector('before-after').value = 20")
    page.locator("figure > img").focus()
    page.evaluate("html => redraw(html)", split_html(images, "a face", "two") + tokens(3, 11))
    assert page.evaluate("document.querySelector('before-after').value") == 20
    assert page.evaluate("document.activeElement.dataset.at") == "3 11"
    assert page.locator("figcaption").all_inner_texts() == ["two", "row 3"]
    page.evaluate("html => redraw(html)", tokens(4, 11))  # another tree
    assert page.locator("before-after").count() == 0
    assert page.locator("img").get_attribute("aria-label").startswith("row 4")


def test_a_slider_is_called_by_what_stands_beside_it(show):
    page = show(tokens(12, 11))
    page.wait_for_function("document.querySelector('.noUi-handle').ariaLabel === 'blur'")
