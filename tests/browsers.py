"""What tests in a browser share: Chromium, and a server for a folder."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

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
