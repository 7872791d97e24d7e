"""Chapter 06: the shuffle, the network, rate, step and average of a training; see checkpoint06 and exercises06 too."""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from ...data.degradation import upscale
from ...network.elsface import ELSFace, ELSFaceConfig
from ...training.average import update_average
from ...training.config import TrainConfig
from ...training.schedule import rate_share
from .compare import FORGOTTEN, Checks, Function, compare


def random(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1], the same for a seed."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def check_pixel_shuffle(answer: Any) -> str:
    def laid(pattern: str) -> Function:
        return lambda x, r: rearrange(x, f"{pattern} -> b c (h down) (w right)", down=r, right=r)

    mistakes = {
        "Rows and columns of the squares are swapped: value 1 goes to the right of value 0.": laid(
            "b (c right down) h w"
        ),
        "Channels 0 to s * s - 1 make the first square channel: you take every c-th one.": laid("b (down right c) h w"),
        "Each square has one value of every channel: you only gave the numbers another shape.": lambda x, r: x.reshape(
            len(x), -1, x.shape[2] * r, x.shape[3] * r
        ),
        "You lay whole pictures side by side: neighbours in the result come from different channels.": lambda x, r: (
            rearrange(x, "b (c down right) h w -> b c (down h) (right w)", down=r, right=r)
        ),
    }
    cases = [(random(2, 12, 3, 5), 2), (random(1, 18, 4, 2, seed=1), 3), (random(1, 3, 4, 4, seed=2), 1)]
    return compare(answer, F.pixel_shuffle, cases, mistakes, tolerance=1e-6, gradient=True)


