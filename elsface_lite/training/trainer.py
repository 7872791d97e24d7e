"""Training that can be stopped at any moment and goes on as if nothing had happened (chapter 06).

Everything that a step depends on - which faces, which of them are flipped, the learning rate - is a function of the
seed and the number of the step. So a checkpoint needs no position in any iterator: the step is the position.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from .config import Config
from .degradation import downscale, quantize
from .errors import ElsfaceError
from .losses import SharpLoss
from .metrics import psnr, ssim
from .model import ELSFace, ELSFaceConfig
from .optim import Muon
from .optimize import recompute
from .symmetry import MirrorSymmetry

# A loss this many times above its running average counts as exploded.
EXPLODED = 10.0
MAX_SKIPPED_IN_A_ROW = 10


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Everything that defines a training run beside the network and the faces. The defaults are the preset `lite`.

    Args:
        epochs: passes over the training faces.
        batch_size: faces per step, over all processes together.
        optimizer: "muon" (optim.Muon) or "adam" (the authors').
        learning_rate: its highest value.
        schedule: "cosine" falls to zero at the last step, "linear" by equal steps at each epoch (the authors').
        warmup_steps: steps over which the learning rate rises to its highest value.
        weight_decay, beta2: of Adam, and of Adam's share in Muon.
        gradient_clip: largest norm of the gradient; 0 does not clip.
        ema_decay: of the moving average of the weights, which is what is validated and shipped; 0 averages nothing.
        sharp_weight: lambda in L1 + lambda * Sharp Loss; 0 leaves it out.
        symmetric: whether the weights are mirror-symmetric from the first step to the last (symmetry.py).
        flips: whether half of the faces are mirrored; to symmetric weights it makes next to no difference.
        shift: how far a face moves at most, up or down and left or right, in HR pixels; the border is mirrored.
        precision: "no" (float32), "bf16" or "fp16" (GPUs only). bfloat16 pays where the processor computes in it, and
            is many times slower where it does not.
        recompute: whether the stages of the network compute again in the backward pass what they would have kept
            (optimize.recompute): less than half of the memory, for more time.
        validate_every, checkpoint_every, log_every: in steps; each also happens at the last step.
        seed: of the first weights, the order of the faces, the flips and the shifts.

    Raises:
        ValueError: a value that cannot be, with the reason.
    """

    epochs: int = 40
    batch_size: int = 16
    optimizer: Literal["muon", "adam"] = "muon"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "linear"] = "cosine"
    warmup_steps: int = 200
    weight_decay: float = 0.0
    beta2: float = 0.99
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    sharp_weight: float = 0.05
    symmetric: bool = True
    flips: bool = True
    shift: int = 4
    precision: Literal["no", "bf16", "fp16"] = "no"
    recompute: bool = False
    validate_every: int = 500
    checkpoint_every: int = 100
    log_every: int = 20
    seed: int = 0

    def check(self) -> None:
        self.check_least(1, "epochs", "batch_size", "validate_every", "checkpoint_every", "log_every")
        self.check_least(0, "learning_rate", "warmup_steps", "weight_decay", "gradient_clip", "sharp_weight")
        self.check_least(0, "shift", "seed")
        if self.shift > 64:
            raise ValueError(f"shift must be at most 64 pixels, half of an HR face, not {self.shift}.")
        for name in ("beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}.")

    @classmethod
    def lite(cls, **changes: Any) -> Self:
        """Our recipe: Muon, warm-up and cosine, clipped gradients, averaged and symmetric weights, shifts."""
        return cls.from_dict(changes)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The authors' recipe, as their released code has it (main_train.py)."""
        recipe: dict[str, Any] = dict(
            optimizer="adam", learning_rate=1e-4, schedule="linear", warmup_steps=0, weight_decay=1e-5, beta2=0.999,
            gradient_clip=0.0, ema_decay=0.0, sharp_weight=0.05, symmetric=False, flips=False, shift=0,
        )  # fmt: skip
        return cls.from_dict(recipe | changes)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (counted from 0)."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "linear":
        return config.learning_rate * warmup * (1 - step // steps_per_epoch / config.epochs)
    progress = step / (config.epochs * steps_per_epoch)
    return config.learning_rate * warmup * (1 + math.cos(math.pi * progress)) / 2


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on nothing but the key."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


def batch_indices(config: TrainConfig, step: int, faces: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which faces a step sees, which of them mirrored, and how far each is moved.

    Every epoch is a new permutation; what is left over below one batch is dropped, so no face comes twice in it.

    Returns:
        (batch_size,) indices into the faces, (batch_size,) booleans, and (batch_size, 2) shifts down and to the right,
        in HR pixels.
    """
    epoch, position = divmod(step, faces // config.batch_size)
    order = torch.randperm(faces, generator=generator(config.seed, 1, epoch))
    chosen = order[position * config.batch_size :][: config.batch_size]
    of_step = generator(config.seed, 2, step)
    flips = torch.rand(config.batch_size, generator=of_step) < 0.5
    shifts = torch.randint(-config.shift, config.shift + 1, (config.batch_size, 2), generator=of_step)
    return chosen, flips & torch.tensor(config.flips), shifts


def shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Moves every image by whole pixels, so that nothing is resampled; the border is mirrored.

    Args:
        images: (b, c, h, w).
        shifts: (b, 2), pixels down and to the right.

    Returns:
        (b, c, h, w).
    """
    height, width = images.shape[-2:]
    margin = int(shifts.abs().max())
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    corners = (margin - shifts).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)])


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
        AcceleratorState._reset_state()  # Accelerate keeps the precision of the first run in a process otherwise
        self.accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision=config.precision)
        self._check()
        torch.manual_seed(config.seed)
        model = ELSFace(model_config).to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.symmetry = MirrorSymmetry(model) if config.symmetric else None
        if self.symmetry:
            self.symmetry.start(model)
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        if config.recompute:
            recompute(model)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer_of(model, config))
        self.sharp_loss = SharpLoss().to(self.accelerator.device)
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
            self.optimizer.step()
            self.update_averages(record["loss"])
        elif self.accelerator.scaler is not None:
            self.accelerator.scaler.update()  # which the optimizer's step would have done
        self.step += 1
        return {"step": self.step, "learning_rate": rate, **record, "skipped": self.skipped}

    def _gradients(self) -> dict[str, float]:
        """Leaves the step's gradients in the parameters; returns losses and norm, averaged over the processes."""
        lr, hr = self.batch()
        losses = self.loss(self.model(lr), hr)
        self.optimizer.zero_grad()
        self.accelerator.backward(losses["loss"])
        if self.symmetry:
            self.symmetry.keep(self.accelerator.unwrap_model(self.model))
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        numbers = torch.stack([*losses.values(), norm.float()]).detach()
        numbers = self.accelerator.reduce(numbers, "mean").tolist()
        return dict(zip([*losses, "gradient_norm"], numbers, strict=True))

    def healthy(self, record: dict[str, float]) -> bool:
        """Whether the step may change the weights; counts the steps that may not."""
        finite = math.isfinite(record["loss"])
        if self.accelerator.scaler is None:  # a float16 scaler looks for infinite gradients itself, and expects some
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
        scaler = self.accelerator.scaler
        return {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "loss_average": self.loss_average,
            "best_psnr": self.best_psnr,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from what `state_dict` gave."""
        for name in ("step", "skipped", "skipped_in_a_row", "loss_average", "best_psnr"):
            setattr(self, name, state[name])
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
