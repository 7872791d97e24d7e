"""Which code cells of a chapter must run so that some of them can: followed back along the names that they read."""

import dis
import re
from types import CodeType

from IPython.core.inputtransformer2 import TransformerManager


def _read_later(code: CodeType) -> set[str]:
    """Names that functions and classes within the code read from outside."""
    within = [part for part in code.co_consts if isinstance(part, CodeType)]
    steps = [step for part in within for step in dis.get_instructions(part)]
    found = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*map(_read_later, within))


def names(text: str) -> tuple[set[str], set[str]]:
    """The names that a cell binds, or continues (a function under `@part_of(Class)`), and those that it reads."""
    code = compile(TransformerManager().transform_cell(text), "cell", "exec")
    bound, read = set(), set()
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME":
            bound.add(step.argval)
        elif step.opname == "LOAD_NAME" and step.argval not in bound:
            read.add(step.argval)
    read |= _read_later(code) - bound
    return bound | set(re.findall(r"^@part_of\((\w+)\)", text, re.MULTILINE)), read


def needed(cells: list[str], wanted: set[int]) -> list[int]:
    """The numbers of the wanted cells and, of those before, of all that bind what they read, and so on."""
    found, unbound = [], set()
    for number in reversed(range(len(cells))):
        bound, read = names(cells[number])
        if number in wanted or bound & unbound:
            found.insert(0, number)
            unbound = (unbound - bound) | read
    return found
