"""A training run as a folder: config, checkpoints, log, samples. What `elsface-lite train` does."""

import argparse
import csv
import io
import json
import sys
import textwrap
import threading
import time
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from unittest.mock import patch

import filelock
import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor
from torchvision.utils import make_grid
from tqdm import tqdm

from .config import Config
from .data import load_face, split_by_person
from .degradation import downscale, upscale
from .errors import ElsfaceError
from .files import remove_parts, unwritable, whole_file
from .images import write_png
from .model import ELSFaceConfig
from .sources import faces_in, people_of
from .train import TrainConfig, Trainer
from .weights import load_pretrained, pretrained_names, save_pretrained

FORMAT = 2
HR_SIZE = 128
SAMPLES = 4
UNREADABLE_SHARE = 0.01
SYMMETRIC = 0.01  # weights that are less far from mirror symmetry than this have it
COLUMNS = (
    "step", "epoch", "learning_rate", "loss", "l1", "sharp", "gradient_norm", "skipped", "images_per_second", "psnr",
    "ssim", "seed",
)  # fmt: skip
AnyConfig = TypeVar("AnyConfig", bound=Config)
Record = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """The table `data` of a run: the folder of faces, the table of people or "", and how many people are held out."""

    faces: str = ""
    people: str = ""
    held_out: int = 60

    def check(self) -> None:
        self.check_least(1, "held_out")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that defines a run: the network and the weights it starts with, the training, and the faces."""

    model: ELSFaceConfig
    start: str
    train: TrainConfig
    faces: str
    people: str
    held_out: int

    @classmethod
    def from_dict(cls, tables: dict[str, dict[str, Any]]) -> Self:
        """From the tables `model`, `train` (each with an optional `preset`) and `data`, as in config.toml.

        `start` in the table model names weights, as `load_pretrained` does; fields left out there are taken from them.

        Raises:
            ElsfaceError: an unknown table or field, a value that cannot be, or no such weights, with the reason.
        """
        unknown = sorted(tables.keys() - {"model", "train", "data"})
        if unknown:
            raise ElsfaceError(f"a run has the tables model, train and data, not {', '.join(unknown)}.")
        if plain := [name for name, table in tables.items() if not isinstance(table, dict)]:
            raise ElsfaceError(f"{plain[0]} is a table: give its fields, as in [{plain[0]}] or by --set.")
        network = dict(tables.get("model", {}))
        start = str(network.pop("start", ""))
        if start and len(network) < len(fields(ELSFaceConfig)):  # a run's own config.toml names them all
            network = load_pretrained(start).config.to_dict() | network
        try:
            data = DataConfig.from_dict(tables.get("data", {}))
            model = _preset(ELSFaceConfig, network)
            train = _preset(TrainConfig, tables.get("train", {}))
        except ValueError as error:
            raise ElsfaceError(str(error)) from error
        return cls(model=model, start=start, train=train, **data.to_dict())

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The tables of config.toml, with every field written out."""
        data = {"faces": self.faces, "people": self.people, "held_out": self.held_out}
        model = self.model.to_dict() | ({"start": self.start} if self.start else {})
        return {"data": data, "model": model, "train": self.train.to_dict()}

    @classmethod
    def read(cls, file: Path | None, changes: Sequence[str] = ()) -> Self:
        """From a TOML file, if one is given, with `table.field=value` changes applied over it.

        Raises:
            ElsfaceError: the file cannot be read or a change is not of that form; see also `from_dict`.
        """
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8")) if file else {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ElsfaceError(f"cannot read the config {file}: {error}.") from error
        for change in changes:
            name, equals, value = change.partition("=")
            table, dot, field = name.strip().partition(".")
            if not (equals and dot):
                raise ElsfaceError(f"--set takes table.field=value (such as train.epochs=3), not {change!r}.")
            if isinstance(fields_of_table := tables.setdefault(table, {}), dict):
                fields_of_table[field] = _toml_value(value.strip())
        return cls.from_dict(tables)

    def write(self, file: Path) -> None:
        """Writes the TOML file, whole or not at all; JSON's plain values are TOML's as well."""
        lines = []
        for table, values in self.to_dict().items():
            written = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
            lines += [f"[{table}]", *written, ""]
        with whole_file(file) as beside:
            beside.write_text("\n".join(lines), encoding="utf-8")


