"""The three exercises of chapter 06: channels of a shuffle, a network for a phone, and gradients accumulated."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...network.elsface import ELSFace, ELSFaceConfig
from .chapter06 import random
from .compare import Checks


def check_channels(answer: Any) -> str:
    answer, config = float(answer), ELSFaceConfig.lite(scale=8)
    if answer == config.out_channels:
        return "That is after the shuffle."
    if answer == 8 * config.out_channels:
        return "That fills a row of 8 pixels: the shuffle lays out a square."
    if answer == 64 * 3:
        return "Not colours leave the shuffle, but `out_channels`; another convolution makes colours of them."
    return (
        "" if answer == 64 * config.out_channels else "Every channel needs one value for each pixel of an 8×8 square."
    )


def check_small(config: Any) -> str:
    if not isinstance(config, ELSFaceConfig):
        return f"An ELSFaceConfig is asked for, not a {type(config).__name__}."
    kept = {
        "scale 4": config.scale == 4,
        "both streams": config.streams == "both",
        "latent styles": config.style != "none",
        "recursion in both streams": min(config.cnn_recursions, config.rstb_recursions) > 1,
        "a CNN stream with a block to repeat": config.cnn_blocks > 0,
        "an HFEB": config.hfebs > 0,
        "residual blocks in it": config.hfeb_blocks > 0,
        "24 channels": config.channels >= 24,
    }
    if lost := [idea for idea, there in kept.items() if not there]:
        return f"It lost something that it should keep: {', '.join(lost)}."
    model = ELSFace(config)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 3, 32, 32))
    cost, parameters = counter.get_total_flops() / 2e9, sum(p.numel() for p in model.parameters())
    if cost < 0.3 and parameters < 300_000:
        return ""
    return f"It costs {cost:.2f} G multiply-adds and has {parameters:,} parameters: still too dear."


class _Watched(nn.Module):
    """A small network that notes the sizes of its batches, and when a graph is made (+1) and freed (-1)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
        self.sizes: list[int] = []
        self.graphs: list[int] = []

    def forward(self, lr: Tensor) -> Tensor:
        self.sizes.append(len(lr))
        sr: Tensor = self.body(lr)
        if sr.requires_grad:
            self.graphs.append(1)
            sr.register_hook(lambda _: self.graphs.append(-1))
        return sr


def check_accumulate(answer: Any) -> str:
    for faces, most in ((7, 3), (5, 2), (4, 4), (9, 1)):
        model = _Watched()
        lr, hr = random(faces, 3, 4, 4), random(faces, 3, 8, 8, seed=1)
        hr = hr * torch.linspace(0.2, 3, faces).view(-1, 1, 1, 1)  # so that it matters whose error it is
        F.l1_loss(model.body(lr), hr).backward()
        expected = [weight.grad for weight in model.parameters()]
        model.zero_grad()
        answer(model, lr, hr, most)
        if max(model.sizes, default=0) > most:
            return f"With most={most} the network saw {max(model.sizes)} faces at once."
        if not all(weight.grad is not None for weight in model.parameters()):
            return "There is no gradient in the parameters: `backward()` puts it there."
        alive = max((sum(model.graphs[: i + 1]) for i in range(len(model.graphs))), default=0)
        if alive > 1:
            return f"{alive} graphs are alive at once, as large as the whole batch: go backward after each part."
        found = [weight.grad for weight in model.parameters()]
        worst = max(
            ((a - b).abs().max() / b.abs().max()).item()  # type: ignore[operator, union-attr]
            for a, b in zip(found, expected, strict=True)
        )
        if worst > 1e-3:
            return (
                f"For {faces} faces and most={most} gradients are off by {worst:.0%}: do parts weigh by their number?"
            )
    return ""


CHECKS: Checks = {"06.1": check_channels, "06.2": check_small, "06.3": check_accumulate}
