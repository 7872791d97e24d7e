"""Style, types and spelling of everything that is tracked, or would be."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, project_files

PROSE = (".md", ".py", ".ipynb", ".toml", ".cff", ".yml")


def said_by(*command: str) -> str:
    """What a tool complains of: "" if it is content."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    return (done.stdout + done.stderr)[-3000:] if done.returncode else ""


def test_ruff_finds_nothing():
    """Notebooks included."""
    assert not said_by("ruff", "check", "--quiet", ".")


def test_code_is_formatted():
    assert not said_by("ruff", "format", "--check", "--quiet", ".")


@pytest.mark.slow
def test_types_of_the_package_fit():
    assert not said_by("mypy")


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


STRANGER = """
import torch
import elsface_lite as ef

model = ef.ELSFace(ef.ELSFaceConfig.lite(channels=48))
ef.ELSFaceConfig.lite(chanels=48)
number: int = ef.psnr(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
ef.TrainConfig.paper(epochs="3")
ef.metrics.ssim()
"""


@pytest.mark.slow
def test_a_stranger_sees_types(tmp_path):
    """Under mypy --strict a script that uses the package has errors where it is wrong, and nowhere else."""
    (tmp_path / "script.py").write_text(STRANGER, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "script.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"MYPYPATH": str(ROOT)}
    )
    errors = dict(re.findall(r"^script.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE))
    assert errors.keys() == {"6", "7", "8", "9"}, done.stdout
    assert 'Unexpected keyword argument "chanels"' in errors["6"]
