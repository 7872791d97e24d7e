"""Runs the code cells of a chapter, its tasks solved, then gives every check answers of the wrong kind. Prints JSON.

    python hostile_chapter.py NOTEBOOK
    python hostile_chapter.py NOTEBOOK --restarted    # ends without a word after half of the cells

In the current folder, without a kernel: what is tried here is the chapter, not Jupyter.
"""

import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from functools import partial
from inspect import signature
from itertools import pairwise
from pathlib import Path

import torch
from IPython.core.interactiveshell import InteractiveShell


def raising(*_: object) -> None:
    return 1 / 0


def wrong(*_: object) -> str:
    return "a text"


ANSWERS = [
    None,
    "a text",
    -7,
    torch.zeros(2, 3, 5, 7),
    [],
    raising,
    wrong,
    lambda *_: None,
    lambda *_: torch.zeros(2, 3),
]


def hints(check, many: int) -> dict[str, str]:
    """What a check tells each wrong answer, given as many times as it takes answers."""
    told = {}
    for answer in ANSWERS:
        said = io.StringIO()
        with redirect_stdout(said):
            try:
                right = check(*[answer] * many)
            except Exception as error:
                right = f"{type(error).__name__}: {error}"
        told[repr(answer)] = said.getvalue().strip() if right in (None, False) else f"UNHELPED {right}"
    return told


def solved(cell: dict, finished: dict) -> str:
    """A task as a reader leaves it who solves it: the finished definition in place of the three dots, and checked."""
    asked = re.search(r'^mine = check\("([^"]+)", (\w+)\)', source(cell), re.MULTILINE)
    if "task" not in cell["metadata"].get("tags", []) or not asked:
        return source(cell)
    name, answer = asked.groups()
    answer = name if "." in name else answer
    return f"{source(finished)}\nmine = check({name!r}, {answer})\nassert mine, {name!r}"


def main(notebook: Path, restarted: bool) -> None:
    shell = InteractiveShell.instance()
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    with redirect_stdout(io.StringIO()):
        for cell, following in pairwise(cells[: len(cells) // 2] if restarted else [*cells, cells[-1]]):
            result = shell.run_cell(solved(cell, following))
            if "raises-exception" not in cell["metadata"].get("tags", []):
                try:
                    result.raise_error()
                except Exception as error:
                    error.add_note(source(cell))
                    raise
    if restarted:
        os._exit(0)  # as a kernel that is killed: nothing is tidied up
    own = {name: value for name, value in shell.user_ns.items() if re.fullmatch(r"check_\d+", name)}
    told = {name: hints(check, len(signature(check).parameters)) for name, check in own.items()}
    for name, given in re.findall(r'check\("([\w.]+)", \w+((?:, \w+)*)\)', "\n".join(map(source, cells))):
        values = [shell.user_ns[value] for value in given.split(", ")[1:]]
        told[name] = hints(partial(_checked, shell.user_ns["check"], name, values), 1)
    print(json.dumps({"cells": len(cells), "hints": told}))


def source(cell: dict) -> str:
    return "".join(cell["source"])


def _checked(check, name: str, values: list, answer: object) -> object:
    return check(name, answer, *values)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--restarted" in sys.argv)
