"""Training that can be stopped at any moment and goes on as if nothing had happened (chapter 06)."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, Dataset

from ..data.degradation import quantize
from ..errors import ElsfaceError
from ..inference.optimize import recompute
from ..metrics.evaluator import IMAGE_METRICS
from ..packages import extra
from .average import update_average
from .batches import Batches, Pair
from .config import TrainConfig
from .fit import Report, fit
from .log import columns
from .presets import PRECISIONS, preset_losses, preset_optimizer
from .schedule import rate_share
from .symmetry import MirrorSymmetry

with extra("train"):
    from accelerate import Accelerator

# A loss this many times above the running average of its size counts as exploded.
EXPLODED = 10.0
MAX_SKIPPED_IN_A_ROW = 10
ASYMMETRY = 0.01  # weights that are less far from mirror symmetry than this have it


class Trainer:
    """Trains a network on pairs of LR and HR, on whatever Accelerate was launched on.

    Args:
        network: any module (b, 3, h, w) -> (b, 3, scale h, scale w); it is trained in place.
        train: pairs (3, h, w), (3, H, W) in [0, 1] by index, such as `FacePairs` or `PairedFolders`.
        validation: pairs that the network is measured on, of people whom `train` does not show.
        losses: name -> (weight, loss of SR and HR); `preset_losses` if left out. A loss that has weights of its own,
            such as a discriminator, is a module with a method `update(sr, hr)`, which trains them and returns a number
            for the log. They are part of the checkpoint, with all that the module's `get_extra_state` gives.
        optimizer: makes it for the network; `preset_optimizer` if left out. Its learning rates are the highest ones.
        config: everything else.

    Raises:
        ElsfaceError: there are fewer pairs than one batch, the batch cannot be shared out among the processes, the
            precision does not work here, a loss has weights that nothing trains, or the weights are not symmetric and
            are to stay so.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Dataset[Pair],
        validation: Dataset[Pair],
        losses: Mapping[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]] | None = None,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
        config: TrainConfig | None = None,
    ) -> None:
        self.config = config = config or TrainConfig()
        self.accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")  # that is ours
        device, process = self.accelerator.device, self.accelerator.process_index
        self._check(len(train))  # type: ignore[arg-type]
        self.validation, self.batches = validation, Batches(train, config, process, self.accelerator.num_processes)
        self.autocast = torch.autocast(device.type, PRECISIONS[config.precision], enabled=config.precision != "no")
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.network = getattr(network, "_orig_mod", network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.symmetry = self._symmetry() if config.symmetric else None
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        if config.recompute:
            recompute(self.network)  # type: ignore[arg-type]
        self.optimizer = optimizer(self.network) if optimizer else preset_optimizer(self.network, config)
        self.highest = [group["lr"] for group in self.optimizer.param_groups]
        self.model = self.accelerator.prepare(network.train())
        self._take(losses or preset_losses(config))
        self.step = self.skipped = self.skipped_in_a_row = 0
        self.loss_size, self.best, self.stream = math.inf, -math.inf, self._stream()

    def _check(self, pairs: int) -> None:
        processes, size = self.accelerator.num_processes, self.config.batch_size
        if size % processes:
            raise ElsfaceError(f"batch_size {size} cannot be shared out among {processes} processes.")
        if pairs < size:
            raise ElsfaceError(f"{pairs} training faces do not fill one batch of {size}.")
        if self.config.precision == "fp16" and self.accelerator.device.type == "cpu":
            raise ElsfaceError("float16 needs a GPU: set train.precision=bf16, or no.")

    def _symmetry(self) -> MirrorSymmetry:
        symmetry = MirrorSymmetry(self.network)  # type: ignore[arg-type]
        if symmetry.broken(self.network) > ASYMMETRY:
            raise ElsfaceError(
                "the weights are without mirror symmetry: set train.symmetric=false, or make new ones symmetric by "
                "MirrorSymmetry(network).start(network)."
            )
        return symmetry

    def _take(self, losses: Mapping[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]]) -> None:
        """The losses, on the device, and those of them that train weights of their own."""
        self.weights = {name: weight for name, (weight, _) in losses.items()}
        self.losses = {name: loss for name, (_, loss) in losses.items()}
        self.modules = {name: loss for name, loss in self.losses.items() if isinstance(loss, nn.Module)}
        for name, own in self.modules.items():
            own.to(self.accelerator.device)
            if any(weight.requires_grad for weight in own.parameters()) and not hasattr(own, "update"):
                raise ElsfaceError(f"the loss {name} has weights and no method update(sr, hr) that trains them.")
        columns(self)  # here, where the names come from, and not after an hour's set-up

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training faces."""
        return len(self.batches) // self.config.epochs

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.batches)

    def _stream(self) -> Iterator[Pair]:
        """The batches from the present step on."""
        left = range(self.step, self.total_steps)
        yield from DataLoader(self.batches, None, sampler=left, num_workers=self.config.workers)

    def batch(self) -> Pair:
        """This process's share of the step's batch: LR (b, 3, h, w) and HR (b, 3, H, W), in [0, 1]."""
        lr, hr = next(self.stream)
        device = self.accelerator.device
        return lr.to(device), hr.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Each loss by its name, and before them `loss`, the weighted sum that is minimised."""
        parts = {name: loss(sr, hr) for name, loss in self.losses.items()}
        return {"loss": sum(self.weights[name] * part for name, part in parts.items()), **parts}  # type: ignore[dict-item]

    def train_step(self) -> dict[str, float]:
        """One step; returns its numbers, averaged over the processes.

        Raises:
            ElsfaceError: the loss was not finite, or exploded, for the tenth time in a row.
        """
        share = rate_share(self.config, self.step, self.steps_per_epoch)
        for group, highest in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = highest * share
        sr, hr, record = self._gradients()
        if self.healthy(record):
            self.scaler.step(self.optimizer)
            self.update_averages(record["loss"])
            record |= self._update_losses(sr, hr)
        self.scaler.update()
        self.step += 1
        return {"step": self.step, "learning_rate": share * self.highest[0], **record, "skipped": self.skipped}

    def _gradients(self) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Leaves the step's gradients in the parameters; returns SR, HR, and the averages of losses and norm."""
        lr, hr = self.batch()
        with self.autocast:
            sr = self.model(lr)
        losses = self.loss(sr.float(), hr)
        self.optimizer.zero_grad()
        self.accelerator.backward(self.scaler.scale(losses["loss"]))
        if self.symmetry:
            self.symmetry.keep(self.network)
        self.scaler.unscale_(self.optimizer)
        norm = clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        numbers = torch.stack([*losses.values(), norm.float()]).detach()
        numbers = self.accelerator.reduce(numbers, "mean").tolist()
        return sr.detach().float(), hr, dict(zip([*losses, "gradient_norm"], numbers, strict=True))

    def _update_losses(self, sr: Tensor, hr: Tensor) -> dict[str, float]:
        """Trains the losses' own weights, each process on the whole batch, so that they stay equal."""
        trained = {name: module for name, module in self.modules.items() if hasattr(module, "update")}
        if trained:
            sr, hr = self.accelerator.gather((sr, hr))
        return {f"{name}_own": float(module.update(sr, hr)) for name, module in trained.items()}  # type: ignore[operator]

    def healthy(self, record: dict[str, float]) -> bool:
        """Whether the step may change the weights; counts the steps that may not."""
        finite = math.isfinite(record["loss"])
        if not self.scaler.is_enabled():  # it looks for infinite gradients itself, and expects some
            finite = finite and math.isfinite(record["gradient_norm"])
        if finite and record["loss"] <= EXPLODED * self.loss_size:
            self.skipped_in_a_row = 0
            return True
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise ElsfaceError(
                f"training diverged at step {self.step + 1}: {MAX_SKIPPED_IN_A_ROW} times in a row the loss was not "
                "finite, or exploded. The last checkpoint is good; start a new run with --start and its best weights, "
                "at a lower train.learning_rate or with train.precision=no."
            )
        return False

    def update_averages(self, loss: float) -> None:
        """Moves the averages of the weights and of the loss's size, since a loss may be negative (-SSIM)."""
        update_average(self.ema, self.network, self.step, self.config.ema_decay)
        self.loss_size = abs(loss) if math.isinf(self.loss_size) else 0.99 * self.loss_size + 0.01 * abs(loss)

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], Tensor]:
        """Restores the validation faces with the averaged weights, and keeps how good the best were: `best`, which is
        what the config calls so, negative where lower is better.

        Returns:
            The mean `psnr` in dB, `ssim`, and what the config calls best; and the restored faces, (m, 3, H, W).
        """
        names, restored, scores = dict.fromkeys(("psnr", "ssim", self.config.best)), [], []
        for lr, hr in DataLoader(self.validation, self.config.batch_size):
            lr, hr = lr.to(self.accelerator.device), hr.to(self.accelerator.device)
            sr = quantize(self.ema(lr))
            scores.append(torch.stack([IMAGE_METRICS[name].function(sr, hr) for name in names]))
            restored.append(sr.cpu())
        means = dict(zip(names, torch.cat(scores, 1).mean(1).tolist(), strict=True))
        sign = 1 if IMAGE_METRICS[self.config.best].higher_is_better else -1
        self.best = max(self.best, sign * means[self.config.best])
        return means, torch.cat(restored)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` continues bit for bit."""
        return {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "loss_size": self.loss_size,
            "best": self.best,
            "model": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "losses": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from what `state_dict` gave."""
        for name in ("step", "skipped", "skipped_in_a_row", "loss_size", "best"):
            setattr(self, name, state[name])
        self.network.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for name, own in self.modules.items():
            own.load_state_dict(state["losses"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.stream = self._stream()

    def fit(self, folder: str | Path, report: Report | None = None, stop_at: int | None = None) -> "Trainer":
        """Trains to the end in the folder of a run; from its last checkpoint, if it holds one.

        Args, Raises: see `fit.fit`.
        """
        fit(self, Path(folder), report, stop_at)
        return self
