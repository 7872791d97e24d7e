"""`elsface-lite demo`: four faces spoilt, restored and measured."""

import argparse

from ..course.demo import demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `demo` takes."""
    parser.add_argument("--out", default="restored", metavar="DIR", help="folder for the pictures (default: restored)")
    parser.add_argument("--weights", default="lite-x4-blind", metavar="NAME", help="a name, or a file (lite-x4-blind)")
    parser.add_argument("--sharpness", type=float, default=0.0, metavar="S", help="0, faithful, to 1, sharp (0)")


def run(args: argparse.Namespace) -> int:
    """Prints the table of the demonstration: 0."""
    print(demo(args.out, args.weights, args.sharpness))
    return 0
