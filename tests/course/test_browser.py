"""Chapters in a real JupyterLab in headless Chromium: widgets are moved by keyboard, read in both themes.

All chapters are opened in one page and with one kernel, one after the other, as they were committed, with their
outputs. Only the cells that its widgets need are run; that all of them run, each chapter with a kernel of its own, is
seen by nbval. Without playwright or Chromium all of this is skipped, and the
summary says so.
"""

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
from browsers import chromium, jupyterlab
from conftest import ROOT
from ipywidgets import VBox
from needed import needed

from elsface_lite.course import widgets
from elsface_lite.data.images import write_png
from elsface_lite.data.sources import portraits

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: pip install playwright")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
# Functions that give a widget; the others of the package are its parts.
EXPLORERS = {name for name in widgets.__all__ if inspect.signature(getattr(widgets, name)).return_annotation is VBox}
CALLS = re.compile(rf"\b({'|'.join(EXPLORERS)})\(")
CONTROLS = ".noUi-handle, select, input, textarea, button:not(.widget-upload)"
PICKED = "[data-grid], [role=radio][aria-checked=true]"  # places and choices in a picture
# What a page is asked for again and again.
HELPERS = """
// What the pictures of a widget show, their captions included; and the pictures alone.
window.shown = box => [...box.querySelectorAll('.live-picture')].filter(e => e.querySelector('img'))
    .map(e => e.innerHTML).join();
window.drawn = box => [...box.querySelectorAll('.live-picture img')].map(e => e.src).join();

const paint = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
const brightness = () => {
    const linear = [...paint.getImageData(0, 0, 1, 1).data].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const fill = color => { paint.fillStyle = color; paint.fillRect(0, 0, 1, 1); };
// The ratio of WCAG 2.2: the text's colour on everything that lies behind it.
const contrast = element => {
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    ['white', ...behind].forEach(fill);
    const ground = brightness();
    fill(getComputedStyle(element).color);
    const text = brightness();
    return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
};
const written = e => e.matches('select') || [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
// Texts of outputs that are hard to read, each with its contrast.
window.faint = () => [...document.querySelectorAll('.jp-OutputArea-output *')]
    .filter(e => !e.matches('option, style, script') && e.checkVisibility() && written(e))
    .map(e => [contrast(e), e.innerText.slice(0, 60)]).filter(([ratio]) => !(ratio >= 4.5));

const seeThrough = img => {
    paint.clearRect(0, 0, 1, 1);
    fill(getComputedStyle(img).backgroundColor);
    if (paint.getImageData(0, 0, 1, 1).data[3] === 255) return false;
    const page = new OffscreenCanvas(img.naturalWidth, img.naturalHeight).getContext('2d');
    page.drawImage(img, 0, 0);
    return page.getImageData(0, 0, img.naturalWidth, img.naturalHeight).data.some((v, i) => i % 4 === 3 && v < 255);
};
// Pictures of this server that are not there, or let the theme shine through.
window.badPictures = () => [...document.querySelectorAll('.jp-Notebook img')]
    .filter(e => e.src.startsWith('data:') || new URL(e.src).host === location.host)
    .filter(e => !e.naturalWidth || seeThrough(e)).map(e => e.alt || e.src.slice(0, 80));
"""
# Opens a chapter, the first with a new kernel, the others with the same.
OPEN = """async path => {
    const panel = await jupyterapp.commands.execute('docmanager:open', {path, kernel: window.kernel});
    await Promise.all([panel.context.ready, panel.revealed, panel.sessionContext.ready]);
    window.kernel = panel.sessionContext.session.kernel.model;
}"""
LABELLED = "e => e.closest('.widget-inline-hbox') !== null"
# Nothing of a chapter is left for the next one.
FORGET = "__import__('ipywidgets').Widget.close_all()\n__import__('torch').set_grad_enabled(True)\n%reset -fs"
CELLS = "() => jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.isVisible)"
# Selects cells by their numbers and runs them. The command's promise is kept when the last has run, or one has failed.
RUN = """async numbers => {
    const {currentWidget} = jupyterapp.shell, {content} = currentWidget;
    await currentWidget.sessionContext.ready;
    content.activeCellIndex = numbers[0];
    numbers.forEach(number => content.select(content.widgets[number]));
    const late = new Promise((_, no) => setTimeout(() => no(new Error('the cells run for 10 minutes')), 600_000));
    await Promise.race([jupyterapp.commands.execute('notebook:run-cell'), late]);
    const cells = content.widgets.map(cell => cell.model.toJSON());
    return cells.flatMap(cell => cell.outputs || []).filter(o => o.output_type === 'error').map(o => o.evalue);
}"""
# The text of each cell; of text cells nothing, so that only calls are found in it.
SOURCES = """() => jupyterapp.shell.currentWidget.content.widgets
    .map(({model}) => model.type === 'code' ? model.sharedModel.getSource() : '')"""
