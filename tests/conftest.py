"""Fixtures that several tests share. What lies beside the project in ../shared is used where it is present."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def shared(path: str) -> Path:
    """A file of ../shared, or a skip that says what is missing."""
    if not (SHARED / path).exists():
        pytest.skip(f"../shared/{path} is not here")
    return SHARED / path


def project_files() -> list[str]:
    """Tracked files and new ones, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def uncounted() -> dict[str, str]:
    """The environment for a program whose branches need not be counted, which takes its time: a tool, a kernel."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> Path:
    """24 squares of the astronaut's photograph, as files."""
    import skimage.data

    folder = tmp_path_factory.mktemp("faces")
    photo, random = skimage.data.astronaut(), np.random.default_rng(0)
    for i in range(24):
        y, x = random.integers(0, 512 - 128, 2)
        Image.fromarray(photo[y : y + 128, x : x + 128]).save(folder / f"{i:02}.png")
    return folder


# A file is one piece of work for one process. Those that take longest start first, in this order, so that both end
# together.
LONGEST = (
    "test_browser", "test_docs", "test_export", "test_long_work", "test_under_fire", "test_run", "test_web",
    "test_quality", "test_modules", "test_photographs",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def pytest_terminal_summary(terminalreporter):
    """What test_browser.py moved, a line for each widget."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [line for report in reports for name, line in report.user_properties if name == "widget"]
    if lines:
        terminalreporter.section("controls moved by keyboard in JupyterLab, each of which changed its picture")
        terminalreporter.write_line("\n".join(sorted(lines)))


@pytest.fixture(params=[1, 3], ids=["one lane", "three lanes"])
def lanes(request: pytest.FixtureRequest) -> Iterator[int]:
    """As many lanes (`lanes.in_lanes`), whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == request.param, "threads made later have fewer"
    torch.set_num_threads(before)
