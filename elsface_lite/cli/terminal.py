"""What the commands say, and how they read numbers."""

import argparse
import sys


def complain(error: object) -> None:
    """Prints an error on stderr, as one line."""
    print("elsface-lite: error:", " ".join(str(error).split()), file=sys.stderr)


def positive(text: str) -> int:
    """A number of the command line that is at least 1.

    Raises:
        ArgumentTypeError: it is less.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number
