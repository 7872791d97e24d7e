"""`elsface-lite info`: what is installed here, to be pasted into a bug report."""

import argparse

from ..inference.info import info


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`info` takes nothing."""


def run(args: argparse.Namespace) -> int:
    """Prints the report: 0."""
    print(info())
    return 0
