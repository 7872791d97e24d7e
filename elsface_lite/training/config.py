"""Everything that defines a training beside the network and the faces (chapter 06)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..config import AnyConfig, Config, Fields, preset
from ..metrics.evaluator import IMAGE_METRICS


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Everything that defines a training run beside the network and the faces. The defaults are the preset `lite`, but
    for its mirror symmetry, which only networks of ours have.

    Args:
        epochs: passes over the training faces.
        batch_size: faces per step, over all processes together.
        optimizer: "muon" (optim.Muon) or "adam" (the authors').
        learning_rate: its highest value.
        schedule: "cosine" falls to zero at the last step, "linear" by equal steps at each epoch (the authors'),
            "constant" stays: another run that starts with its weights brings the rate down when there is time to.
        warmup: the share of the run over which the learning rate rises to its highest value.
        weight_decay, beta2: of Adam; in Muon the decay is of all weights, decoupled, and beta2 of Adam's share.
        gradient_clip: largest norm of the gradient; 0 does not clip.
        ema_decay: of the moving average of the weights, which is what is validated and shipped; 0 averages nothing.
        sharp_weight: lambda in L1 + lambda * Sharp Loss; 0 leaves it out.
        lpips_weight, lpips_vgg_weight, adversarial_weight: of LPIPS by AlexNet and by VGG, and of a discriminator
            (chapter 09), in the same way.
        symmetric: whether the weights, which must be so at the start, stay mirror-symmetric to the last step
            (symmetry.py).
        flips: whether half of the faces are mirrored; to symmetric weights it makes next to no difference.
        shift: how far a face moves at most, up or down and left or right, in HR pixels; the border is mirrored.
        precision: "no" (float32), "bf16" or "fp16" (GPUs only). bfloat16 pays where the processor computes in it, and
            is many times slower where it does not.
        recompute: whether the stages of the network compute again in the backward pass what they would have kept
            (optimize.recompute): less than half of the memory, for more time.
        workers: processes that make the batches ahead; 0 makes them in between.
        validate_every, checkpoint_every, log_every: in steps; each also happens at the last step.
        best: the metric of pairs by which the best weights are known, such as "psnr" or "lpips".
        seed: of the first weights, the order of the faces, the flips and the shifts.

    Raises:
        ValueError: a value that cannot be, with the reason.
    """

    epochs: int = 40
    batch_size: int = 16
    optimizer: Literal["muon", "adam"] = "muon"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    beta2: float = 0.99
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    sharp_weight: float = 0.05
    lpips_weight: float = 0.0
    lpips_vgg_weight: float = 0.0
    adversarial_weight: float = 0.0
    symmetric: bool = False
    flips: bool = True
    shift: int = 4
    precision: Literal["no", "bf16", "fp16"] = "no"
    recompute: bool = False
    workers: int = 0
    validate_every: int = 500
    checkpoint_every: int = 100
    log_every: int = 20
    best: str = "psnr"
    seed: int = 0

    def check(self) -> None:
        self.check_least(1, "epochs", "batch_size", "validate_every", "checkpoint_every", "log_every")
        self.check_least(0, "learning_rate", "weight_decay", "gradient_clip")
        self.check_least(0, "sharp_weight", "lpips_weight", "lpips_vgg_weight", "adversarial_weight")
        self.check_least(0, "shift", "seed", "workers")
        if self.shift > 64:
            raise ValueError(f"shift must be at most 64 pixels, half of an HR face, not {self.shift}.")
        if self.best not in IMAGE_METRICS:
            raise ValueError(f"best must be a metric of pairs ({', '.join(IMAGE_METRICS)}), not {self.best!r}.")
        for name in ("warmup", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}.")

    @classmethod
    def lite(cls: Callable[Fields, AnyConfig], *none: Fields.args, **changes: Fields.kwargs) -> AnyConfig:
        """Our recipe: Muon, warm-up and cosine, clipped gradients, averaged and symmetric weights, shifts."""
        return preset(cls, {"symmetric": True}, *none, **changes)

    @classmethod
    def paper(cls: Callable[Fields, AnyConfig], *none: Fields.args, **changes: Fields.kwargs) -> AnyConfig:
        """The authors' recipe, as their released code has it (main_train.py)."""
        recipe: dict[str, Any] = dict(
            optimizer="adam", learning_rate=1e-4, schedule="linear", warmup=0.0, weight_decay=1e-5, beta2=0.999,
            gradient_clip=0.0, ema_decay=0.0, flips=False, shift=0,
        )  # fmt: skip
        return preset(cls, recipe, *none, **changes)
