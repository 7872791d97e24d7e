"""Takes the README's moving picture of a widget, in a JupyterLab in headless Chromium: `python figures/widget.py`."""

import math
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from elsface_lite.files import whole_file

FIGURES = Path(__file__).parent
sys.path.insert(0, str(FIGURES.parent / "tests"))
from browsers import chromium, jupyterlab, run_notebook, write_notebook  # noqa: E402 (tests have it, and are no package)

STEPS = 24  # frames a face
CELL = """\
from elsface_lite import load_pretrained
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.widgets import degradation_explorer

degradation_explorer(load_pretrained("lite-x4"), portrait_faces())"""


def take(page: Any, address: str, token: str) -> list[Image.Image]:
    """Runs the cell in a page, moves the handle there and back, chooses the other face, and moves it again."""
    run_notebook(page, address, token)
    cell, handle = page.locator(".jp-Notebook .jp-Cell").first, page.locator("before-after")
    handle.wait_for()
    frames = []
    for face in page.get_by_role("radio").all():
        face.click()
        page.wait_for_function("e => e.ariaChecked === 'true'", arg=face.element_handle())
        page.wait_for_timeout(500)  # until the pictures are decoded
        for step in range(STEPS):
            handle.evaluate("(e, value) => { e.value = value; }", 50 + 40 * math.sin(2 * math.pi * step / STEPS))
            frames.append(Image.open(BytesIO(cell.screenshot())).convert("RGB"))
    return frames


def main() -> None:
    home = TemporaryDirectory()
    with home as folder, jupyterlab(write_notebook(Path(folder), [CELL])) as (address, token), chromium() as browser:
        first, *others = take(browser.new_page(viewport={"width": 1080, "height": 1200}), address, token)
    with whole_file(FIGURES / "widget.webp") as beside:
        first.save(beside, "WEBP", save_all=True, append_images=others, duration=90, loop=0, quality=80, method=6)


if __name__ == "__main__":
    main()
