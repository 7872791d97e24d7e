"""What the commands say, and how they read numbers."""

import argparse
import os
import sys
from typing import TextIO

RED = 31  # as terminals number it


def styled(text: str, style: int, stream: TextIO) -> str:
    """A text in colour, if the stream is a terminal whose user has nothing against it (no-color.org)."""
    return f"\033[{style}m{text}\033[0m" if stream.isatty() and not os.environ.get("NO_COLOR") else text


def complain(error: object) -> None:
    """Prints an error on stderr, as one line."""
    print("elsface-lite:", styled("error:", RED, sys.stderr), " ".join(str(error).split()), file=sys.stderr)


def positive(text: str) -> int:
    """A number of the command line that is at least 1.

    Raises:
        ArgumentTypeError: it is less, or no number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
