"""A training in a folder: checkpoints, log, samples, the best weights. Killed at any moment, it goes on from there."""

import io
import signal
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor

from ..data.degradation import upscale
from ..data.images import write_png
from ..errors import ElsfaceError
from ..files import remove_parts, unwritable, whole_file
from ..network.pretrained import OtherThanConfig, Pretrained, save_pretrained
from ..packages import extra
from .log import Log, Record

if TYPE_CHECKING:
    from .trainer import Trainer

with extra("train"):
    import filelock
    from accelerate import PartialState
    from torchvision.utils import make_grid

FORMAT = 3
SAMPLES = 4
Report = Callable[[Record], None]


class Stopped(KeyboardInterrupt):
    """SIGTERM or Ctrl-C came; what was done is in a checkpoint."""


def fit(trainer: "Trainer", folder: Path, report: Report | None = None, stop_at: int | None = None) -> None:
    """Trains to the end in a folder; from its last checkpoint, if it holds one.

    What it writes: checkpoint.pt and the one before it, log.csv, TensorBoard's files, samples/ and best.safetensors.

    Args:
        trainer: what trains.
        folder: of the run; it is made if it is not there.
        report: is called with every record that goes into the log.
        stop_at: stop before this step, with a checkpoint written; for lessons and tests.

    Raises:
        ElsfaceError: another process trains in this folder, its checkpoints are of another network or cannot be read,
            memory or disk is full, or the loss diverged.
        Stopped: SIGTERM or Ctrl-C came; a checkpoint of the last whole step is written.
    """
    stop_at = min(trainer.total_steps, stop_at or trainer.total_steps)
    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        if processes().is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            remove_parts(folder)
            remove_parts(folder / "samples")
        with naming_batch_size(trainer.config.batch_size):
            load_checkpoint(trainer, folder)
            if trainer.accelerator.is_main_process:
                _lead(trainer, folder, report, stop_at)
            while trainer.step < stop_at:
                trainer.train_step()
    except filelock.Timeout as error:
        raise ElsfaceError(f"another process trains in {folder}: wait for it, or choose another.") from error
    except OSError as error:  # of the log or the lock, which are not written as whole files
        raise unwritable(folder, error) from error
    finally:
        lock.release()


def _lead(trainer: "Trainer", folder: Path, report: Report | None, stop_at: int) -> None:
    """The steps of the process that writes."""
    config = trainer.config

    def due(every: int) -> bool:
        return trainer.step % every == 0 or trainer.step == trainer.total_steps

    with closing(Log(folder, trainer)) as log, _asked_to_stop() as asked:
        while trainer.step < stop_at:
            record = trainer.train_step()
            if due(config.validate_every):
                record |= validate(trainer, folder)
            log.step(record, trainer)
            if "psnr" in record or due(config.log_every):
                log.write(record, trainer)
                if report is not None:
                    report(record)
            # Not while steps are being skipped: the weights may be what is wrong, and the last one is to be good.
            good = not trainer.skipped_in_a_row
            if (good and (due(config.checkpoint_every) or asked)) or trainer.step == stop_at:
                save_checkpoint(trainer, folder)
            if asked:
                raise Stopped(f"stopped at step {trainer.step}, whose checkpoint is written")


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that is empty until SIGTERM or SIGINT comes: the step goes on to its end. A second SIGINT ends at once."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only there signals can be handled
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def validate(trainer: "Trainer", folder: Path) -> Record:
    """Scores the averaged weights on the validation faces, saves sample pictures, and the best weights so far."""
    best = trainer.best
    scores, sr = trainer.validate()
    save_samples(trainer, sr, folder / "samples" / f"{trainer.step:07d}.png")
    if trainer.best > best:
        save_best(trainer, scores, folder / "best.safetensors")
    return scores


def save_best(trainer: "Trainer", scores: Record, file: Path) -> None:
    """Writes the averaged weights, and what is known of them.

    Args:
        trainer: at the step that they are of.
        scores: what `Trainer.validate` found of them.
        file: the .safetensors file. `from_pretrained` takes that of a `Pretrained`; of others it has the state dict.
    """
    facts: dict[str, Any] = {
        "steps": trainer.step,
        "batch_size": trainer.config.batch_size,
        **{f"held_out_{name}": round(scores[name], 4) for name in ("psnr", trainer.config.best)},
    }
    facts |= {"trained_on": f"{len(trainer.batches.pairs)} pairs"}  # type: ignore[arg-type]
    if isinstance(trainer.ema, Pretrained):
        with suppress(OtherThanConfig):  # whose parts were exchanged after it was built: no config gives it again
            save_pretrained(trainer.ema, file, **facts)
            return
    state = {name: value.contiguous() for name, value in trainer.ema.state_dict().items()}
    data = safetensors.torch.save(state, {name: str(value) for name, value in facts.items()})
    with whole_file(file) as beside:
        beside.write_bytes(data)


def save_samples(trainer: "Trainer", sr: Tensor, file: Path) -> None:
    """Writes a sheet of validation faces: LR, bicubic, SR and HR, a row for each face.

    Args:
        trainer: whose validation faces they are.
        sr: (m, 3, H, W), all of them restored.
        file: the PNG.
    """
    rows = []
    for index in torch.linspace(0, len(sr) - 1, min(SAMPLES, len(sr))).long().tolist():
        lr, hr = trainer.validation[index]
        scale = hr.shape[-1] // lr.shape[-1]
        pixels = lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        rows += [pixels, upscale(lr[None], scale)[0], sr[index], hr]
    write_png(make_grid(rows, nrow=4, padding=2, pad_value=1), file)


def checkpoints(folder: Path) -> tuple[Path, Path]:
    """The last checkpoint of a run and the one before."""
    return folder / "checkpoint.pt", folder / "checkpoint.previous.pt"


def save_checkpoint(trainer: "Trainer", folder: Path) -> None:
    """Writes the checkpoint whole or not at all, and keeps the one before."""
    last, previous = checkpoints(folder)
    packed = io.BytesIO()  # to a file itself, torch.save meets a full disk with an error of its own kind
    torch.save({"format": FORMAT, **trainer.state_dict()}, packed)
    with whole_file(last) as beside:
        beside.write_bytes(packed.getbuffer())
        if last.exists():
            last.replace(previous)


def load_checkpoint(trainer: "Trainer", folder: Path) -> None:
    """Continues from the last checkpoint that can be read; without any, the trainer stays as it is.

    Raises:
        ElsfaceError: there are checkpoints and none can be read, or they are of another network or version.
    """
    found = [file for file in checkpoints(folder) if file.is_file()]
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
            raise ElsfaceError(f"{file} is of another run: its network or its losses are not these.") from error
    if found:
        raise ElsfaceError(f"no checkpoint in {folder} can be read: start again with --out.")
    return None


def _read_checkpoint(file: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote. torch.load does not look at the checksums that the file has, so zipfile does."""
    with zipfile.ZipFile(file) as packed:
        if damaged := packed.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"a checkpoint is a dictionary, not {type(state).__name__}")
    return state


@contextmanager
def naming_batch_size(size: int) -> Iterator[None]:
    """Says in one line that the memory is full."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _out_of_memory(error):
            raise
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