def _network(**changes: Any) -> ELSFace:
    """A small one that is not silent: random weights in its last convolution, too."""
    small: dict[str, Any] = dict(channels=8, heads=2, hfeb_blocks=1, out_channels=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ELSFace(ELSFaceConfig.lite(**small | changes))
        model.upsample[-1].reset_parameters()  # type: ignore[operator]
    return model


def check_forward(answer: Any) -> str:
    def forward(
        self: Any, lr: Tensor, swap: bool = False, hfeb: bool = True, both: bool = False, skip: bool | None = None
    ) -> Tensor:
        first, second = self.prepare(lr).unbind(1)
        first, second = (second, first) if swap else (first, second)
        textures, contours = self.cnn(first), self.transformer(second)
        fused = self.hfebs(textures + contours) if both else textures + (self.hfebs(contours) if hfeb else contours)
        return enlarged(self, fused, lr, self.config.bicubic_skip if skip is None else skip)

    def enlarged(self: Any, fused: Tensor, lr: Tensor, skip: bool) -> Tensor:
        sr = self.upsample(fused)
        return sr + F.interpolate(lr, scale_factor=self.config.scale, mode="bicubic") if skip else sr

    def upscaled(self: Any, lr: Tensor) -> Tensor:
        return upscale(lr, self.config.scale) if self.config.bicubic_skip else torch.zeros(())

    def mean(self: Any, lr: Tensor) -> Tensor:
        first, second = self.prepare(lr).unbind(1)
        fused = (self.cnn(first) + self.hfebs(self.transformer(second))) / 2
        return enlarged(self, fused, lr, self.config.bicubic_skip)

    mistakes: dict[str, Function] = {
        "The streams are swapped: the first features are the CNN stream's.": partial(forward, swap=True),
        "The HFEBs are missing: they end the Transformer stream.": partial(forward, hfeb=False),
        "The HFEBs come before the sum, in the Transformer stream alone.": partial(forward, both=True),
        "Bicubic is missing: add it if `self.config.bicubic_skip` is set.": partial(forward, skip=False),
        "Bicubic is added always: ask `self.config.bicubic_skip`.": partial(forward, skip=True),
        "You take the mean of the streams: the paper adds them.": mean,
        "Do not clamp: what leaves the network is trained as it is.": lambda self, lr: forward(self, lr).clamp(0, 1),
        "Bicubic without antialiasing is asked for, and without rounding.": lambda self, lr: (
            forward(self, lr, skip=False) + upscaled(self, lr)
        ),
    }
    paper = dict(grid=2, style="scale", hfeb_skip=False, transformer_skip=False, bicubic_skip=False)
    cases = [
        (_network(), random(1, 3, 16, 16)),
        (_network(**paper), random(2, 3, 8, 8, seed=1)),
        (_network(scale=2), random(1, 3, 9, 16, seed=2)),
    ]
    return compare(answer, ELSFace.forward, cases, mistakes, tolerance=1e-5, gradient=True)


def check_rate_share(answer: Any) -> str:
    def named(rate: Function) -> Function:
        """By schedule, epochs, warm-up and step, which words can name; 20 steps an epoch."""
        return lambda schedule, epochs, warmup, step: rate(
            TrainConfig(schedule=schedule, epochs=epochs, warmup=warmup, learning_rate=1e-4), step, 20
        )

    def share(config: TrainConfig, step: int, per_epoch: int, first: int = 1, half: float = 2, plus: int = 1) -> float:
        steps = config.epochs * per_epoch
        warmup = min(1.0, (step + first) / (config.warmup * steps)) if config.warmup else 1.0
        shapes = {
            "constant": 1.0,
            "linear": 1 - step // per_epoch / config.epochs,
            "cosine": (plus + math.cos(math.pi * step / steps)) / half,
        }
        return warmup * shapes[config.schedule]

    def every_step(config: TrainConfig, step: int, per_epoch: int) -> float:
        linear = share(replace(config, schedule="constant"), step, per_epoch)
        linear *= 1 - step / (config.epochs * per_epoch)
        return linear if config.schedule == "linear" else share(config, step, per_epoch)

    def by_epoch(config: TrainConfig, step: int, per_epoch: int) -> float:
        start = step // per_epoch * per_epoch if config.schedule == "cosine" else step
        warmup = share(replace(config, schedule="constant"), step, per_epoch)
        return warmup * share(replace(config, warmup=0.0), start, per_epoch)

    def one_after_the_other(config: TrainConfig, step: int, per_epoch: int) -> float:
        warmup = share(replace(config, schedule="constant"), step, per_epoch)
        return warmup if warmup < 1 else share(config, step, per_epoch)

    mistakes: dict[str, Function] = {
        "The first step has rate 0 and does nothing: steps count from 0, so take step + 1 in the warm-up.": partial(
            share, first=0
        ),
        "The warm-up is missing.": lambda config, *rest: share(replace(config, warmup=0.0), *rest),
        "The cosine goes from 1 to -1: add 1, then halve.": partial(share, half=1, plus=0),
        "The cosine is not halved: the share goes from 2 to 0.": partial(share, half=1),
        "A share is asked for, 0 to 1: leave the highest rate out.": lambda config, *rest: (
            share(config, *rest) * config.learning_rate
        ),
        "The linear schedule falls from epoch to epoch, and stays within one.": every_step,
        "The cosine falls with every step, not from epoch to epoch.": by_epoch,
        "The schedule counts in the warm-up, too: multiply the two.": one_after_the_other,
    }
    runs = [("cosine", 10, 0.1), ("cosine", 5, 0.0), ("linear", 5, 0.0), ("constant", 5, 0.3), ("linear", 4, 0.3)]
    cases = [(*run, step) for run in runs for step in (0, 3, 7, 19, 20, 50, 79)]
    wrong = {words: named(mistake) for words, mistake in mistakes.items()}
    return compare(named(answer), named(rate_share), cases, wrong, tolerance=1e-6)


Step = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, float], Any]


