"""The house: which room may import which, no circle, argparse in `cli` only, no file that is too long to be read."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "elsface_lite"
# From the ground up: a room imports its own files and those of the rooms before it. `ground` are the files outside.
FLOORS = ("ground", "data", "network", "metrics", "inference", "training", "course", "cli")
MOST_LINES = 300
FILES = sorted(path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    return file.parts[0] if len(file.parts) > 1 else "ground"


def imports(file: Path) -> set[Path]:
    """The files of the package that a file imports when it is run, anywhere in it."""
    tree, found = ast.parse((PACKAGE / file).with_suffix(".py").read_text(encoding="utf-8")), set()
    types_only = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    tree.body = [node for node in tree.body if node not in types_only]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        folder = file.parents[node.level - 1]
        target = folder.joinpath(*(node.module or "").split("."))
        for name in [alias.name for alias in node.names]:
            whole = target / name if target / name in FILES else target
            found.add(whole if whole in FILES else whole / "__init__")
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_imports_only_what_stands_below(file):
    assert room(file) in FLOORS, f"{file} is in no room"
    for other in imports(file):
        if other != Path("__init__"):  # the version
            below = FLOORS.index(room(other)) <= FLOORS.index(room(file))
            assert below or file == Path("__main__"), f"{file} imports {other}, which stands above it"


def test_no_circle():
    graph = {str(file): {str(other) for other in imports(file) - {Path("__init__")}} for file in FILES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_file_is_too_long(file):
    lines = (PACKAGE / file).with_suffix(".py").read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{file} has {lines} lines"


def test_arguments_are_read_in_one_room():
    for file in FILES:
        text = (PACKAGE / file).with_suffix(".py").read_text(encoding="utf-8")
        assert room(file) == "cli" or "argparse" not in text, f"{file} reads arguments"


def test_no_function_shadows_a_module():
    """`ef.restore` is a function: then no file of that name stands where it would be found."""
    import elsface_lite

    rooms = {"data", "metrics"}
    taken = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert set(elsface_lite.__all__) & taken == rooms
    for file in FILES:
        if file.name == "__init__" and len(file.parts) > 1:
            module = __import__(f"elsface_lite.{'.'.join(file.parts[:-1])}", fromlist=["__name__"])
            files = {other.name for other in FILES if other.parent == file.parent}
            assert not files & set(getattr(module, "__all__", ())), file


def test_the_floors_are_seen_to_be_broken(tmp_path, monkeypatch):
    """What the tests above would find."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.py").write_text("from ..network.style import modulate\n", encoding="utf-8")
    monkeypatch.setattr("test_rooms.PACKAGE", tmp_path)
    assert imports(Path("data/pairs")) == {Path("network/style")}
    assert FLOORS.index(room(Path("network/style"))) > FLOORS.index("data")
