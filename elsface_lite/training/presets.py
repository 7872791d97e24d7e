"""What a config alone makes of a trainer: its losses and its optimizer (chapter 06)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .adversarial import AdversarialLoss
from .config import TrainConfig
from .losses import SharpLoss
from .optim import Muon, muon_groups
from .perceptual import LPIPSLoss

PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def preset_losses(config: TrainConfig) -> dict[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]]:
    """L1, and those others that have a weight in the config."""
    precision = PRECISIONS[config.precision]
    losses: dict[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]] = {"l1": (1.0, nn.L1Loss())}
    if config.sharp_weight:
        losses["sharp"] = config.sharp_weight, SharpLoss()
    if config.lpips_weight:
        losses["perceptual"] = config.lpips_weight, LPIPSLoss(precision=precision)
    if config.lpips_vgg_weight:
        losses["perceptual_vgg"] = config.lpips_vgg_weight, LPIPSLoss("vgg", precision)
    if config.adversarial_weight:
        losses["adversarial"] = config.adversarial_weight, AdversarialLoss(precision=precision)
    return losses


def preset_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that the config names, for all parameters of the network."""
    betas, decay = (0.9, config.beta2), config.weight_decay
    if config.optimizer == "muon":
        return Muon(muon_groups(network), config.learning_rate, betas, decay)
    return torch.optim.Adam(network.parameters(), config.learning_rate, betas, weight_decay=decay)
