"""What tests in a browser share: Chromium, a server for a folder, and JupyterLab."""

import http.server
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest


@contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """A headless browser of playwright, or a skip that says what is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
        path = next(found, playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("no browser test: apt install chromium, or playwright install chromium")
        # Without its sandbox Chromium runs as root, too, as in a container.
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *options])


# By how many pixels a page can be scrolled sideways, or that in it which holds all its content.
SIDEWAYS = """() => Math.max(...[...document.querySelectorAll('html, body, main, .content')].map((element) =>
    element.scrollWidth - element.clientWidth))"""
# How many texts are shown, and which of them are faint: their contrast with the ground, which is all that lies behind
# them, layer on layer, is below 4.5 (WCAG 2.2, AA).
FAINT = """() => {
    const brush = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true}), seen = {};
    const rgba = (colour) => seen[colour] ??= (brush.clearRect(0, 0, 1, 1), brush.fillStyle = colour,
        brush.fillRect(0, 0, 1, 1), [...brush.getImageData(0, 0, 1, 1).data].map((value) => value / 255));
    const over = ([r, g, b, a], ground) => [r, g, b].map((value, i) => value * a + ground[i] * (1 - a));
    const linear = (value) => value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
    const ground = (element) => element
        ? over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [1, 1, 1];
    const texts = [...document.querySelectorAll('body *')].filter((element) =>
        [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
        && element.checkVisibility({opacityProperty: true, visibilityProperty: true}));
    const faint = texts.filter((element) => {
        const behind = ground(element), text = over(rgba(getComputedStyle(element).color), behind);
        const ratio = light(text) / light(behind);
        return Math.max(ratio, 1 / ratio) < 4.5;
    });
    return [texts.length, faint.map((element) => element.innerText)];
}"""


def watch(page: Any) -> None:
    """From now on the page keeps the addresses that it asks for, and what it or its console has to complain of."""
    page.asked, page.errors = [], []
    page.context.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))


def asked_of_others(page: Any, address: str) -> list[str]:
    """What a watched page has asked for that is not below this address."""
    return [url for url in page.asked if not url.startswith((address, "blob:", "data:"))]


def assert_it_fits(page: Any) -> None:
    """Nothing to scroll sideways but what does so by itself, as a wide table."""
    assert page.evaluate(SIDEWAYS) == 0, f"{page.url} at {page.viewport_size['width']} pixels"


def assert_it_is_legible(page: Any) -> None:
    """Every text can be read, light and dark."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # the colours change at once
        texts, faint = page.evaluate(FAINT)
        assert texts > 5 and not faint, f"{page.url}, {theme}: {faint}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, as a plain web server gives it: no header but what the files say."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def jupyterlab(home: Path) -> Iterator[tuple[str, str]]:
    """The address and the token of a JupyterLab that serves home/course, and keeps to `home` with all it has."""
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells far away are in the page, too
    }
    for name, content in settings.items():
        file = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "COVERAGE"))}
    environment = inherited | {
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": f"{home}/config",
        "JUPYTER_DATA_DIR": f"{home}/data",
        "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
        "JUPYTERLAB_SETTINGS_DIR": f"{home}/settings",
        "JUPYTERLAB_WORKSPACES_DIR": f"{home}/workspaces",
        "IPYTHONDIR": f"{home}/ipython",
        "OMP_NUM_THREADS": "1",
    }
    options = ["--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={home}/course"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, cwd=home, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        yield address, token
    finally:
        server.terminate()
        server.wait(30)


def write_notebook(home: Path, cells: list[str]) -> Path:
    """A notebook, home/course/start.ipynb, for `jupyterlab`; returns `home`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (home / "course").mkdir()
    (home / "course" / "start.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return home


def run_notebook(page: Any, address: str, token: str) -> None:
    """Opens what `write_notebook` wrote, and runs it."""
    page.set_default_timeout(300_000)
    page.goto(f"{address}/lab/tree/start.ipynb?token={token}")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.ready")
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
