"""`elsface-lite train`: a network on a folder of faces, or a run that goes on."""

import argparse
import json
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import ElsfaceError
from ..network.weights import pretrained_names
from ..training.run import Run, processes, rehearse
from ..training.run_config import RunConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `train` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _fields_help()
    parser.add_argument("--faces", metavar="DIR", help="training pictures, searched with all folders below")
    parser.add_argument("--people", metavar="CSV", help="table (file, identity): people held out are held out whole")
    parser.add_argument("--start", metavar="NAME", help="begin with these weights and their network: a name, or a file")
    parser.add_argument("--config", metavar="TOML", type=Path, help="file with the tables data, model and train")
    help = "a field of a table, see below; any number of times"
    parser.add_argument("--set", metavar="TABLE.FIELD=VALUE", action="append", default=[], dest="changes", help=help)
    parser.add_argument("--out", metavar="RUN", type=Path, help="folder of a new run")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="continue this run; takes no other option")


def _fields_help() -> str:
    """The fields that --set and a config file take, with their values in the preset `lite`."""
    lines = ["fields and their values, unless the file or --set says otherwise; model.preset and train.preset are"]
    lines.append('"lite" (these values) or "paper":')
    for table, values in RunConfig.from_dict({}).to_dict().items():
        words = [f"{table}.{name}={json.dumps(value)}" for name, value in values.items()]
        lines += ["", textwrap.fill("  ".join(words), 100, break_on_hyphens=False)]
    return "\n".join(lines).replace("%", "%%")


def _absolute(path: str | None) -> str | None:
    """A run may be resumed from another folder."""
    return str(Path(path).resolve()) if path else None


def _run_of(options: argparse.Namespace) -> Run:
    """The run that is to be continued, or a new one."""
    if options.resume:
        others = ("out", "faces", "people", "start", "changes")
        if options.config or any(getattr(options, name) for name in others):
            raise ElsfaceError("--resume takes everything from the run's config.toml: leave the other options out.")
        return Run(options.resume)
    if not options.out:
        raise ElsfaceError("where to? Name the folder of a new run with --out, or of an old one with --resume.")
    start = options.start if options.start in pretrained_names() else _absolute(options.start)
    data = {"data.faces": _absolute(options.faces), "data.people": _absolute(options.people), "model.start": start}
    changes = [f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in data.items() if value]
    config = RunConfig.read(options.config, [*changes, *options.changes])
    rehearse(config)
    with processes().main_process_first():
        return Run.create(options.out, config) if processes().is_main_process else Run(options.out)


@contextmanager
def _full_disk_said_once() -> Iterator[None]:
    """TensorBoard's thread meets a full disk, too, and hands its error to ours: one line is enough."""
    said = threading.excepthook
    threading.excepthook = lambda died: None if isinstance(died.exc_value, OSError) else said(died)
    try:
        yield
    finally:
        threading.excepthook = said


def run(options: argparse.Namespace) -> int:
    """Trains, and prints where the best weights are: 0.

    Raises:
        ElsfaceError: it cannot be done or go on, with the reason.
    """
    try:
        with _full_disk_said_once():
            run = _run_of(options)
            trainer = run.train()
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):  # nobody answers any more
            raise ElsfaceError("another process of this training has ended: what it says is the reason.") from error
        raise
    if processes().is_main_process:
        print(f"best validation PSNR {trainer.best_psnr:.2f} dB, weights in {run.folder / 'best.safetensors'}")
    return 0
