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
