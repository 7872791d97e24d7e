"""`elsface-lite evaluate`: restored faces against the true ones, or against others."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..data.named import DEGRADATIONS, degradation_named
from ..data.pairs import HR_SIZE, split_by_person
from ..data.people import people_of
from ..data.sources import faces_in
from ..errors import ElsfaceError
from ..metrics.evaluator import DEFAULT_METRICS, IMAGE_METRICS, SET_METRICS, SR_METRICS, Evaluator, Metric
from ..metrics.niqe import niqe, read_model
from ..metrics.pairs import (
    FolderImages,
    FolderPairs,
    Images,
    RestoredFaces,
    load_network,
    measure_images,
    measure_reference,
    usable_device,
)
from ..metrics.report import notes_on, render_table, write_csv, write_json, write_sheet
from .terminal import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `evaluate` takes."""
    parser.description = (
        "Measures SR against HR faces, as files of two folders (--sr, --hr), or as what a network makes of the LR "
        "versions of HR faces (--weights, --faces); or SR alone, by niqe, or by fid and kid against any other real "
        "faces (--sr, --reference)."
    )
    option = parser.add_argument
    option("--sr", type=Path, metavar="DIR", help="restored faces, PNG, at the same places and of the names in --hr")
    option("--hr", type=Path, metavar="DIR", help="the true faces")
    option("--pattern", default="{}", metavar="NAME", help='how SR files are called, {} for the HR name: "{}_x4"')
    option("--weights", metavar="NAME", help='shipped weights to restore --faces with, or "bicubic"')
    option("--faces", type=Path, metavar="DIR", help="HR faces, from which LR faces are made")
    option("--people", type=Path, metavar="CSV", help="table (file, identity): only the people that `train` holds out")
    option("--held-out", type=int, default=60, metavar="N", help="how many people those are (default: 60)")
    option("--size", type=positive, default=HR_SIZE, metavar="N", help=f"side of the HR faces of --faces ({HR_SIZE})")
    option("--enlarge", action="store_true", help="take --faces that are smaller than --size as well")
    known = ", ".join(DEGRADATIONS)
    option("--degradation", default="bicubic", metavar="NAME", help=f"how LR faces are made, of {known} (bicubic)")
    option("--scale", type=int, default=4, help="of --weights, and of the LR column of --sheet (default: 4)")
    option("--reference", type=Path, metavar="DIR", help="real faces for fid and kid, in place of HR; not in pairs")
    known = ", ".join(IMAGE_METRICS | SR_METRICS | SET_METRICS)
    default = f"default: {', '.join(DEFAULT_METRICS)}, as far as they are installed"
    option("--metrics", nargs="+", metavar="NAME", help=f"of {known} ({default})")
    option("--niqe-model", type=Path, metavar="FILE", help="the published model of NIQE (.npz), for niqe")
    option("--crop-border", type=int, default=0, metavar="N", help="cut so many pixels from each side first (0)")
    option("--device", metavar="D", help="cpu, cuda, ... (default: cuda if there is one)")
    option("--csv", type=Path, metavar="FILE", help="write the table, with conventions and versions")
    option("--json", type=Path, metavar="FILE", help="the same, and the values of every face")
    option("--sheet", type=Path, metavar="FILE", help="write a PNG of the best, the median and the worst face")


def run(arguments: argparse.Namespace) -> int:
    """Does what `elsface-lite evaluate` was asked for: 0.

    Raises:
        ElsfaceError: it cannot be done, with the reason.
    """
    metrics = _metrics(arguments)
    evaluator = Evaluator(metrics, arguments.crop_border)  # what cannot be measured is seen before anything is read
    device = usable_device(arguments.device)
    images, source = _sources(arguments, evaluator, device)
    if metrics is None:
        _leave_out(evaluator, images)
    if arguments.reference and evaluator.metrics.keys() & SET_METRICS.keys():
        images.notes += measure_reference(arguments.reference, evaluator, device)
    measure_images(images, evaluator, device)
    print(render_table(evaluator))
    for note in notes_on(evaluator, images):
        print(note)
    if arguments.csv:
        write_csv(evaluator, arguments.csv)
    if arguments.json:
        write_json(evaluator, images, source, arguments.json)
    if arguments.sheet:
        write_sheet(evaluator, images, arguments.scale, arguments.sheet)
    return 0


