"""The README and the pages that it leads to: short, of the present chapters, with commands and code that run."""

import re
import shlex
import shutil
import tomllib

import pytest
from chapters import NOTEBOOKS, cells, source
from conftest import ROOT
from programs import program

from elsface_lite.cli.main import _parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/install.md", "docs/program.md", "docs/photographs.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def code(page: str, language: str = "") -> list[str]:
    """The blocks of code of a page that say this language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in blocks if named == language]


def commands(page: str) -> list[str]:
    lines = [line for block in code(page) for line in block.splitlines()]
    return [line for line in lines if line.startswith("elsface-lite ")]


def minutes(path) -> str:
    """What the chapter's first cell says a reader takes."""
    return re.search(r"[Aa]bout (\d+) minutes", source(cells(path)[0]) + source(cells(path)[1]))[1]


def test_it_is_read_in_a_minute():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_is_linked_here_and_in_colab_with_its_minutes(path):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [{path.stem[:2]} ")]
    repository = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    assert f"(notebooks/{path.name})" in row
    assert (
        f"(https://colab.research.google.com/github/{repository}/blob/v{PROJECT['version']}/notebooks/{path.name})"
        in row
    )
    assert f"| {minutes(path)} |" in row, f"{path.name} says {minutes(path)} minutes"


def test_the_chapters_are_twelve():
    assert re.findall(r"^\| \[(\d\d) ", README, re.MULTILINE) == [f"{number:02}" for number in range(12)]


@pytest.mark.parametrize("page", PAGES)
def test_it_is_installed_from_the_repository(page):
    for address in re.findall(r"git\+(\S+?)[\"`\s]", (ROOT / page).read_text(encoding="utf-8")):
        assert address == PROJECT["urls"]["Repository"]


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page)])
def test_the_program_understands(line):
    words = shlex.split(line, comments=True)[1:]
    assert _parser(words[:1]).parse_args(words).run


def test_commands_are_found():
    assert len(commands("docs/program.md")) > 10 and len(commands("README.md")) > 2


@pytest.mark.slow
def test_the_snippet_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "figures" / "portrait", tmp_path / "figures" / "portrait")
    monkeypatch.chdir(tmp_path)
    (snippet,) = code("README.md", "python")
    exec(compile(snippet, "README.md", "exec"), {"__name__": "snippet"})
    bicubic, restored = map(float, re.findall(r"([\d.]+) dB", capsys.readouterr().out))
    assert bicubic + 1 < restored
    assert (tmp_path / "restored.png").is_file()


def test_badges_say_what_is_so(tmp_path):
    badges = program("figures/badges.py")
    badges.main(tmp_path)
    for path in tmp_path.iterdir():
        committed = (ROOT / "figures" / "badges" / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == committed, "python figures/badges.py"
        assert f"figures/badges/{path.name}" in README


def test_reliability_names_tests_that_are_there():
    named = re.findall(r"`(\w+/test_\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 8
    assert all((ROOT / "tests" / f"{name}.py").is_file() for name in named)
