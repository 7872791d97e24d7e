"""The chapters: `save:` cells equal the module, set-up cells equal each other, outputs are clean."""

import ast
import json
import re
from pathlib import Path

import pytest
from chapters import BUILT, EXCERPTS, NOTEBOOKS, cells, chapters, code_cells, source, tags
from conftest import ROOT

from elsface_lite.course.widgets.pictures import handle

# What a chapter needs of a later one: a training is measured by PSNR, whose conventions chapter 07 opens.
NEEDED_EARLY = {"06": {"metrics.image"}}
DEFINITIONS = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


class Bare(ast.NodeTransformer):
    """Takes docstrings and annotations out of a syntax tree."""

    def visit_body(self, node):
        self.generic_visit(node)
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def __init__(self):
        self.functions = 0  # how many definitions of functions surround a node

    def visit_FunctionDef(self, node):
        node.returns = None
        self.functions += 1
        node = self.visit_body(node)
        self.functions -= 1
        return node

    visit_ClassDef = visit_body

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        # A field of a dataclass is nothing without its annotation; within a function it only helps the reader.
        if self.functions and node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        node.annotation = ast.Constant(None)
        return node


def definitions(text: str) -> dict[str, list[str]]:
    """Name -> the bare syntax tree of each top-level definition of that name.

    A class counts as many: itself with its fields and all that is no method, and each method by itself, as
    `Class.method`. So a chapter may show a long class in pieces: a function under `@part_of(Class)` is its method.
    """
    found: dict[str, list[str]] = {}

    def add(name: str, node: ast.AST) -> None:
        found.setdefault(name, []).append(ast.dump(node))

    for node in ast.parse(text).body:
        if not isinstance(node, DEFINITIONS):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        name = getattr(targets[0], "name", None) or ast.unparse(getattr(targets[0], "target", targets[0]))
        node = Bare().visit(node)
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    add(f"{name}.{method.name}", method)
            # Beside its methods a class needs no body: whether `pass` stands for one is no difference.
            node.body = [part for part in node.body if not isinstance(part, ast.FunctionDef | ast.Pass)]
        elif isinstance(node, ast.FunctionDef) and (owner := owner_of(node)):
            node.decorator_list = node.decorator_list[1:]
            name = f"{owner}.{name}"
        add(name, node)
    return found


def owner_of(function: ast.FunctionDef) -> str | None:
    """The class named by `@part_of(Class)`, if that is the function's outermost decorator."""
    match function.decorator_list:
        case [ast.Call(func=ast.Name("part_of"), args=[ast.Name(owner)], keywords=[]), *_]:
            return owner
    return None


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
    """Equal syntax trees, nothing missing of what the chapter is to show, no name in two versions."""
    files = saved(path)
    built = BUILT.get(path.stem[:2], set())
    assert files.keys() >= built, f"no save: cell for {built - files.keys()}"
    for file, cells_ in files.items():
        module = definitions((ROOT / "elsface_lite" / f"{file.replace('.', '/')}.py").read_text(encoding="utf-8"))
        for name, versions in cells_.items():
            assert len(versions) == 1, f"{name} is saved in {len(versions)} versions"
            assert name in module, f"{name} is saved, but is not in {file}.py"
            assert versions == module[name], f"{name} differs between the chapter and {file}.py"
        if file in built:
            missing = EXCERPTS.get(file, module.keys()) - cells_.keys()
            assert not missing, f"not shown in the chapter: {missing}"


def test_the_gate_sees_a_difference():
    """The comparison itself: annotations and docstrings are let through, a changed constant is not."""
    plain = definitions("def f(x):\n    return x + 1")
    assert definitions('def f(x: int) -> int:\n    """Adds."""\n    return x + 1') == plain
    assert definitions("def f(x):\n    return x + 2") != plain
    assert definitions("def f(x):\n    y: int = x") == definitions("def f(x):\n    y = x")
    assert definitions("class C:\n    y: int = 1") != definitions("class C:\n    y = 1")
    assert definitions("def f(x, y):\n    return x + 1") != plain