def _preset(kind: type[AnyConfig], values: dict[str, Any]) -> AnyConfig:
    """A config from its table; `preset` ("lite" or "paper") says what is not named."""
    values = dict(values)
    preset = values.pop("preset", "lite")
    if preset not in ("lite", "paper"):
        raise ValueError(f'preset must be "lite" or "paper", not {preset!r}.')
    return getattr(kind, preset)(**values)


def _toml_value(text: str) -> Any:
    """A value as TOML reads it; what is no TOML value is a string, so that quotes may be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def decode_faces(parts: Mapping[Path, Sequence[Path]]) -> None:
    """Decodes every face once into a file that can be mapped into memory: it may be larger than the memory.

    Args:
        parts: for each .npy file, (n, 3, 128, 128) uint8, the pictures that it gets; those that cannot be read are
            skipped, each with a line on stderr.

    Raises:
        ElsfaceError: more than 1 % of all pictures, or all of one file, cannot be read: then no file appears.
    """
    with ExitStack() as stack:
        unreadable = []
        for file, paths in parts.items():
            lost = _decode(paths, stack.enter_context(whole_file(file)))
            if len(lost) == len(paths):
                raise ElsfaceError(f"none of the {len(paths)} pictures for {file.name} can be read, such as: {lost[0]}")
            unreadable += lost
        pictures = sum(map(len, parts.values()))
        if len(unreadable) > UNREADABLE_SHARE * pictures:
            raise ElsfaceError(f"{len(unreadable)} of {pictures} pictures cannot be read, such as: {unreadable[0]}")
    for message in unreadable:
        print(f"skipped: {message}", file=sys.stderr)


def _decode(paths: Sequence[Path], file: Path) -> list[str]:
    """Decodes pictures into an .npy file; returns a message for each that cannot be read."""
    unreadable = []
    # Not through a memory map: a disk that is full would end the process by a signal, without a word.
    with file.open("wb") as faces:
        _write_header(faces, len(paths))
        for path in tqdm(paths, "decoding", unit=" faces", leave=False, disable=None):
            try:
                faces.write(load_face(path, HR_SIZE).numpy().tobytes())
            except ElsfaceError as error:
                unreadable.append(str(error))
        faces.seek(0)
        _write_header(faces, len(paths) - len(unreadable))
    return unreadable


def _write_header(file: BinaryIO, faces: int) -> None:
    """The first bytes of an .npy file; NumPy makes them as long for any number of faces."""
    shape = (faces, 3, HR_SIZE, HR_SIZE)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def split_faces(config: RunConfig) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, with `held_out` people in validation: the same ones for every `train.seed`.

    Without a table of people every picture counts as a person of its own.

    Raises:
        ElsfaceError: no folder is named, it has no picture, or the people cannot be told apart or split.
    """
    if not config.faces:
        raise ElsfaceError("there is nothing to train on: name the folder of faces with --faces.")
    paths = faces_in(config.faces)
    # By its place in the folder: s1/1.png and s2/1.png are two pictures.
    own = [path.relative_to(config.faces).as_posix() for path in paths]
    people = people_of(paths, config.people) if config.people else own
    try:
        training, validation = split_by_person(people, config.held_out, seed=0)
    except ElsfaceError as error:
        raise ElsfaceError(f"{error} It is set by --set data.held_out=N.") from error
    return [paths[i] for i in training], [paths[i] for i in validation]


