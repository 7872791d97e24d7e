"""How far is a widget behind the hand that pulls it?

    python benchmarks/widgets.py    # writes widgets.csv; make bench-widgets puts it into the page

Opens the widgets of the course in a JupyterLab in headless Chromium, and takes everything that can be pulled: sliders,
handles on a picture, and places in it. First it is moved step by step, and each redraw is waited for; so again on the
way back, where what was seen is remembered; then it is pulled from end to end as fast as a hand does, without waiting.
A redraw is a frame that has a new picture, decoded: a move that changes two pictures may bring two. The kernel has one
thread.
"""

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from timing import write_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from browsers import chromium, jupyterlab, run_notebook, write_notebook

MOVES = 60  # of a pull, one a frame
STEPS = 12  # that are waited for, each way
FRAME = 1000 / 60  # ms
SET_UP = """\
from elsface_lite import load_pretrained, portraits
from elsface_lite.course import widgets
from elsface_lite.course.faces import portrait_faces

model, faces = load_pretrained("lite-x4"), portrait_faces()
face = faces["astronaut"][None]"""
WIDGETS = {
    "00 degradation_explorer": "widgets.degradation_explorer(model, faces)",
    "01 frequency_explorer": "widgets.frequency_explorer(face)",
    "02 style_mixer": "widgets.style_mixer(model, faces)",
    "03 receptive_field_explorer": "widgets.receptive_field_explorer(model, face)",
    "04 attention_explorer": "widgets.attention_explorer(model, faces)",
    "05 sharpening_explorer": "widgets.sharpening_explorer(face)",
    "07 metric_explorer": "widgets.metric_explorer(face)",
    "09 sharpness_explorer": 'widgets.sharpness_explorer(model, load_pretrained("lite-x4-gan"), faces)',
    "10 blind_preview": """\
preview = widgets.blind_preview(face[0], {"lab weights": model})
preview.controls["noise"].value = 10  # otherwise the seed has nothing to draw
preview""",
    "10 photo_restorer": "widgets.photo_restorer(model, portraits())",
}
PULLED = ".noUi-target:not([disabled]) .noUi-handle-lower, before-after, [data-grid]"
# Notes when the pointer moved, and when a picture of the widget was drawn anew.
WATCH = """box => {
    const pictures = [...box.querySelectorAll('.live-picture')];
    const handles = [...box.querySelectorAll('before-after')].map(e => e.frame);
    window.redraws = new Map(); // by frame
    window.addEventListener('pointermove', event => { window.moved = event.timeStamp; }, true);
    const drawn = async () => {
        await Promise.all(pictures.flatMap(e => [...e.querySelectorAll('img')]).map(e => e.decode().catch(() => {})));
        requestAnimationFrame(frame => redraws.set(frame, performance.now()));
    };
    const observer = new MutationObserver(drawn), everything = {attributes: true, childList: true, subtree: true};
    for (const e of [...pictures, ...handles]) observer.observe(e, {...everything, characterData: true});
}"""
BEHIND = """async () => {
    for (const end = moved + 3000; performance.now() < end; await new Promise(requestAnimationFrame)) {
        const drawn = [...redraws.values()].find(time => time > moved);
        if (drawn) return drawn - moved;
    }
}"""  # nothing if the picture stays as it is
NAME = """e => e.closest('.widget-inline-hbox')?.querySelector('.widget-label').textContent
    ?? (e.matches('before-after') ? 'handle on the picture' : 'place in the picture')"""


def way(control: Any) -> tuple[float, float, float, float]:
    """Where a control is taken, and over which part of the page it can be pulled: x, y, from x, to x."""
    mine = control.bounding_box()
    y = mine["y"] + mine["height"] / 2
    if control.evaluate("e => e.matches('.noUi-handle')"):
        track = control.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]").bounding_box()
        return mine["x"] + mine["width"] / 2, y, track["x"], track["x"] + track["width"]
    # Of a picture its left half: beyond the middle of a spectrum come the same frequencies again.
    start, end = (mine["x"] + share * mine["width"] for share in (0.05, 0.45))
    return start, y, start, end


def behind(page: Any, control: Any, y: float, places: list[float]) -> Iterator[float]:
    """Milliseconds from a move to its redraw, of each that changes the picture."""
    state = "e => e.value ?? e.ariaValueText"  # none of a place in a picture, which every move changes
    for x in places:
        before = control.evaluate(state)
        page.mouse.move(x, y)
        if before is None or control.evaluate(state) != before:
            waited = page.evaluate(BEHIND)
            if waited is not None:
                yield waited


def pull(page: Any, control: Any) -> dict[str, Any]:
    """Redraws while it is pulled, and how far each step is behind: nothing if no step was redrawn."""
    control.scroll_into_view_if_needed()
    x, y, start, end = way(control)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(start, y)
    page.wait_for_timeout(1000)
    there = [start + (end - start) * step / STEPS for step in range(1, STEPS + 1)]
    first, again = (list(behind(page, control, y, places)) for places in (there, [*there[-2::-1], start]))
    page.wait_for_timeout(1000)
    page.evaluate("redraws.clear()")
    for step in range(1, MOVES + 1):
        page.mouse.move(start + (end - start) * step / MOVES, y)
        page.wait_for_timeout(FRAME)
    redraws = page.evaluate("redraws.size")
    page.mouse.up()
    return {
        f"redraws in {MOVES} moves": redraws,
        "behind, first, ms": statistics.median(first) if first else "",
        "behind, again, ms": statistics.median(again) if again else "",
    }


def main() -> None:
    cells, rows = [SET_UP, *WIDGETS.values()], []
    with (
        TemporaryDirectory() as folder,
        jupyterlab(write_notebook(Path(folder), cells)) as (address, token),
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1366, "height": 1600})
        run_notebook(page, address, token)
        page.wait_for_timeout(5000)  # until the last widget is drawn
        for cell, name in enumerate(WIDGETS, start=1):
            box = page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea-output")
            box.evaluate(WATCH)
            for control in box.locator(PULLED).all():
                rows.append({"widget": name, "pulled": control.evaluate(NAME)} | pull(page, control))
    write_table(__file__, rows, threads=1)


if __name__ == "__main__":
    main()