MODULE = """
@dataclass
class C(Base):
    "Documented."
    x: int = 1

    def f(self, y: int) -> int:
        return self.x + y

    @property
    def twice(self):
        return 2 * self.x
"""
PIECES = """
@dataclass
class C(Base):
    x: int = 1

@part_of(C)
def f(self, y):
    return self.x + y

@part_of(C)
@property
def twice(self):
    return 2 * self.x
"""


def test_the_gate_reads_a_class_in_pieces():
    """Equal to the whole class, and as strict: it sees another field, base, decorator, and a method missing or new."""
    whole = definitions(MODULE)
    assert definitions(PIECES) == whole
    assert set(whole) == {"C", "C.f", "C.twice"}
    for old, new in [
        ("x: int = 1", "x: int = 2"), ("x: int = 1", "x: int = 1\n    z: int = 1"),
        ("(Base)", ""), ("@dataclass\n", ""),
        ("self.x + y", "self.x - y"), ("(self, y)", "(self, y=0)"), ("@property\n", ""), ("part_of(C)", "part_of(D)"),
        ("def f", "def g"), ("@part_of(C)\ndef f", "def f"), (PIECES[PIECES.index("@part_of(C)\n@prop") :], ""),
        ("x: int = 1", "x: int = 1\n    def f(self, y):\n        return 0"),
    ]:  # fmt: skip
        assert old in PIECES
        assert definitions(PIECES.replace(old, new)) != whole, f"not seen: {old!r} -> {new!r}"


@chapters
def test_chapter_imports_nothing_of_later_chapters(path):
    number = path.stem[:2]
    if number in {"00", "08"}:
        pytest.skip("a tour of the finished module")
    later = {file for chapter, files in BUILT.items() if chapter > number for file in files}
    later -= NEEDED_EARLY.get(number, set())
    for cell in code_cells(path):
        for module, names in re.findall(r"^from (elsface_lite[\w.]*) import (.*)", source(cell), re.MULTILINE):
            imported = {home(module, name) for name in re.findall(r"(\w+)(?: as \w+)?", names)}
            assert not imported & later, f"from {module} import {names}"


def home(module: str, name: str) -> str:
    """The file of the package that a name comes from: `from elsface_lite import psnr` is from metrics.image."""
    stub = (ROOT / "elsface_lite" / "__init__.pyi").read_text(encoding="utf-8")
    room = module.removeprefix("elsface_lite").removeprefix(".")
    found = re.search(rf"^from \.({room}\.?[\w.]*) import {name} as", stub, re.MULTILINE)
    return found[1] if found else room


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


@chapters
def test_colab_opens_this_notebook(path):
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
def test_a_widget_left_its_picture(path):
    """As it opens, and nothing that needs a kernel: the site, GitHub and a notebook that is not trusted show it."""
    shown = re.compile(r"^(\w+) = \w+_(?:explorer|mixer|slider|preview|restorer)\(.*^\1$", re.MULTILINE | re.DOTALL)
    for cell in code_cells(path):
        assert bool(shown.search(source(cell))) == ("widget" in tags(cell)), source(cell)
        if "widget" in tags(cell):
            (output,) = cell["outputs"]
            assert output["data"].keys() == {"text/html", "text/plain"}
            assert "<img" in "".join(output["data"]["text/html"])


@chapters
def test_handles_are_those_of_the_module(path):
    """The script that an output brings along is what `handle` gives."""
    for cell in code_cells(path):
        for output in cell["outputs"]:
            page = "".join(output.get("data", {}).get("text/html", ""))
            assert "customElements" not in page or handle() in page


# Cells, words and lines of code: what one can follow in about an hour, and what the chapters hold that are older.
LARGEST = dict.fromkeys(["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11"], (80, 2_500, 350))
OLDER = (110, 4_000, 1_100)
rewritten = pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem[:2] in LARGEST], ids=lambda p: p.stem
)


def size(path: Path) -> tuple[int, int, int]:
    """Cells, words, and lines of code, empty ones and comments left out."""
    words = sum(len(source(cell).split()) for cell in cells(path) if cell["cell_type"] == "markdown")
    lines = [line.strip() for cell in code_cells(path) for line in source(cell).splitlines()]
    # A class in pieces is one thing to follow: the cells that continue it are not counted.
    return (
        len(cells(path)) - sum(map(continues_a_class, code_cells(path))),
        words,
        sum(line[:1] not in ("", "#") for line in lines),
    )