def _read_checkpoint(file: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote. torch.load does not look at the checksums that the file has, so zipfile does."""
    with zipfile.ZipFile(file) as packed:
        if damaged := packed.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"a checkpoint is a dictionary, not {type(state).__name__}")
    return state


def start_with(name: str, trainer: Trainer) -> None:
    """Gives a trainer at its first step the weights of this name or path.

    Raises:
        ElsfaceError: there are none, or they are of another network, or lack the mirror symmetry that is asked for.
    """
    weights = load_pretrained(name)
    if weights.config != trainer.ema.config:
        start = f"{name} are weights of another network than the config's"
        raise ElsfaceError(f"{start}: set no field of model beside --start.")
    if trainer.symmetry and trainer.symmetry.broken(weights) > SYMMETRIC:
        start = f"{name} are weights without mirror symmetry"
        raise ElsfaceError(f"{start}: go on without, by --set train.symmetric=false.")
    for network in (trainer.accelerator.unwrap_model(trainer.model), trainer.ema):
        network.load_state_dict(weights.state_dict())


def rehearse(config: RunConfig) -> None:
    """Makes everything that a run needs, but for its folder and the decoded faces, so that errors come before these.

    Raises:
        ElsfaceError: what is wrong with the faces, the fields or the weights to start with.
    """
    training, validation = split_faces(config)
    blank = np.broadcast_to(np.uint8(0), (len(training), 3, HR_SIZE, HR_SIZE))  # takes no memory
    with _naming_batch_size(config):
        trainer = Trainer(config.train, config.model, blank, blank[: len(validation)])
        if config.start:
            start_with(config.start, trainer)


class Run:
    """A folder with everything that one training writes, and all that continues it.

    config.toml, checkpoint.pt and the one before it, best.safetensors with its card, log.csv, TensorBoard's files,
    samples/ and the decoded faces.

    Args:
        folder: must hold a config.toml.

    Raises:
        ElsfaceError: there is no such run.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.toml").is_file():
            raise ElsfaceError(f"there is no run in {folder}: it has no config.toml. Start one with --out.")
        self.folder = folder
        self.config = RunConfig.read(folder / "config.toml")

    @classmethod
    def create(cls, folder: Path, config: RunConfig) -> Self:
        """Makes the folder of a new run.

        Raises:
            ElsfaceError: it holds a run already, or cannot be written.
        """
        if (folder / "config.toml").exists():
            raise ElsfaceError(f"{folder} holds a run already: continue it with --resume, or choose another folder.")
        config.write(folder / "config.toml")
        return cls(folder)

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """The last checkpoint and the one before."""
        return self.folder / "checkpoint.pt", self.folder / "checkpoint.previous.pt"

    def faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Decoded training and validation faces, (n, 3, 128, 128) and (m, 3, 128, 128), uint8."""
        training, validation = (self.folder / f"{name}.npy" for name in ("training", "validation"))
        try:
            return np.load(training, mmap_mode="r"), np.load(validation, mmap_mode="r")
        except (OSError, ValueError, EOFError):  # not there yet, or damaged
            decode_faces(dict(zip((training, validation), split_faces(self.config), strict=True)))
        return np.load(training, mmap_mode="r"), np.load(validation, mmap_mode="r")

    def save_checkpoint(self, trainer: Trainer) -> None:
        """Writes the checkpoint whole or not at all, and keeps the one before."""
        last, previous = self.checkpoints
        packed = io.BytesIO()  # to a file itself, torch.save meets a full disk with an error of its own kind
        torch.save({"format": FORMAT, **trainer.state_dict()}, packed)
        with whole_file(last) as beside:
            beside.write_bytes(packed.getbuffer())
            if last.exists():
                last.replace(previous)

    def load_checkpoint(self, trainer: Trainer) -> None:
        """Continues from the last checkpoint that can be read; without any, from the beginning.

        Raises:
            ElsfaceError: there are checkpoints and none can be read, or they, or the weights to start with, are of
                another network or version.
        """
        found = [file for file in self.checkpoints if file.is_file()]
        for file in found:
            try:
                state = _read_checkpoint(file)
            except Exception as error:  # a damaged file can fail in almost any way
                warnings.warn(f"{file} cannot be read ({type(error).__name__}): trying the one before.", stacklevel=2)
                continue
            if (version := state.pop("format", None)) != FORMAT:
                other = f"{file} is of another version of elsface-lite"
                raise ElsfaceError(f"{other}: its format is {version}, and this one reads {FORMAT}.")
            try:
                return trainer.load_state_dict(state)
            except torch.OutOfMemoryError:
                raise
            except (LookupError, TypeError, ValueError, RuntimeError) as error:
                raise ElsfaceError(f"{file} is of another run: its network is not that of config.toml.") from error
        if found:
            raise ElsfaceError(f"no checkpoint in {self.folder} can be read: start again with --out.")
        if self.config.start:
            start_with(self.config.start, trainer)
        return None

    def train(self, report: Callable[[Record], None] | None = None, stop_at: int | None = None) -> Trainer:
        """Trains from the last checkpoint, or from the beginning, to the end.

        Args:
            report: is called with every record that goes into the log.
            stop_at: stop before this step, with a checkpoint written; for lessons and tests.

        Raises:
            ElsfaceError: another process trains in this folder, memory or disk is full, or the loss diverged.
        """
        lock = filelock.FileLock(self.folder / ".lock", blocking=False)
        try:
            if _processes().is_main_process:
                lock.acquire()
                remove_parts(self.folder)
                remove_parts(self.folder / "samples")
            with _naming_batch_size(self.config):
                trainer = Trainer(self.config.train, self.config.model, *self._faces_for_all())
                self.load_checkpoint(trainer)
                self._loop(trainer, report, stop_at)
        except filelock.Timeout as error:
            raise ElsfaceError(f"another process trains in {self.folder}: wait for it, or choose another.") from error
        except OSError as error:  # of the log or the lock, which are not written as whole files
            raise unwritable(self.folder, error) from error
        finally:
            lock.release()
        return trainer

    def _faces_for_all(self) -> tuple[np.ndarray, np.ndarray]:
        """The faces, decoded by one process while the others wait."""
        with _processes().main_process_first():
            return self.faces()

    def _loop(self, trainer: Trainer, report: Callable[[Record], None] | None, stop_at: int | None) -> None:
        config, stop_at = trainer.config, min(trainer.total_steps, stop_at or trainer.total_steps)
        if not trainer.accelerator.is_main_process:
            while trainer.step < stop_at:
                trainer.train_step()
            return

        def due(every: int) -> bool:
            return trainer.step % every == 0 or trainer.step == trainer.total_steps

        with closing(Log(self.folder, trainer)) as log:
            while trainer.step < stop_at:
                record = trainer.train_step()
                if due(config.validate_every):
                    record |= self.validate(trainer)
                log.step(record, config.batch_size)
                if "psnr" in record or due(config.log_every):
                    log.write(record, trainer)
                    if report is not None:
                        report(record)
                # Not while steps are being skipped: the weights may be what is wrong, and the last one is to be good.
                if (due(config.checkpoint_every) and not trainer.skipped_in_a_row) or trainer.step == stop_at:
                    self.save_checkpoint(trainer)

    def validate(self, trainer: Trainer) -> Record:
        """Scores the averaged weights on the validation faces, saves sample pictures, and the best weights so far."""
        best = trainer.best_psnr
        scores, sr = trainer.validate()
        self.save_samples(trainer, sr)
        if scores["psnr"] > best:
            save_pretrained(trainer.ema, self.folder / "best.safetensors")
        return scores

    def save_samples(self, trainer: Trainer, sr: Tensor) -> None:
        """Writes a sheet of validation faces: LR, bicubic, SR and HR, a row for each face."""
        chosen = torch.linspace(0, len(sr) - 1, min(SAMPLES, len(sr))).long()
        hr = torch.from_numpy(trainer.validation[chosen.numpy()]).float() / 255
        scale = self.config.model.scale
        lr = downscale(hr, scale)
        pixels = lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        rows = torch.stack([pixels, upscale(lr, scale), sr[chosen], hr], 1).flatten(0, 1)
        write_png(make_grid(rows, nrow=4, padding=2, pad_value=1), self.folder / "samples" / f"{trainer.step:07d}.png")


@contextmanager
def _naming_batch_size(config: RunConfig) -> Iterator[None]:
    """Says in one line that the memory is full."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _out_of_memory(error):
            raise
        size = config.train.batch_size
        raise ElsfaceError(f"out of memory at batch_size {size}: start a run with a smaller one.") from error


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether this is how PyTorch says so: on accelerators by its class, on CPUs by what it says on each system."""
    says = ("not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in says)


def _processes() -> PartialState:
    """This process among those that `torchrun` or `accelerate launch` started together.

    Where there are only CPUs Accelerate must be told so; otherwise each process takes itself for the only one.
    """
    return PartialState(cpu=not torch.accelerator.is_available())


class Log:
    """log.csv, TensorBoard and the progress bar. After a resumption they go on where the checkpoint was.

    Args:
        folder: the run's.
        trainer: already at the step that training goes on from.
    """

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.file = folder / "log.csv"
        self._rewind(trainer.step)
        self.tensorboard = SummaryWriter(folder / "tensorboard", purge_step=trainer.step)
        batch, faces = trainer.config.batch_size, trainer.total_steps * trainer.config.batch_size
        self.progress = tqdm(total=faces, initial=trainer.step * batch, unit=" faces", disable=None)
        self.written_step, self.written_at = trainer.step, time.perf_counter()
        self.shown: dict[str, str] = {}

    def _rewind(self, step: int) -> None:
        """Drops the rows that a killed run wrote after its checkpoint: those steps are done again."""
        rows = []
        if self.file.is_file():
            with self.file.open(encoding="utf-8", newline="") as file:
                whole = (row for row in csv.DictReader(file) if None not in row.values())  # not cut by a full disk
                rows = [row for row in whole if row["step"].isdigit() and int(row["step"]) <= step]
        with whole_file(self.file) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def step(self, record: Record, batch: int) -> None:
        """Moves the progress bar, which shows the loss of this step and the last PSNR."""
        self.shown |= {name: f"{record[name]:.4g}" for name in ("loss", "psnr") if name in record}
        self.progress.set_postfix(self.shown, refresh=False)
        self.progress.update(batch)

    def write(self, record: Record, trainer: Trainer) -> None:
        """Adds a row, with the epoch and the faces a second since the row before."""
        now = time.perf_counter()
        faces = (trainer.step - self.written_step) * trainer.config.batch_size
        record["epoch"] = trainer.step / trainer.steps_per_epoch
        record["images_per_second"] = faces / (now - self.written_at)
        self.written_step, self.written_at = trainer.step, now
        with self.file.open("a", encoding="utf-8", newline="") as file:
            row = {name: f"{value:.6g}" for name, value in record.items()}
            csv.DictWriter(file, COLUMNS).writerow(row | {"step": trainer.step, "seed": trainer.config.seed})
        for name, value in record.items():
            self.tensorboard.add_scalar(name, value, trainer.step)

    def close(self) -> None:
        """Ends the progress bar and TensorBoard's file."""
        self.progress.close()
        self.tensorboard.close()


def add_train_command(commands: Any) -> None:
    """Adds `train` to the subparsers of the command line."""
    parser = commands.add_parser(
        "train",
        help="train a network on a folder of faces, or continue a run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_fields_help(),
    )
    parser.add_argument("--faces", metavar="DIR", help="training pictures, searched with all folders below")
    parser.add_argument("--people", metavar="CSV", help="table (file, identity): people held out are held out whole")
    parser.add_argument("--start", metavar="NAME", help="begin with these weights and their network: a name, or a file")
    parser.add_argument("--config", metavar="TOML", type=Path, help="file with the tables data, model and train")
    help = "a field of a table, see below; any number of times"
    parser.add_argument("--set", metavar="TABLE.FIELD=VALUE", action="append", default=[], dest="changes", help=help)
    parser.add_argument("--out", metavar="RUN", type=Path, help="folder of a new run")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="continue this run; takes no other option")
    parser.set_defaults(run=run_train)


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
    with _processes().main_process_first():
        return Run.create(options.out, config) if _processes().is_main_process else Run(options.out)


def run_train(options: argparse.Namespace) -> int:
    """Does `elsface-lite train`."""
    # TensorBoard's thread meets a full disk, too, and hands its error to ours: one line is enough.
    said = threading.excepthook
    try:
        with patch("threading.excepthook", lambda died: None if isinstance(died.exc_value, OSError) else said(died)):
            run = _run_of(options)
            trainer = run.train()
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):  # nobody answers any more
            raise ElsfaceError("another process of this training has ended: what it says is the reason.") from error
        raise
    if _processes().is_main_process:
        print(f"best validation PSNR {trainer.best_psnr:.2f} dB, weights in {run.folder / 'best.safetensors'}")
    return 0
