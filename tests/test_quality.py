"""Style, types and spelling of everything that is tracked, or would be."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT, project_files, uncounted

PROSE = (".md", ".py", ".ipynb", ".toml", ".cff", ".yml")


def said_by(*command: str) -> str:
    """What a tool complains of: "" if it is content."""
    command = (sys.executable, "-m", *command)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=uncounted())
    return (done.stdout + done.stderr)[-3000:] if done.returncode else ""


def test_ruff_finds_nothing():
    """Notebooks included."""
    assert not said_by("ruff", "check", "--quiet", ".")


def test_code_is_formatted():
    assert not said_by("ruff", "format", "--check", "--quiet", ".")


# The flags of `mypy --strict` that can be set for one file.
STRANGER = """\
# mypy: check-untyped-defs, disallow-any-generics, disallow-incomplete-defs, disallow-subclassing-any
# mypy: disallow-untyped-calls, disallow-untyped-decorators, disallow-untyped-defs, extra-checks, strict-equality
# mypy: warn-return-any, warn-unused-ignores
import torch
import elsface_lite as ef

model = ef.ELSFace(ef.ELSFaceConfig.lite(channels=48))
ef.ELSFaceConfig.lite(chanels=48)
number: int = ef.psnr(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
ef.TrainConfig.paper(epochs="3")
ef.metrics.ssim()
"""


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> list[tuple[str, str, str]]:
    """File, line and error: all that mypy finds in the package and in a stranger's script, which it reads in one run.

    To read PyTorch is most of the work.
    """
    script = tmp_path_factory.mktemp("stranger") / "script.py"
    script.write_text(STRANGER, encoding="utf-8")
    said = said_by("mypy", "elsface_lite", str(script))
    assert re.search(r"^Found \d+ errors? in \d+ files? \(checked \d{2,} source files\)$", said, re.MULTILINE), said
    return re.findall(r"^(.+?):(\d+): error: (.*)$", said, re.MULTILINE)


@pytest.mark.slow
def test_types_of_the_package_fit(errors):
    assert not [error for error in errors if not error[0].endswith("script.py")]


@pytest.mark.slow
def test_a_stranger_sees_types(errors):
    """Under the flags of --strict a script that uses the package has errors where it is wrong, and nowhere else."""
    found = {line: error for file, line, error in errors if file.endswith("script.py")}
    assert found.keys() == {"8", "9", "10", "11"}, found
    assert 'Unexpected keyword argument "chanels"' in found["8"]


def test_spelling():
    files = [name for name in project_files() if name.endswith(PROSE)]
    assert len(files) > 100
    assert not said_by("codespell_lib", *files)


@pytest.mark.parametrize(
    ("tool", "name", "text"),
    [
        (["ruff", "check"], "unused.py", "import os\n"),
        (["ruff", "check"], "unused.ipynb", '{"cells": [{"cell_type": "code", "source": ["import os"]}]}'),
        (["ruff", "format", "--check"], "wide.py", "x  =  1\n"),
        (["mypy"], "wrong.py", "def f(x: int) -> str:\n    return x\n"),
        (["codespell_lib"], "typo.md", "A face was " + "reci" + "eved.\n"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith((".py", ".md", ".ipynb")) else "",
)
def test_the_gates_see_a_fault(tool, name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert name in said_by(*tool, str(tmp_path / name))
