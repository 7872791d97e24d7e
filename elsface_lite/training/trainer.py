"""Training that can be stopped at any moment and goes on as if nothing had happened (chapter 06)."""

import copy
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from ..data.degradation import downscale, quantize
from ..errors import ElsfaceError
from ..inference.optimize import recompute
from ..metrics.image import psnr, ssim
from ..network.elsface import ELSFace, ELSFaceConfig
from ..packages import extra
from .config import TrainConfig
from .losses import SharpLoss
from .optim import Muon
from .schedule import batch_indices, learning_rate, shifted
from .symmetry import MirrorSymmetry

with extra("train"):
    from accelerate import Accelerator

# A loss this many times above its running average counts as exploded.
EXPLODED = 10.0
MAX_SKIPPED_IN_A_ROW = 10
PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def optimizer_of(model: ELSFace, config: TrainConfig) -> torch.optim.Adam:
    """The optimizer that the config names, for all parameters of the model."""
    betas, decay = (0.9, config.beta2), config.weight_decay
    if config.optimizer == "muon":
        return Muon(model, config.learning_rate, betas, decay)
    return torch.optim.Adam(model.parameters(), config.learning_rate, betas, weight_decay=decay)


class Trainer:
    """Trains one network on faces in memory (or in a memory map), on whatever Accelerate was launched on.

    Args:
        config, model_config: what to train, and how.
        faces: (n, 3, H, W), uint8 RGB, HR.
        validation: (m, 3, H, W), uint8 RGB, HR; people whom `faces` does not show.

    Raises:
        ElsfaceError: there are fewer faces than one batch, the batch cannot be shared out among the processes, the
            precision does not work here, or symmetric weights are asked of a network with an odd number of heads.
    """

    def __init__(
        self, config: TrainConfig, model_config: ELSFaceConfig, faces: np.ndarray, validation: np.ndarray
    ) -> None:
        self.config, self.faces, self.validation = config, faces, validation
        self.accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")  # that is ours
        self._check()
        device = self.accelerator.device
        self.autocast = torch.autocast(device.type, PRECISIONS[config.precision], enabled=config.precision != "no")
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        torch.manual_seed(config.seed)
        model = ELSFace(model_config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.symmetry = MirrorSymmetry(model) if config.symmetric else None
        if self.symmetry:
            self.symmetry.start(model)
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        if config.recompute:
            recompute(model)
        self.optimizer, self.model = optimizer_of(model, config), self.accelerator.prepare(model)
        self.sharp_loss = SharpLoss().to(device)
        self.step = self.skipped = self.skipped_in_a_row = 0
        self.loss_average, self.best_psnr = math.inf, -math.inf

    def _check(self) -> None:
        processes, size = self.accelerator.num_processes, self.config.batch_size
        if size % processes:
            raise ElsfaceError(f"batch_size {size} cannot be shared out among {processes} processes.")
        if len(self.faces) < size:
            raise ElsfaceError(f"{len(self.faces)} training faces do not fill one batch of {size}.")
        if self.config.precision == "fp16" and self.accelerator.device.type == "cpu":
            raise ElsfaceError("float16 needs a GPU: set train.precision=bf16, or no.")

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training faces."""
        return len(self.faces) // self.config.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    def batch(self) -> tuple[Tensor, Tensor]:
        """This process's share of the step's batch: LR (b, 3, h, w) and HR (b, 3, H, W), in [0, 1]."""
        chosen, flips, shifts = batch_indices(self.config, self.step, len(self.faces))
        mine = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        hr = torch.from_numpy(self.faces[chosen[mine].numpy()]).to(self.accelerator.device).float() / 255
        flips = flips[mine].to(hr.device)[:, None, None, None]
        hr = shifted(torch.where(flips, hr.flip(-1), hr), shifts[mine])
        hr = hr.contiguous(memory_format=torch.channels_last)
        return downscale(hr, self.ema.config.scale), hr

    def loss(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """L1, the Sharp Loss, and the weighted sum that is minimised."""
        l1 = F.l1_loss(sr, hr)
        if not self.config.sharp_weight:
            return {"loss": l1, "l1": l1}
        sharp = self.sharp_loss(sr, hr)
        return {"loss": l1 + self.config.sharp_weight * sharp, "l1": l1, "sharp": sharp}

    def train_step(self) -> dict[str, float]:
        """One step; returns its numbers, averaged over the processes.

        Raises:
            ElsfaceError: the loss was not finite, or exploded, for the tenth time in a row.
        """
        rate = learning_rate(self.config, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        record = self._gradients()
        if self.healthy(record):
            self.scaler.step(self.optimizer)
            self.update_averages(record["loss"])
        self.scaler.update()
        self.step += 1
        return {"step": self.step, "learning_rate": rate, **record, "skipped": self.skipped}

    def _gradients(self) -> dict[str, float]:
        """Leaves the step's gradients in the parameters; returns losses and norm, averaged over the processes."""
        lr, hr = self.batch()
        with self.autocast:
            sr = self.model(lr)
        losses = self.loss(sr.float(), hr)
        self.optimizer.zero_grad()
        self.accelerator.backward(self.scaler.scale(losses["loss"]))
        if self.symmetry:
            self.symmetry.keep(self.accelerator.unwrap_model(self.model))
        self.scaler.unscale_(self.optimizer)
        norm = clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        numbers = torch.stack([*losses.values(), norm.float()]).detach()
        numbers = self.accelerator.reduce(numbers, "mean").tolist()
        return dict(zip([*losses, "gradient_norm"], numbers, strict=True))

    def healthy(self, record: dict[str, float]) -> bool:
        """Whether the step may change the weights; counts the steps that may not."""
        finite = math.isfinite(record["loss"])
        if not self.scaler.is_enabled():  # it looks for infinite gradients itself, and expects some
            finite = finite and math.isfinite(record["gradient_norm"])
        if finite and record["loss"] <= EXPLODED * self.loss_average:
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

    @torch.no_grad()
    def update_averages(self, loss: float) -> None:
        """Moves the averages of weights and loss; both follow quickly at first."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        weights = list(self.accelerator.unwrap_model(self.model).parameters())
        torch._foreach_lerp_(list(self.ema.parameters()), weights, 1 - decay)
        self.loss_average = loss if math.isinf(self.loss_average) else 0.99 * self.loss_average + 0.01 * loss

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], Tensor]:
        """Restores the validation faces with the averaged weights.

        Returns:
            Mean `psnr` in dB and mean `ssim`, RGB; and the restored faces, (m, 3, H, W) in [0, 1].
        """
        restored, scores = [], []
        for faces in np.array_split(self.validation, math.ceil(len(self.validation) / self.config.batch_size)):
            hr = torch.tensor(faces, device=self.accelerator.device).float() / 255
            sr = quantize(self.ema(downscale(hr, self.ema.config.scale)))
            scores.append(torch.stack([psnr(sr, hr), ssim(sr, hr)]))
            restored.append(sr.cpu())
        mean_psnr, mean_ssim = torch.cat(scores, 1).mean(1).tolist()
        self.best_psnr = max(self.best_psnr, mean_psnr)
        return {"psnr": mean_psnr, "ssim": mean_ssim}, torch.cat(restored)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` continues bit for bit."""
        return {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "loss_average": self.loss_average,
            "best_psnr": self.best_psnr,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from what `state_dict` gave."""
        for name in ("step", "skipped", "skipped_in_a_row", "loss_average", "best_psnr"):
            setattr(self, name, state[name])
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
