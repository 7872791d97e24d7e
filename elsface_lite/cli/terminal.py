"""What the commands say, and how they read numbers."""

import argparse
import os
import shutil
import sys
import textwrap
from typing import TextIO


def color(text: str, name: str, stream: TextIO) -> str:
    """The text in red, yellow or green, if the stream is a terminal whose user has not said NO_COLOR (no-color.org)."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{ {'red': 31, 'green': 32, 'yellow': 33}[name] }m{text}\033[0m"


def complain(error: object) -> None:
    """Prints an error on stderr, as one line."""
    _say("elsface-lite: error:", "error:", "red", error, sys.stderr)


def note(text: str) -> None:
    """Prints what is no error, but may not be expected."""
    _say("note:", "note:", "yellow", text, sys.stdout)


def _say(start: str, word: str, name: str, text: object, stream: TextIO) -> None:
    """One line, which a terminal would break within words: there it is broken between them."""
    line = " ".join(f"{start} {text}".split())
    if stream.isatty():
        line = textwrap.fill(line, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    print(line.replace(word, color(word, name, stream), 1), file=stream)


def positive(text: str) -> int:
    """A number of the command line that is at least 1.

    Raises:
        ArgumentTypeError: it is less, or no number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the last as it is, numbers between them to the right."""
    lines = [head, *(["".join(map(_plain, cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *numbers = widths[:-1]
    return [
        f"{line[0]:{first}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(line[1:-1], numbers, strict=True))
        + (f"  {line[-1]}" if line[-1] else "")
        for line in lines
    ]  # fmt: skip


def _plain(letter: str) -> str:
    """A name may hold a line's end, or what moves the cursor."""
    return letter if letter.isprintable() else "?"