EXECUTE = """async code => {
    let printed = '';
    const future = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code});
    future.onIOPub = ({content, header}) => { if (header.msg_type === 'stream') printed += content.text; };
    const {content} = await future.done;
    return {printed, error: content.ename ? `${content.ename}: ${content.evalue}` : ''};
}"""

# Text of a chapter, and what stands there in this server: a shorter training, whose widgets are the same.
SHORTER = {
    "06": {
        '"epochs": 8': '"epochs": 4',
        '"log_every": 10': '"log_every": 5',  # as many rows in its log as of the whole training
        "channels=32, hfeb_blocks=3": "channels=16, hfeb_blocks=1",
        "assert gained > 1,": "assert gained > -9,",  # which is said of the whole training
    },
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def shorten(notebook: Path, changes: dict[str, str]) -> None:
    text = notebook.read_text(encoding="utf-8")
    for old, new in changes.items():
        old, new = (json.dumps(code)[1:-1] for code in (old, new))  # as it stands in the file
        assert text.count(old) == 1, f"{notebook.name} holds {old} {text.count(old)} times"
        text = text.replace(old, new)
    notebook.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that has a copy of the course, and settings of its own."""
    home = tmp_path_factory.mktemp("lab")
    for folder in ("notebooks", "figures", "data"):
        shutil.copytree(ROOT / folder, home / "course" / folder)
    for number, changes in SHORTER.items():
        shorten(next((home / "course" / "notebooks").glob(f"{number}_*.ipynb")), changes)
    with jupyterlab(home) as (address, token):
        yield address, token


def cells_to_run(cells: list[str]) -> list[int]:
    """The numbers of those that make a widget, and of all that these need."""
    return needed(cells, {number for number, cell in enumerate(cells) if CALLS.search(cell)})


@pytest.fixture(scope="module")
def page(lab, browser):
    """JupyterLab, without a chapter."""
    address, token = lab
    page = browser.new_page(viewport={"width": 1300, "height": 1600})
    page.set_default_timeout(60_000)
    page.add_init_script(HELPERS)
    # Nothing of the network is needed.
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(f"{address}/lab?token={token}")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget")  # the launcher
    page.evaluate("() => jupyterapp.restored.then(() => {})")
    yield page
    page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def chapter(request, page):
    """The number of a chapter, the page with it, and what went wrong when the cells that are needed were run there."""
    path = f"notebooks/{request.param.name}"
    page.evaluate(OPEN, path)
    page.wait_for_function("path => jupyterapp.shell.currentWidget?.context?.path === path", arg=path)
    number = request.param.stem[:2]
    yield number, page, page.evaluate(RUN, cells_to_run(page.evaluate(SOURCES)))
    assert not page.evaluate(EXECUTE, FORGET)["error"]
    page.evaluate("() => jupyterapp.shell.currentWidget.dispose()")


def test_what_was_needed_ran_and_all_pictures_are_there(chapter):
    _, page, errors = chapter
    assert not errors
    assert not page.evaluate("badPictures()")


def keys(control) -> tuple[list[str], list[str]]:
    """What to press to move a control from where it is, and to move it back.

    A menu has to be opened first: the arrows of a closed one belong to the notebook, and go to another cell.
    """
    return control.evaluate("""e => {
        const there_and_back = (a, b, last) => last ? [b, a] : [a, b];
        if (e.matches('.noUi-handle'))
            return there_and_back(['ArrowRight'], ['ArrowLeft'], e.ariaValueNow === e.ariaValueMax);
        if (e.matches('select'))
            return there_and_back(['Space', 'ArrowDown', 'Enter'], ['Space', 'ArrowUp', 'Enter'],
                                  e.selectedIndex === e.length - 1);
        if (e.matches('[data-grid]')) return [['ArrowRight'], ['ArrowLeft']];
        if (e.matches('[role=radio]')) return [['ArrowRight'], ['Space']];
        return [['Space'], ['Space']];
    }""")


def press(page, names: list[str]) -> None:
    for name in names:
        page.keyboard.press(name, delay=50)


def wait(page, condition: str, arguments: list) -> None:
    """Looks every 50 ms: to read all pictures in every frame, as is the default, takes more than a kernel does."""
    page.wait_for_function(condition, arg=arguments, polling=50)


def asleep(control) -> bool:
    return control.evaluate("e => Boolean(e.closest('[disabled]'))")


def move(page, box, control, sleeping: list) -> list[str]:
    """Moves a control by keyboard and back.

    In between come those controls that sleep in other states of this one, and are taken from the list.

    Returns:
        The names of all that were moved, in brackets what is special about one.
    """
    name = control.evaluate(
        "e => (e.closest('.widget-inline-hbox, [role=radiogroup]') ?? e).ariaLabel ?? "
        "e.closest('.widget-inline-hbox').innerText.split('\\n')[0]"
    )
    name = name.split(",")[0]
    if control.evaluate("e => e.length === 1 || e.matches('[role=radio]:only-of-type')"):
        return [f"{name} (one choice)"]
    if control.evaluate("e => e.matches('[role=radio]')"):
        control = control.element_handle()  # this choice: the locator asks for the chosen one, which is soon another
    widget = box.element_handle()
    text, images = widget.evaluate("e => [shown(e), drawn(e)]")
    there, back = keys(control)
    control.focus()
    others = []
    try:
        press(page, there)
        wait(page, "([e, text]) => shown(e) !== text", [widget, text])
        only_text = widget.evaluate("(e, images) => drawn(e) === images", images)
        for other in [other for other in sleeping if not asleep(other)]:
            sleeping.remove(other)
            others += move(page, box, other, sleeping)
        control.focus()
        press(page, back)
        wait(page, "([e, text]) => shown(e) === text", [widget, text])
    except sync_api.TimeoutError:
        pytest.fail(f"{name}: the picture did not change by {there}, or did not become what it was by {back}")
    return [f"{name} (words only)" if only_text else name, *others]


def upload(page, box, control, photograph: Path) -> str:
    """Uploads a photograph by keyboard; the name of the button."""
    widget, name = box.element_handle(), control.inner_text().split(" (")[0]
    text = widget.evaluate("shown")
    control.focus()
    with page.expect_file_chooser() as chooser:
        press(page, ["Space"])
    chooser.value.set_files(photograph)
    wait(page, "([e, text]) => shown(e) !== text", [widget, text])
    return name


def pull(page, handle) -> None:
    """By mouse, and on by keyboard: JupyterLab gives the keyboard to the cell, and has other plans with arrows."""
    handle.scroll_into_view_if_needed()
    box, before = handle.bounding_box(), page.evaluate(CELLS)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
    page.mouse.up()
    press(page, ["ArrowLeft", "ArrowLeft", "ArrowUp"])
    assert abs(handle.evaluate("e => e.value") - 24) <= 1
    assert page.evaluate(CELLS) == before, "another cell, or a folded section"


def test_every_widget_answers_the_keyboard(chapter, tmp_path, record_property):
    """Each control is moved and moved back: its picture changes, and becomes what it was."""
    number, page, _ = chapter
    cells, names = page.evaluate(SOURCES), []
    boxes = page.locator(".jp-OutputArea-output:has(.live-picture img)")
    for box in boxes.all():
        box.scroll_into_view_if_needed()
        at = box.evaluate("e => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].indexOf(e.closest('.jp-Cell'))")
        # The widget that this cell shows was made here, or in the nearest cell above that makes one.
        names.append(CALLS.findall("\n".join(cells[: at + 1]))[-1])
        for handle in box.locator("before-after").all():
            pull(page, handle)
        controls = [control for control in box.locator(CONTROLS).all() if control.evaluate(LABELLED)]
        controls += box.locator(PICKED).all()
        sleeping = [control for control in controls if asleep(control)]
        awake = [control for control in controls if control not in sleeping]
        moved = [name for control in awake for name in move(page, box, control, sleeping)]
        assert not sleeping, f"{names[-1]}: controls that no other control wakes"
        # Once, at the end: there is no way back from an upload.
        for control in box.locator(".widget-upload").all():
            write_png(portraits()["grace_hopper"], tmp_path / "hopper.png")
            moved.append(upload(page, box, control, tmp_path / "hopper.png"))
        record_property("widget", f"{number}  {names[-1]:24} {'; '.join(moved)}")
    assert {call for cell in cells for call in CALLS.findall(cell)} == set(names)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_texts_and_pictures_are_seen_in_each_theme(chapter, theme):
    """Of widgets after they were moved, too: a theme changes colours, and nothing that a control does."""
    _, page, _ = chapter
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {theme}")
    page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=str(theme == "Light").lower())
    assert not page.evaluate("faint()")
    assert not page.evaluate("badPictures()")
