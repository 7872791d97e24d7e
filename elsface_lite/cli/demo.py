"""`elsface-lite demo`: two portraits degraded, restored and measured."""

import argparse

from ..course.demo import demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `demo` takes."""
    parser.add_argument("--out", default="restored", metavar="DIR", help="folder for the pictures (default: restored)")
    parser.add_argument("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a file (lite-x4)")


def run(args: argparse.Namespace) -> int:
    """Prints the table of the demonstration: 0."""
    print(demo(args.out, args.weights))
    return 0