def _three_steps(step: Step, make: Any, rate: float, clip: float) -> tuple[Tensor, Tensor]:
    """The losses and the weights that three steps give."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    optimizer, losses = make(model.parameters(), lr=rate), []
    for seed in range(3):
        loss = step(model, optimizer, random(2, 3, 4, 5, seed=seed), random(2, 3, 8, 10, seed=seed + 9), clip)
        if loss is None:
            raise ValueError(FORGOTTEN)
        losses.append(torch.as_tensor(loss, dtype=torch.float32).detach())
    return torch.stack(losses), nn.utils.parameters_to_vector(model.parameters()).detach()


def check_train_step(answer: Any) -> str:
    def step(
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr: Tensor,
        hr: Tensor,
        clip: float,
        forget: bool = True,
        early: bool = False,
        move: bool = True,
        loss_of: Function = F.l1_loss,
        again: bool = False,
        clipped: Function = clip_grad_norm_,
    ) -> float:
        loss = loss_of(model(lr), hr)
        if forget:
            optimizer.zero_grad()
        if early:
            clip_grad_norm_(model.parameters(), clip)
        loss.backward()
        if not early:
            clipped(model.parameters(), clip)
        if move:
            optimizer.step()
        return loss_of(model(lr), hr).item() if again else loss.item()

    def one_by_one(weights: Iterable[nn.Parameter], clip: float) -> None:
        for weight in weights:
            clip_grad_norm_([weight], clip)

    wrong: dict[str, Step] = {
        "The gradients of earlier steps are still there: `optimizer.zero_grad()` before `backward()`.": partial(
            step, forget=False
        ),
        "The weights do not move: `optimizer.step()` is missing.": partial(step, move=False),
        "The loss is the mean of absolute errors, not of squares.": partial(step, loss_of=F.mse_loss),
        "You summed the errors: take their mean.": partial(step, loss_of=partial(F.l1_loss, reduction="sum")),
        "Each weight's gradient is clipped by itself: the norm of all of them together counts.": partial(
            step, clipped=one_by_one
        ),
        "`clip` is for the norm of the gradient, not for each of its numbers.": partial(step, clipped=clip_grad_value_),
        "The gradient is not clipped, or is clipped before there is one: after `backward()`, before the step.": partial(
            step, early=True
        ),
        "Return the loss before the step: another pass through the network costs as much as this one.": partial(
            step, again=True
        ),
    }
    cases = [(torch.optim.SGD, 0.5, 0.05), (torch.optim.SGD, 0.2, 100.0), (torch.optim.Adam, 0.01, 1.0)]
    mistakes = {words: partial(_three_steps, mistake) for words, mistake in wrong.items()}
    try:
        return compare(partial(_three_steps, answer), partial(_three_steps, step), cases, mistakes, tolerance=1e-5)
    except ValueError as error:
        if str(error) == FORGOTTEN:
            return FORGOTTEN
        raise


def _averages(update: Callable[..., Any], decay: float, first: int) -> Tensor:
    """The average's weights after three steps of a network that moves by itself."""
    network = nn.Linear(3, 2)
    average = copy.deepcopy(network).requires_grad_(False)
    for weight in average.parameters():
        weight.zero_()
    for step in range(3):
        before = random(8, seed=step)
        nn.utils.vector_to_parameters(before.clone(), network.parameters())
        update(average, network, first + step, decay)
        if any(weight.requires_grad for weight in average.parameters()):
            raise ValueError("grad")
        if not torch.equal(before, nn.utils.parameters_to_vector(network.parameters())):
            raise ValueError("network")
    return nn.utils.parameters_to_vector(average.parameters()).detach()


def check_update_average(answer: Any) -> str:
    def update(
        average: nn.Module, network: nn.Module, step: int, decay: float, swap: bool = False, early: bool = True
    ) -> None:
        b = min(decay, (1 + step) / (10 + step)) if early else decay
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
                mine.lerp_(theirs, b if swap else 1 - b)

    wrong: dict[str, Function] = {
        "The shares are swapped: b of the average stays, 1 - b of the network comes.": partial(update, swap=True),
        "b should start low: take the smaller of `decay` and (1 + step) / (10 + step).": partial(update, early=False),
        "b is (1 + step) / (10 + step) for ever: `decay` is its highest value.": lambda a, n, step, decay: update(
            a, n, step, 1.0
        ),
        "The average does not change: write into its weights, as `mine.lerp_(theirs, share)` does.": lambda *case: None,
        "That is a copy of the network.": lambda average, network, step, decay: update(average, network, step, 0.0),
    }
    cases = [(0.9, 0), (0.5, 0), (0.9, 500), (0.0, 3)]
    mistakes = {words: partial(_averages, mistake) for words, mistake in wrong.items()}
    try:
        return compare(partial(_averages, answer), partial(_averages, update_average), cases, mistakes, tolerance=1e-6)
    except ValueError as error:
        words = {
            "grad": "The average has become a part of the graph: work under `torch.no_grad()`.",
            "network": "You change the network: only the average moves.",
        }
        if str(error) in words:
            return words[str(error)]
        raise


CHECKS: Checks = {
    "pixel_shuffle": check_pixel_shuffle,
    "ELSFace.forward": check_forward,
    "train_step": check_train_step,
    "rate_share": check_rate_share,
    "update_average": check_update_average,
}
