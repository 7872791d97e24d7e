"""Takes the README's picture of a widget, in a real JupyterLab in headless Chromium: `python figures/widget.py`."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat

from elsface_lite.files import whole_file

FIGURES = Path(__file__).parent
sys.path.insert(0, str(FIGURES.parent / "tests"))
from browsers import chromium, jupyterlab  # noqa: E402 (tests have it, and are no package)

CELL = """\
from elsface_lite import load_pretrained
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.widgets import degradation_explorer

degradation_explorer(load_pretrained("lite-x4"), portrait_faces())"""


def take(page: Any, address: str, token: str) -> None:
    """Runs the cell in a page, and takes its picture when the faces are there."""
    page.set_default_timeout(300_000)
    page.goto(f"{address}/lab/tree/start.ipynb?token={token}")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.ready")
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".jp-OutputArea-output img")
    with whole_file(FIGURES / "widget.png") as beside:
        page.locator(".jp-Notebook .jp-Cell").first.screenshot(path=beside, type="png")


def main() -> None:
    home = TemporaryDirectory()
    with home as folder, jupyterlab(write_notebook(Path(folder))) as (address, token), chromium() as browser:
        take(browser.new_page(viewport={"width": 1000, "height": 1200}), address, token)


def write_notebook(home: Path) -> Path:
    """A notebook of one cell, home/course/start.ipynb; returns `home`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (home / "course").mkdir()
    (home / "course" / "start.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return home


if __name__ == "__main__":
    main()
