"""The log of a run: log.csv, TensorBoard and the progress bar."""

import csv
import time
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from ..errors import ElsfaceError
from ..files import whole_file
from ..packages import extra

if TYPE_CHECKING:
    from .trainer import Trainer

Record = dict[str, float]


def columns(trainer: "Trainer") -> list[str]:
    """Of log.csv; those of the losses have the losses' names.

    Raises:
        ElsfaceError: a loss has the name of another column, which it would overwrite.
    """
    own = (f"{name}_own" for name, module in trainer.modules.items() if hasattr(module, "update"))
    found = [
        "step", "epoch", "learning_rate", "loss", *trainer.losses, *own, "gradient_norm", "skipped",
        "images_per_second", *dict.fromkeys(("psnr", "ssim", trainer.config.best)), "seed",
    ]  # fmt: skip
    for name in trainer.losses:
        if found.count(name) > 1:
            raise ElsfaceError(
                f"log.csv has a column {name} of its own: give the loss another name, such as my_{name}."
            )
    return found


class Log:
    """log.csv, TensorBoard and the progress bar. After a resumption they go on where the checkpoint was.

    log.csv has a column for each loss by its name, and one more, `name_own`, for what trains a loss's own weights.

    Args:
        folder: the run's.
        trainer: already at the step that training goes on from.
    """

    def __init__(self, folder: Path, trainer: "Trainer") -> None:
        with extra("train"):
            from torch.utils.tensorboard import SummaryWriter

        self.file = folder / "log.csv"
        self.columns = columns(trainer)
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
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def step(self, record: Record, trainer: "Trainer") -> None:
        """Moves the progress bar, which shows the epoch, the loss of this step and the last PSNR."""
        epoch = ceil(trainer.step / trainer.steps_per_epoch)
        self.progress.set_description(f"epoch {epoch} of {trainer.config.epochs}", refresh=False)
        self.shown |= {name: f"{record[name]:.4g}" for name in ("loss", "psnr") if name in record}
        self.progress.set_postfix(self.shown, refresh=False)
        self.progress.update(trainer.config.batch_size)

    def write(self, record: Record, trainer: "Trainer") -> None:
        """Adds a row, with the epoch and the faces a second since the row before."""
        now = time.perf_counter()
        faces = (trainer.step - self.written_step) * trainer.config.batch_size
        record["epoch"] = trainer.step / trainer.steps_per_epoch
        record["images_per_second"] = faces / (now - self.written_at)
        self.written_step, self.written_at = trainer.step, now
        with self.file.open("a", encoding="utf-8", newline="") as file:
            row = {name: f"{value:.6g}" for name, value in record.items()}
            csv.DictWriter(file, self.columns).writerow(row | {"step": trainer.step, "seed": trainer.config.seed})
        for name, value in record.items():
            self.tensorboard.add_scalar(name, value, trainer.step)

    def close(self) -> None:
        """Ends the progress bar and TensorBoard's file."""
        self.progress.close()
        self.tensorboard.close()