def _leave_out(evaluator: Evaluator, images: Images) -> None:
    """Takes from the defaults what these images are too few or too small for, with a note."""
    side = images.side - 2 * evaluator.crop_border
    small = [name for name, metric in evaluator.metrics.items() if metric.smallest > side]
    reasons = {f"an image measures {side} pixels only": small}
    if len(images.names) == 1:
        reasons["they compare sets, and there is one image"] = list(SET_METRICS)
    for reason, names in reasons.items():
        if out := [name for name in names if evaluator.metrics.pop(name, None)]:
            evaluator.notes.append(f"{' and '.join(out)} {'were' if len(out) > 1 else 'was'} left out: {reason}.")


def _metrics(arguments: argparse.Namespace) -> list[str | Metric] | None:
    """What is to be measured; None for the defaults, as far as they are installed.

    Raises:
        ElsfaceError: a model of NIQE that cannot be read, or that nothing uses.
    """
    names = arguments.metrics
    if names is None and arguments.sr and not arguments.hr:
        names = list(SET_METRICS) if arguments.reference else None
    if arguments.niqe_model is None:
        return names
    if "niqe" not in (names or ()):
        raise ElsfaceError("--niqe-model is for the metric niqe: name it with --metrics.")
    model = read_model(arguments.niqe_model)
    convention = f"model {arguments.niqe_model.name}, Y of BT.601, rounded, patches of {model.block} pixels"
    own = replace(SR_METRICS["niqe"], function=partial(niqe, model=model), convention=convention)
    return [own if name == "niqe" else name for name in names]


def _sources(
    arguments: argparse.Namespace, evaluator: Evaluator, device: torch.device
) -> tuple[Images, dict[str, Any]]:
    """What the command line asks to evaluate, and its description for the report.

    Raises:
        ElsfaceError: none of the three forms is complete, parts of two are given, or options do not go together.
    """
    given = {name for name in ("sr", "hr", "weights", "faces") if getattr(arguments, name) is not None}
    takes = {metric.takes: name for name, metric in evaluator.metrics.items()}
    source: dict[str, Any] = {name: str(getattr(arguments, name)) for name in sorted(given)}
    if arguments.reference:
        if arguments.metrics and "features" not in takes:
            raise ElsfaceError("--reference is for fid and kid: name one of them with --metrics.")
        source["reference"] = str(arguments.reference)
    if given == {"sr", "hr"}:
        source["pattern"] = arguments.pattern
        return FolderPairs(arguments.sr, arguments.hr, arguments.pattern), source
    if given == {"weights", "faces"}:
        return _restored(arguments, source, device), source
    needs_hr = takes.get("pair") or (takes.get("features") if not arguments.reference else None)
    if given == {"sr"} and not needs_hr and not arguments.sheet:
        return FolderImages(arguments.sr), source
    raise ElsfaceError(
        "give --sr DIR and --hr DIR, or --weights NAME and --faces DIR; --sr DIR without --hr only for --metrics niqe, "
        "or with --reference DIR for fid and kid."
    )


def _restored(arguments: argparse.Namespace, source: dict[str, Any], device: torch.device) -> RestoredFaces:
    """What the network makes of the faces, or of those of held-out people; adds to the description."""
    network, faces = load_network(arguments.weights, arguments.scale), faces_in(arguments.faces)
    degradation = degradation_named(arguments.degradation, arguments.scale)
    source |= {"scale": arguments.scale, "size": arguments.size, "degradation": arguments.degradation}
    if arguments.people:
        source["held_out"] = arguments.held_out
        people = people_of(faces, arguments.people, arguments.faces)
        _, held_out = split_by_person(people, arguments.held_out, seed=0)
        faces = [faces[i] for i in held_out]
    size, enlarge = arguments.size, arguments.enlarge
    return RestoredFaces(network, faces, arguments.faces, arguments.scale, size, enlarge, degradation, device)
