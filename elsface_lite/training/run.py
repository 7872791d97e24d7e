"""A training run as a folder: config, checkpoints, log, samples and decoded faces."""

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..data.degradation import downscale, upscale
from ..data.images import write_png
from ..data.pairs import HR_SIZE
from ..errors import ElsfaceError
from ..files import remove_parts, unwritable, whole_file
from ..network.weights import load_pretrained, save_pretrained
from ..packages import extra
from .faces import decode_faces, read_faces, split_faces
from .log import Log, Record
from .run_config import RunConfig
from .trainer import Trainer

with extra("train"):
    import filelock
    from accelerate import PartialState
    from torchvision.utils import make_grid

FORMAT = 3
SAMPLES = 4
SYMMETRIC = 0.01  # weights that are less far from mirror symmetry than this have it


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
    with naming_batch_size(config):
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
        training, validation = (self.folder / f"{name}.faces" for name in ("training", "validation"))
        try:
            return read_faces(training), read_faces(validation)
        except (OSError, ValueError):  # not there yet, or damaged
            decode_faces(dict(zip((training, validation), split_faces(self.config), strict=True)))
        return read_faces(training), read_faces(validation)

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
            if processes().is_main_process:
                lock.acquire()
                remove_parts(self.folder)
                remove_parts(self.folder / "samples")
            with naming_batch_size(self.config):
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
        with processes().main_process_first():
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
def naming_batch_size(config: RunConfig) -> Iterator[None]:
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


def processes() -> PartialState:
    """This process among those that `torchrun` or `accelerate launch` started together.

    Where there are only CPUs Accelerate must be told so; otherwise each process takes itself for the only one.
    """
    return PartialState(cpu=not torch.accelerator.is_available())
