"""`elsface-lite train`: a network on a folder of faces, or a run that goes on."""

import argparse
import json
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ..data.degradation import upscale
from ..errors import ElsfaceError
from ..metrics.evaluator import IMAGE_METRICS
from ..training.fit import Stopped, processes
from ..training.run import Run, new_network, take_what_fits, trainer_of
from ..training.run_config import RunConfig
from ..training.trainer import Trainer
from .terminal import color, note

SHORT = 100  # steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `train` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _fields_help()
    parser.add_argument("--faces", metavar="DIR", nargs="+", help="folders of training pictures, with all below them")
    parser.add_argument("--lr", metavar="DIR", help="folder of LR faces with the names of those HR faces")
    parser.add_argument("--validation", metavar="DIR", nargs="+", help="folders of pictures to measure on")
    parser.add_argument("--people", metavar="CSV", nargs="+", help="tables (file, identity): people are held out whole")
    parser.add_argument("--start", metavar="NAME", help="begin with these weights and their network: a name, or a file")
    parser.add_argument("--config", metavar="TOML", type=Path, help="file with the tables data, model and train")
    help = "a field of a table, see below; any number of times"
    parser.add_argument("--set", metavar="TABLE.FIELD=VALUE", action="append", default=[], dest="changes", help=help)
    parser.add_argument("--out", metavar="RUN", type=Path, help="folder of a new run")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="continue this run; --set train.epochs=N extends it")


def _fields_help() -> str:
    """The fields that --set and a config file take, with their values in the preset `lite`."""
    lines = ["fields and their values, unless the file or --set says otherwise; model.preset and train.preset are"]
    lines.append('"lite" (these values) or "paper":')
    for table, values in RunConfig.from_dict({}).to_dict().items():
        words = [f"{table}.{name}={json.dumps(value)}" for name, value in values.items()]
        lines += ["", textwrap.fill("  ".join(words), 100, break_on_hyphens=False)]
    return "\n".join(lines).replace("%", "%%")


def _absolute(paths: str | list[str]) -> str | list[str]:
    """A run may be resumed from another folder."""
    return str(Path(paths).resolve()) if isinstance(paths, str) else [str(Path(path).resolve()) for path in paths]


def _run_of(options: argparse.Namespace) -> Run:
    """The run that is to be continued, or a new one."""
    if options.resume:
        others = ("out", "config", "faces", "lr", "validation", "people", "start")
        if any(getattr(options, name) for name in others):
            raise ElsfaceError("--resume takes everything from the run's config.toml: leave the other options out.")
        run = Run(options.resume)
        if options.changes:
            run.extend(options.changes)
        return run
    if not options.out:
        raise ElsfaceError("where to? Name the folder of a new run with --out, or of an old one with --resume.")
    # A path is kept whole, since a run may be resumed from another folder; other names are shipped, or on a hub.
    start = _absolute(options.start) if options.start and Path(options.start).exists() else options.start
    places = {f"data.{name}": getattr(options, name) for name in ("faces", "lr", "validation", "people")}
    given = {field: _absolute(value) for field, value in places.items() if value}
    changes = [f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in given.items()]
    changes += [f"model.start={json.dumps(start, ensure_ascii=False)}"] if start else []
    config = RunConfig.read(options.config, [*changes, *options.changes])
    _announce(config, trainer_of(config, None))
    with processes().main_process_first():
        return Run.create(options.out, config) if processes().is_main_process else Run(options.out)


def _announce(config: RunConfig, trainer: Trainer) -> None:
    """Says before a run starts what its maker may not expect."""
    if not processes().is_main_process:
        return
    if trainer.total_steps < SHORT:
        few = f"{trainer.total_steps} steps are too few to learn much"
        note(f"{few}: give it more train.epochs, or a smaller train.batch_size.")
    if config.start and (new := take_what_fits(new_network(config), config.start)):
        anew = f"{len(new)} of this network's weights do not come from {config.start} and begin anew"
        note(f"{anew}: {', '.join(new[:6])}{', ...' if len(new) > 6 else ''}")


def _baseline(trainer: Trainer) -> float:
    """What the config calls best, of bicubic on the validation faces."""
    metric = IMAGE_METRICS[trainer.config.best]
    batches = DataLoader(trainer.validation, trainer.config.batch_size)
    values = [metric.function(upscale(lr, hr.shape[-1] // lr.shape[-1]), hr) for lr, hr in batches]
    return torch.cat(values).mean().item()


def _conclude(run: Run, trainer: Trainer) -> None:
    """Says what was gained, or that nothing was, and what to do next."""
    metric, faces, baseline = IMAGE_METRICS[trainer.config.best], trainer.validation, _baseline(trainer)
    found = f"{metric.name} {abs(trainer.best):.4g} {metric.unit}".strip()
    print(f"best on the {len(faces)} validation faces: {found} (bicubic {baseline:.4g})")  # type: ignore[arg-type]
    if trainer.best > (baseline if metric.higher_is_better else -baseline):
        command = f"elsface-lite restore PHOTO --weights {run.folder / 'best.safetensors'}"
        print(color("next:", "green", sys.stdout), command)
    else:
        note(f"nothing was gained: bicubic is as good. Does the loss in {run.folder / 'log.csv'} fall? Train longer.")


def _say(record: dict[str, float]) -> None:
    """A line for each that goes into the log, where there is no terminal for a progress bar."""
    said = [f"{name} {record[name]:.4g}" for name in ("loss", "psnr", "lpips", "images_per_second") if name in record]
    print(f"epoch {record['epoch']:.2f}, step {record['step']:.0f}:", ", ".join(said), flush=True)


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
    """Trains, and prints what was gained: 0; 130 if it was stopped.

    Raises:
        ElsfaceError: it cannot be done or go on, with the reason.
    """
    try:
        with _full_disk_said_once():
            run = _run_of(options)
            trainer = run.train(None if sys.stderr.isatty() else _say)
    except Stopped as stopped:
        print(f"elsface-lite: {stopped}; to go on: elsface-lite train --resume {run.folder}", file=sys.stderr)
        return 130
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):  # nobody answers any more
            raise ElsfaceError("another process of this training has ended: what it says is the reason.") from error
        raise
    if processes().is_main_process:
        _conclude(run, trainer)
    return 0
