"""`elsface-lite evaluate`: restored faces against the true ones."""

import argparse
from pathlib import Path
from typing import Any

from ..data.images import find_images
from ..data.pairs import split_by_person
from ..data.sources import people_of
from ..errors import ElsfaceError
from ..metrics.evaluator import DEFAULT_METRICS, IMAGE_METRICS, SET_METRICS, Evaluator
from ..metrics.pairs import FolderPairs, Pairs, RestoredFaces, load_network, measure_pairs
from ..metrics.report import render_table, write_csv, write_json, write_sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `evaluate` takes."""
    parser.description = (
        "Measures SR against HR faces, as files of two folders (--sr, --hr), or as what a network makes of the LR "
        "versions of HR faces (--weights, --faces)."
    )
    option = parser.add_argument
    option("--sr", type=Path, metavar="DIR", help="restored faces, PNG, with the stems of --hr")
    option("--hr", type=Path, metavar="DIR", help="the true faces")
    option("--weights", metavar="NAME", help='shipped weights to restore --faces with, or "bicubic"')
    option("--faces", type=Path, metavar="DIR", help="HR faces, from which LR faces are made")
    option("--people", type=Path, metavar="CSV", help="table (file, identity): only the people that `train` holds out")
    option("--held-out", type=int, default=60, metavar="N", help="how many people those are (default: 60)")
    option("--scale", type=int, default=4, help="of --weights, and of the LR column of --sheet (default: 4)")
    known = ", ".join(IMAGE_METRICS | SET_METRICS)
    option("--metrics", nargs="+", default=DEFAULT_METRICS, metavar="NAME", help=f"of {known}")
    option("--csv", type=Path, metavar="FILE", help="write the table, with conventions and versions")
    option("--json", type=Path, metavar="FILE", help="the same, and the values of every face")
    option("--sheet", type=Path, metavar="FILE", help="write a PNG of the best, the median and the worst face")


def run(arguments: argparse.Namespace) -> int:
    """Does what `elsface-lite evaluate` was asked for: 0.

    Raises:
        ElsfaceError: it cannot be done, with the reason.
    """
    Evaluator(arguments.metrics)  # an unknown name is refused before anything is read
    pairs, source = _sources(arguments)
    evaluator = measure_pairs(pairs, arguments.metrics)
    print(render_table(evaluator.table()))
    print(*pairs.notes, sep="\n", end="\n" if pairs.notes else "")
    if arguments.csv:
        write_csv(evaluator.table(), arguments.csv)
    if arguments.json:
        write_json(evaluator, pairs, source, arguments.json)
    if arguments.sheet:
        write_sheet(evaluator, pairs, arguments.scale, arguments.sheet)
    return 0


def _sources(arguments: argparse.Namespace) -> tuple[Pairs, dict[str, Any]]:
    """What the command line asks to evaluate, and its description for the report.

    Raises:
        ElsfaceError: neither of the two forms is complete, or parts of both are given.
    """
    given = {name for name in ("sr", "hr", "weights", "faces") if getattr(arguments, name) is not None}
    if given == {"sr", "hr"}:
        return FolderPairs(arguments.sr, arguments.hr), {"sr": str(arguments.sr), "hr": str(arguments.hr)}
    if given == {"weights", "faces"}:
        network = load_network(arguments.weights, arguments.scale)
        source = {"weights": arguments.weights, "faces": str(arguments.faces), "scale": arguments.scale}
        faces = find_images([arguments.faces])
        if arguments.people:
            source["held_out"] = arguments.held_out
            _, held_out = split_by_person(people_of(faces, arguments.people), arguments.held_out, seed=0)
            faces = [faces[i] for i in held_out]
        return RestoredFaces(network, faces, arguments.scale), source
    raise ElsfaceError("give --sr DIR and --hr DIR, or --weights NAME and --faces DIR.")