@chapters
def test_size_of_a_chapter(path):
    """What a reader can follow."""
    largest = LARGEST.get(path.stem[:2], OLDER)
    assert all(is_ <= most for is_, most in zip(size(path), largest, strict=True)), f"{size(path)} of {largest}"
    longest = max(map(lines_to_follow, code_cells(path)))
    assert longest <= 20, f"a code cell of {longest} lines"


@rewritten
def test_the_stated_minutes_are_a_persons(path):
    """200 words a minute, ten lines of code a minute, five minutes for a task or an exercise."""
    _, words, lines = size(path)
    tasks, exercises = (sum(tag in tags(cell) for cell in code_cells(path)) for tag in ("task", "exercise-check"))
    stated = re.search(
        r"\*\*Time\*\*: about (\d+) minutes, and (\d+) minutes more for the exercises", source(cells(path)[0])
    )
    assert stated, "no time is stated"
    assert abs(int(stated[1]) - (words / 200 + lines / 10 + 5 * tasks)) <= 5
    assert int(stated[2]) == 5 * exercises


MEASURED = re.compile(r"\d[\d,.]*(?:-fold| ?(?:dB|%|per cent|of 255|times))|\d+\.\d+")


def prose(cell: dict) -> str:
    """Without code, formulas, addresses and tags, whose numbers nobody measured."""
    return re.sub(
        r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|<code>.*?</code>|\]\([^)]*\)|<[^>]*>", " ", source(cell), flags=re.DOTALL
    )


