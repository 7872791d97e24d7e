"""Chapters where nothing is as at home: a read-only checkout whose path has spaces and umlauts, no home, no network.

In `make test` a quick one; `make notebooks-hostile` runs all of them. `pytest -s` prints what was done.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chapters import NOTEBOOKS, code_cells, source
from conftest import ROOT, uncounted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="folders are closed, and the network is cut, as on Linux"),
]
CHAPTERS = NOTEBOOKS if os.environ.get("HOSTILE") == "all" else NOTEBOOKS[:1]
# In namespaces of its own, the checkout is mounted read-only, and of the network only a loopback is left: root or not.
CLOSED = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ip link set lo up || exit 99
! touch "$0/x" 2> /dev/null || exit 99
exec "$@"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """What of the project a reader has."""
    folder = tmp_path_factory.mktemp("Bücher und Übungen") / "elsface lite"
    for name in ("elsface_lite", "notebooks", "data", "figures", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for path in [*folder.rglob("*"), folder]:
        path.chmod(path.stat().st_mode & ~0o222)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def in_hostile_place(checkout: Path, temporary: Path, *command: str) -> subprocess.CompletedProcess:
    """Runs a command in the notebooks' folder; the only place that can be written is the one for temporary files."""
    nowhere = "http://127.0.0.1:9"
    homes = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "IPYTHONDIR", "TORCH_HOME")
    environment = uncounted() | {name: str(checkout / "no such home") for name in homes}
    environment |= {"TMPDIR": str(temporary), "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    namespaces = ["unshare", "--mount", "--net", *["--map-root-user"] * bool(os.getuid())]
    closed = [*namespaces, "sh", "-c", CLOSED, str(checkout), *command]
    settings = dict(cwd=checkout / "notebooks", env=environment, capture_output=True, encoding="utf-8", timeout=1800)
    done = subprocess.run(closed, **settings)
    if done.returncode != 99 and "unshare" not in done.stderr:
        return done
    if not os.getuid():
        pytest.skip("as root, and without namespaces, no folder can be made read-only")
    return subprocess.run(command, **settings)  # the folders' modes and the proxy that is none have to do


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_read_only_without_home_and_network(checkout, tmp_path, path):
    """Also after a kernel that was killed halfway, whose files lie about.

    And afterwards, every check of an exercise has a helpful line for nine answers of the wrong kind.
    """
    program = str(Path(__file__).with_name("hostile_chapter.py"))
    for how in (["--restarted"], []):
        done = in_hostile_place(checkout, tmp_path, sys.executable, program, path.name, *how)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    hints = {(check, answer): told for check, answers in found["hints"].items() for answer, told in answers.items()}
    unhelped = {question: told for question, told in hints.items() if not told or told.startswith("UNHELPED")}
    print(f"{path.stem}: {found['cells'] // 2} cells, and all {found['cells']} from the top;", end=" ")
    print(f"{len(hints)} wrong answers, {len(unhelped)} without a hint")
    assert len(hints) >= 27
    assert not unhelped


def test_a_kernel_restarted_halfway_says_what_is_missing():
    """The middle cell of each chapter by itself: a plain NameError, which names what an earlier cell makes."""
    said, how = {}, dict(capture_output=True, encoding="utf-8", timeout=60, cwd=ROOT, env=uncounted())
    for path in NOTEBOOKS:
        cells = [source(cell) for cell in code_cells(path)]
        for code in cells[len(cells) // 2 :]:
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, **how)
            if done.returncode:
                break
        said[path.stem[:2]] = done.stderr.splitlines()[-1]
    print(f"{len(said)} kernels restarted: {said}")
    assert all(line.startswith("NameError: name '") for line in said.values())
