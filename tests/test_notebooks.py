"""The chapters: `save:` cells equal the module, set-up cells equal each other, outputs are clean."""

import ast
import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
# Which files of the module a chapter builds, every definition of them. The others import only.
BUILT = {
    "01": {"degradation", "data", "frequency"},
    "02": {"style"},
    "03": {"cnn"},
    "04": {"transformer", "hfeb"},
    "05": {"losses"},
    "06": {"model", "train"},
    "07": {"metrics"},
}
DEFINITIONS = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


class Bare(ast.NodeTransformer):
    """Takes docstrings and annotations out of a syntax tree."""

    def visit_body(self, node):
        self.generic_visit(node)
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.visit_body(node)

    visit_ClassDef = visit_body

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        # A field of a dataclass is nothing without its annotation; elsewhere it only helps the reader.
        node.annotation = ast.Constant(None)
        return node


def definitions(text: str) -> dict[str, list[str]]:
    """Name -> the bare syntax tree of each top-level definition of that name."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, DEFINITIONS):
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            name = getattr(targets[0], "name", None) or ast.unparse(getattr(targets[0], "target", targets[0]))
            found.setdefault(name, []).append(ast.dump(Bare().visit(node)))
    return found


def saved(path: Path) -> dict[str, dict[str, list[str]]]:
    """File of the module -> the definitions that the chapter saves to it."""
    files: dict[str, dict[str, list[str]]] = {}
    for cell in code_cells(path):
        for tag in tags(cell):
            if tag.startswith("save:elsface_lite."):
                for name, versions in definitions(source(cell)).items():
                    files.setdefault(tag.removeprefix("save:elsface_lite."), {}).setdefault(name, []).extend(versions)
    return files


@chapters
def test_saved_cells_equal_the_module(path):
    """Equal syntax trees, nothing missing, no name in two versions."""
    files = saved(path)
    built = BUILT.get(path.stem[:2], set())
    assert files.keys() >= built, f"no save: cell for {built - files.keys()}"
    for file, cells_ in files.items():
        module = definitions((ROOT / "elsface_lite" / f"{file}.py").read_text(encoding="utf-8"))
        for name, versions in cells_.items():
            assert len(versions) == 1, f"{name} is saved in {len(versions)} versions"
            assert name in module, f"{name} is saved, but is not in {file}.py"
            assert versions == module[name], f"{name} differs between the chapter and {file}.py"
        if file in built:
            assert not module.keys() - cells_.keys(), f"not shown in the chapter: {module.keys() - cells_.keys()}"


def test_the_gate_sees_a_difference():
    """The comparison itself: annotations and docstrings are let through, a changed constant is not."""
    plain = definitions("def f(x):\n    return x + 1")
    assert definitions('def f(x: int) -> int:\n    """Adds."""\n    return x + 1') == plain
    assert definitions("def f(x):\n    return x + 2") != plain
    assert definitions("def f(x, y):\n    return x + 1") != plain


@chapters
def test_chapter_imports_nothing_of_later_chapters(path):
    number = path.stem[:2]
    if number in {"00", "08", "09"}:
        pytest.skip("a tour of the finished module")
    later = {file for chapter, files in BUILT.items() if chapter > number for file in files}
    for cell in code_cells(path):
        imported = re.findall(r"from elsface_lite\.(\w+)|import elsface_lite\.(\w+)", source(cell))
        assert not {a or b for a, b in imported} & later


def test_one_setup_cell():
    """The same in every chapter, the first code cell, with the version and the address that pyproject.toml names."""
    assert NOTEBOOKS
    setups = {source(code_cells(path)[0]) for path in NOTEBOOKS}
    assert len(setups) == 1
    assert all("setup" in tags(code_cells(path)[0]) for path in NOTEBOOKS)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version, repository = (re.search(rf'^{key} = "(.*)"', project, re.M)[1] for key in ("version", "Repository"))
    (setup,) = setups
    assert f"git+{repository}@v{version}" in setup
    assert not re.search(r"\btorch\b(?! stays)", setup)


class Shell:
    """What IPython offers to a set-up cell, and notes what it is asked."""

    def __init__(self) -> None:
        self.magics: list[tuple[str, str]] = []

    def run_line_magic(self, name: str, line: str) -> None:
        self.magics.append((name, line))


@pytest.mark.parametrize("colab", [True, False])
def test_setup_cell_installs_on_colab_only(colab, monkeypatch):
    import sys
    import types

    from IPython.core.inputtransformer2 import TransformerManager

    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    shell = Shell()
    text = TransformerManager().transform_cell(source(code_cells(NOTEBOOKS[0])[0]))
    exec(compile(text, "setup", "exec"), {"get_ipython": lambda: shell})
    installs = [line for name, line in shell.magics if name == "pip"]
    assert len(installs) == (2 if colab else 0)
    assert not colab or any("elsface-lite" in line for line in installs)


@chapters
def test_badge_opens_this_notebook(path):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    repository = re.search(r'^Repository = "https://github.com/(.*)"', project, re.M)[1]
    version = re.search(r'^version = "(.*)"', project, re.M)[1]
    address = f"https://colab.research.google.com/github/{repository}/blob/v{version}/notebooks/{path.name}"
    assert address in source(cells(path)[0])


@chapters
def test_clean_outputs(path):
    """Executed, without errors, machine paths, widget state or debris of progress bars; small enough for GitHub."""
    assert path.stat().st_size < 500_000
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert "widgets" not in notebook["metadata"]
    for cell in code_cells(path):
        assert cell["execution_count"], f"never executed: {source(cell)[:60]}"
        assert "execution" not in cell["metadata"]
        for output in cell["outputs"]:
            assert output["output_type"] != "error" or "raises-exception" in tags(cell)
            text = json.dumps(output.get("text", "")) + json.dumps(output.get("data", {}).get("text/plain", ""))
            assert output.get("name") != "stderr", f"stderr: {text[:200]}"
            assert not re.search(r"/(?:home|Users|root|work|tmp)/|\d+%\|", text), text[:200]


@chapters
def test_size_of_a_chapter(path):
    """What a reader can follow: reference values in CONTRIBUTING.md."""
    words = sum(len(source(cell).split()) for cell in cells(path) if cell["cell_type"] == "markdown")
    assert 60 <= len(cells(path)) <= 110
    assert 1_200 <= words <= 4_000
    longest = max(len(source(cell).splitlines()) for cell in code_cells(path))
    assert longest <= 20, f"a code cell of {longest} lines"


@chapters
def test_pictures_have_alt_text(path):
    for cell in cells(path):
        for alt in re.findall(r"!\[(.*?)\]\(", source(cell)):
            assert len(alt) > 20 or "badge" in source(cell), f"alt text: {alt!r}"
        for output in cell.get("outputs", []):
            assert "image/png" not in output.get("data", {}), "a bare PNG output has no alt text: use plots.show"
            page = "".join(output.get("data", {}).get("text/html", ""))
            for image in re.findall(r"<img[^>]*>", page):
                assert re.search(r'alt="[^"]{20,}"', image), image[:100]


@chapters
def test_links_resolve(path):
    for cell in cells(path):
        if cell["cell_type"] != "markdown":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", source(cell)):
            if not target.startswith(("http", "#", "mailto:")):
                file = path.parent / unquote(target.split("#")[0])
                assert file.exists(), f"{target} does not exist"


@chapters
def test_exercises(path):
    """At least three, each with a check, and a folded solution."""
    text = "\n".join(source(cell) for cell in cells(path) if cell["cell_type"] == "markdown")
    for level in ("easy", "medium", "hard"):
        assert re.search(rf"Exercise.*{level}", text, re.IGNORECASE), f"no {level} exercise"
    folded = [cell for cell in code_cells(path) if "solution" in tags(cell)]
    assert len(folded) >= 3
    assert all(cell["metadata"].get("jupyter", {}).get("source_hidden") for cell in folded)