def claims(cell: dict) -> list[str]:
    """The words that the assertions of a cell hold: `assert 2 < gain < 3, "between 2 and 3 dB"`."""
    text = "" if "setup" in tags(cell) else source(cell)
    messages = [node.msg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    return [message.value for message in messages if isinstance(message, ast.Constant)]


@rewritten
def test_what_the_text_measured_is_asserted(path):
    """An assertion's message stands in the next text, word by word; a measured number of a text, in a message.

    So a sentence and its check are changed together, or a test fails.
    """
    held, after = [], cells(path)[1:] + [None]
    for number, cell in enumerate(cells(path)):
        if cell["cell_type"] == "code":
            following = next((c for c in after[number:] if c and c["cell_type"] == "markdown"), {"source": []})
            for words in claims(cell):
                assert words in " ".join(source(following).split()), f"the next text does not say {words!r}"
                held.append(words)
    for cell in cells(path)[:-1]:  # the last one has words and references
        for number in MEASURED.findall(prose(cell)) if cell["cell_type"] == "markdown" else []:
            assert any(number in words for words in held), f"{number!r} is not asserted"


def test_a_number_without_its_assertion_is_seen():
    """The convention itself."""
    text = {
        "cell_type": "markdown",
        "source": ["It gains 2.4 dB, $0.5$ of `0.7`, in [a](b-1.5.html) 30 times, and 5 % at 7."],
    }
    assert MEASURED.findall(prose(text)) == ["2.4 dB", "30 times", "5 %"]
    code = {"cell_type": "code", "metadata": {}, "source": ['assert x > 1, "above 1"\nassert y, f"{z}"\nassert q']}
    assert claims(code) == ["above 1"]


@rewritten
def test_a_task_has_two_hints_and_its_definition_below(path):
    """Folded, all of them; and three questions with folded answers end the chapter."""
    asked = [number for number, cell in enumerate(cells(path)) if "task" in tags(cell)]
    assert asked
    for number in asked:
        task, hints, definition = cells(path)[number : number + 3]
        assert re.search(r'^mine = check\("', source(task), re.MULTILINE) and "    ...\n" in source(task)
        assert "not answered yet" in json.dumps(task["outputs"])
        assert re.findall(r"<details><summary>(.*?)</summary>", source(hints)) == ["Hint 1", "Hint 2"]
        assert definition["metadata"]["jupyter"]["source_hidden"] and source(definition).startswith(
            "# @title The finished"
        )
    (questions,) = (source(cell) for cell in cells(path) if "### Three questions" in source(cell))
    assert questions.split("### Three questions")[1].count("<details><summary>") == 3
    assert any("progress()" in source(cell) for cell in code_cells(path)[-1:])


def continues_a_class(cell: dict) -> bool:
    """Whether a cell saves nothing but methods of a class that began before."""
    if not any(tag.startswith("save:") for tag in tags(cell)):
        return False
    return all(isinstance(node, ast.FunctionDef) and owner_of(node) for node in ast.parse(source(cell)).body)


def lines_to_follow(cell: dict) -> int:
    """Lines of a cell; the fields of a saved config are read as a table, and count as one line."""
    text = source(cell)
    count = len(text.splitlines())
    if any(tag.startswith("save:") for tag in tags(cell)):
        fields = [part for node in ast.parse(text).body if isinstance(node, ast.ClassDef) for part in node.body]
        count -= max(0, sum(isinstance(field, ast.AnnAssign) for field in fields) - 1)
    return count


@chapters
def test_a_chapter_opens_with_its_picture(path):
    """Below its first cell, on the first screen: what stands between is folded."""
    for cell in cells(path)[1:]:
        if "<img" in json.dumps(cell.get("outputs", [])):
            break
        assert cell["metadata"]["jupyter"]["source_hidden"] and not cell["outputs"], source(cell)[:80]


@chapters
def test_pictures_have_alt_text(path):
    for cell in cells(path):
        for alt in re.findall(r"!\[(.*?)\]\(", source(cell)):
            assert len(alt) > 20, f"alt text: {alt!r}"
        assert not re.search(r"!\[[^\]]*\]\(http|<img[^>]*src=.http", source(cell)), "it is not there offline"
        for output in cell.get("outputs", []):
            assert "image/png" not in output.get("data", {}), "a bare PNG output has no alt text: use plots.show"
            page = "".join(output.get("data", {}).get("text/html", ""))
            for image in re.findall(r"<img[^>]*>", page):
                assert re.search(r'alt="[^"]{20,}"', image), image[:100]


@chapters
def test_what_is_folded_is_folded_everywhere(path):
    """Source in JupyterLab, Colab and on the site, under a first line that says what it is: JupyterLab shows that line.

    Of a solution its output, too, which would tell the answer.
    """
    for cell in code_cells(path):
        metadata, tagged = cell["metadata"], tags(cell)
        hidden = metadata.get("jupyter", {})
        if "solution" in tagged:
            assert hidden.get("outputs_hidden") and metadata.get("collapsed") and "hide-cell" in tagged
            assert source(cell).startswith("# @title Solution ")
        if hidden.get("source_hidden"):
            assert {"hide-cell", "hide-input"} & set(tagged) and metadata["mystnb"]["code_prompt_show"]
            assert source(cell).startswith("# @title ") == (metadata.get("cellView") == "form")
            assert source(cell).startswith("#")
        assert bool(hidden.get("source_hidden")) == bool({"hide-cell", "hide-input"} & set(tagged))
        assert bool(hidden.get("outputs_hidden")) == bool(metadata.get("collapsed"))


@chapters
def test_exercises(path):
    """At least three, each with a check that waits for an answer, and a folded solution that passes it.

    That a solution passes is seen when the chapter is run; what a wrong answer gets, in test_checks.py.
    """
    text = "\n".join(source(cell) for cell in cells(path) if cell["cell_type"] == "markdown")
    for level in ("easy", "medium", "hard"):
        assert re.search(rf"Exercise.*{level}", text, re.IGNORECASE), f"no {level} exercise"
    folded = [cell for cell in code_cells(path) if "solution" in tags(cell)]
    assert len(folded) >= 3
    checks = [cell for cell in code_cells(path) if "exercise-check" in tags(cell)]
    assert all("not answered yet" in json.dumps(cell["outputs"]) for cell in checks)
    asked, passed = ("\n".join(map(source, some)) for some in (checks, folded))
    if path.stem[:2] in LARGEST:
        names = set(re.findall(r'^check\("([\w.]+)"', asked, re.MULTILINE))
        assert len(names) == 3 and names == set(re.findall(r'^assert not wrong\("([\w.]+)"', passed, re.MULTILINE))
    else:
        names = set(re.findall(r"^def (check_\d+)", asked, re.MULTILINE))
        assert names == set(re.findall(r"^assert (check_\w+)\(", passed, re.MULTILINE))
