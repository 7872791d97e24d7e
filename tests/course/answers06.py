"""Chapter 06: right answers written otherwise, and wrong ones with words that the check must find."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from elsface_lite.data.degradation import upscale
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.average import update_average
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.schedule import rate_share


def loop_shuffle(x, r):
    batch, channels, height, width = x.shape
    out = torch.empty(batch, channels // r**2, height * r, width * r)
    for down in range(r):
        for right in range(r):
            out[:, :, down::r, right::r] = x[:, down * r + right :: r * r]
    return out


def permuted_shuffle(x, r):
    batch, channels, height, width = x.shape
    x = x.view(batch, channels // r**2, r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels // r**2, r * height, r * width)


def laid(pattern, to="b c (h down) (w right)"):
    return lambda x, r: rearrange(x, f"{pattern} -> {to}", down=r, right=r)


def forward(self, lr, hfeb=True, swap=False, fuse=lambda a, b: a + b, skip=None):
    features = self.prepare(lr)
    first, second = (features[:, 1], features[:, 0]) if swap else (features[:, 0], features[:, 1])
    second = self.transformer(second)
    sr = self.upsample(fuse(self.cnn(first), self.hfebs(second) if hfeb else second))
    if self.config.bicubic_skip if skip is None else skip:
        sr += F.interpolate(lr, scale_factor=self.config.scale, mode="bicubic")
    return sr


def early_hfeb(self, lr):
    first, second = self.prepare(lr).unbind(1)
    sr = self.upsample(self.hfebs(self.cnn(first) + self.transformer(second)))
    bicubic = F.interpolate(lr, scale_factor=self.config.scale, mode="bicubic")
    return sr + bicubic if self.config.bicubic_skip else sr


def upscaled(self, lr):
    sr = forward(self, lr, skip=False)
    return sr + upscale(lr, self.config.scale) if self.config.bicubic_skip else sr


def nearest(self, lr):
    sr = forward(self, lr, skip=False)
    return sr + F.interpolate(lr, scale_factor=self.config.scale) if self.config.bicubic_skip else sr


def each_by_itself(weights, clip):
    for weight in weights:
        clip_grad_norm_(weight, clip)


def step(
    model, optimizer, lr, hr, clip=1.0, forget=True, after=True, before=False, move=True,
    loss_of=F.l1_loss, clip_by=clip_grad_norm_,
):  # fmt: skip
    if forget:
        optimizer.zero_grad()
    loss = loss_of(model(lr), hr)
    if before:
        clip_grad_norm_(model.parameters(), clip)
    loss.backward()
    if after:
        clip_by(model.parameters(), clip)
    if move:
        optimizer.step()
    return loss.item()


def forgetting_last(model, optimizer, lr, hr, clip=1.0):
    loss = F.l1_loss(model(lr), hr)
    loss.backward()
    clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def by_hand(model, optimizer, lr, hr, clip=1.0):
    for weight in model.parameters():
        weight.grad = None
    loss = (model(lr) - hr).abs().mean()
    loss.backward()
    norm = torch.stack([weight.grad.norm() for weight in model.parameters()]).norm()
    for weight in model.parameters():
        weight.grad *= min(1, clip / norm)
    optimizer.step()
    return loss.detach()


def late_loss(model, optimizer, lr, hr, clip=1.0):
    step(model, optimizer, lr, hr, clip)
    return F.l1_loss(model(lr), hr).item()


def forgetful_step(model, optimizer, lr, hr, clip=1.0):
    step(model, optimizer, lr, hr, clip)


def rate(config, step, steps_per_epoch, first=1, half=0.5, plus=1):
    total = config.epochs * steps_per_epoch
    share = 1.0 if config.warmup == 0 else np.clip((step + first) / config.warmup / total, 0, 1)
    if config.schedule == "cosine":
        share *= half * (plus + np.cos(np.pi * step / total))
    if config.schedule == "linear":
        share *= 1 - (step // steps_per_epoch) / config.epochs
    return share


def every_step(config, step, steps_per_epoch):
    if config.schedule != "linear":
        return rate_share(config, step, steps_per_epoch)
    return rate(TrainConfig(epochs=config.epochs, warmup=config.warmup, schedule="constant"), step, steps_per_epoch) * (
        1 - step / config.epochs / steps_per_epoch
    )


def by_epoch(config, step, steps_per_epoch):
    if config.schedule != "cosine":
        return rate_share(config, step, steps_per_epoch)
    warmup = min(1, (step + 1) / config.warmup / config.epochs / steps_per_epoch) if config.warmup else 1
    return warmup * (1 + math.cos(math.pi * (step // steps_per_epoch) / config.epochs)) / 2


def piecewise(config, step, steps_per_epoch):
    rising = config.warmup * config.epochs * steps_per_epoch
    return (step + 1) / rising if step + 1 < rising else rate_share(config, step, steps_per_epoch)


def moved(average, network, step, decay, b=None):
    b = min(decay, (1 + step) / (10 + step)) if b is None else b
    for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
        mine.data = b * mine.data + (1 - b) * theirs.data


@torch.no_grad()
def in_place(average, network, step, decay):
    b = min(decay, (1 + step) / (10 + step))
    state = network.state_dict()
    for name, mine in average.state_dict().items():
        mine.mul_(b).add_(state[name], alpha=1 - b)


def with_graph(average, network, step, decay):
    b = min(decay, (1 + step) / (10 + step))
    for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
        mine.mul_(b).add_(theirs, alpha=1 - b)


def rebinding(average, network, step, decay):
    with torch.no_grad():
        for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
            mine = decay * mine + (1 - decay) * theirs


def moves_the_network(average, network, step, decay):
    with torch.no_grad():
        for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
            theirs.lerp_(mine, 0.5)


def parts(run, *names):
    found = {name: getattr(run, name) for name in names}
    return {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in found.items()}


ALL = ("step", "network", "average", "optimizer")
MISSING = ("step is", "weights of", "average is", "optimizer is")


def without(name):
    return lambda run: parts(run, *(other for other in ALL if other != name))


def small(**changes):
    chosen = dict(channels=24, hfeb_blocks=2, out_channels=8, cnn_recursions=2, rstb_recursions=2)
    return ELSFaceConfig.lite(**chosen | changes)


def accumulate(model, lr, hr, most, weigh=True):
    for a, b in zip(lr.split(most), hr.split(most), strict=True):
        share = len(a) / len(lr) if weigh else 1 / math.ceil(len(lr) / most)
        (share * F.l1_loss(model(a), b)).backward()


def summed(model, lr, hr, most):
    for i in range(0, len(lr), most):
        ((model(lr[i : i + most]) - hr[i : i + most]).abs().sum() / hr.numel()).backward()
    return model


def all_graphs(model, lr, hr, most):
    sr = torch.cat([model(part) for part in lr.split(most)])
    F.l1_loss(sr, hr).backward()
    return model


def always_three(model, lr, hr, most):
    accumulate(model, lr, hr, 3)


RIGHT = {
    "pixel_shuffle": [F.pixel_shuffle, loop_shuffle, permuted_shuffle],
    "ELSFace.forward": [ELSFace.forward, forward, lambda self, lr: forward(self, lr, fuse=lambda a, b: b + a)],
    "train_step": [step, by_hand, forgetting_last, lambda *case: torch.tensor(step(*case))],
    "rate_share": [rate_share, rate, lambda *case: torch.tensor(rate(*case))],
    "update_average": [update_average, moved, in_place],
    "checkpoint": [
        lambda run: parts(run, *ALL),
        lambda run: copy.deepcopy(parts(run, *ALL[::-1])),
        lambda run: parts(run, *ALL) | {"step": torch.tensor(run.step)},
    ],
    "06.1": [768, 768.0, torch.tensor(768)],
    "06.2": [small(), small(hfeb_blocks=1), small(cnn_blocks=2)],
    "06.3": [accumulate, summed],
}
WRONG = {
    "pixel_shuffle": [
        (laid("b (c right down) h w"), "swapped"),
        (laid("b (down right c) h w"), "every c-th"),
        (laid("b (c down right) h w", "b c (down h) (right w)"), "side by side"),
        (lambda x, r: x.reshape(len(x), -1, r * x.shape[2], r * x.shape[3]), "another shape"),
        (lambda x, r: F.interpolate(x, scale_factor=r), "the shape should be"),
        (lambda x, r: F.pixel_unshuffle(x, r), "Error|shape"),
        (lambda x, r: F.pixel_shuffle(x, 2), "Error|shape"),
        (lambda x, r: F.pixel_shuffle(x, r).detach(), "No gradient"),
        (lambda x, r: print(end=""), "return"),
    ],
    "ELSFace.forward": [
        (lambda self, lr: forward(self, lr, swap=True), "swapped"),
        (lambda self, lr: forward(self, lr, hfeb=False), "HFEBs are missing"),
        (early_hfeb, "before the sum"),
        (lambda self, lr: forward(self, lr, skip=False), "Bicubic is missing"),
        (lambda self, lr: forward(self, lr, skip=True), "Bicubic is added always"),
        (lambda self, lr: forward(self, lr, fuse=lambda a, b: (a + b) / 2), "mean"),
        (lambda self, lr: forward(self, lr, fuse=lambda a, b: torch.cat([a, b], 1)), "RuntimeError"),
        (lambda self, lr: forward(self, lr, fuse=lambda a, b: a * b), "For a ELSFace|you give"),
        (nearest, "you give"),
        (lambda self, lr: forward(self, lr).clamp(0, 1), "Do not clamp"),
        (upscaled, "without rounding"),
        (lambda self, lr: ELSFace.forward(self, lr).detach(), "No gradient"),
        (lambda self, lr: print(end=""), "return"),
    ],
    "train_step": [
        (lambda *case: step(*case, forget=False), "earlier steps"),
        (lambda *case: step(*case, move=False), "do not move"),
        (lambda *case: step(*case, loss_of=F.mse_loss), "squares"),
        (lambda *case: step(*case, loss_of=lambda a, b: F.l1_loss(a, b, reduction="sum")), "take their mean"),
        (lambda *case: step(*case, clip_by=each_by_itself), "by itself"),
        (lambda *case: step(*case, clip_by=clip_grad_value_), "each of its numbers"),
        (lambda *case: step(*case, after=False), "not clipped"),
        (lambda *case: step(*case, after=False, before=True), "not clipped"),
        (late_loss, "before the step"),
        (forgetful_step, "return"),
        (lambda model, optimizer, lr, hr, clip: lr + hr, "RuntimeError"),
    ],
    "rate_share": [
        (lambda *case: rate(*case, first=0), "step + 1"),
        (lambda *case: rate(*case, half=1, plus=0), "add 1"),
        (lambda *case: rate(*case, half=1), "not halved"),
        (every_step, "stays within one"),
        (by_epoch, "with every step"),
        (piecewise, "multiply the two"),
        (lambda config, *rest: rate(config, *rest) * config.learning_rate, "share is asked for"),
        (lambda config, s, n: rate(TrainConfig(epochs=config.epochs, schedule=config.schedule), s, n), "For 'cosine'"),
        (lambda *case: 1.0, "For 'cosine'"),
        (lambda config, *rest: 1.0 if config.schedule == "constant" else rate(config, *rest), "For 'constant'"),
        (lambda config, s, n: min(1, (s + 1) / (config.warmup * config.epochs * n)), "ZeroDivisionError|you give"),
        (lambda *case: print(end=""), "return"),
    ],
    "update_average": [
        (lambda a, n, s, d: moved(a, n, s, d, 1 - min(d, (1 + s) / (10 + s))), "swapped"),
        (lambda a, n, s, d: moved(a, n, s, d, d), "start low"),
        (lambda a, n, s, d: moved(a, n, s, d, (1 + s) / (10 + s)), "for ever"),
        (rebinding, "does not change"),
        (lambda a, n, s, d: moved(a, n, s, d, 0), "copy of the network"),
        (with_graph, "no_grad"),
        (moves_the_network, "only the average"),
    ],
    "checkpoint": [
        *((without(name), words) for name, words in zip(ALL, MISSING, strict=True)),
        (lambda run: {name: getattr(run, name) for name in ALL}, "plain values"),
        (lambda run: parts(run, *ALL) | {"faces": [1, 2]}, "no part 'faces'"),
        (lambda run: parts(run, *ALL) | {"config": run.config.to_dict()}, "no state"),
        (lambda run: parts(run, *ALL) | {"step": run.step + 1}, "step should be"),
        (lambda run: parts(run, *ALL) | {"average": run.network.state_dict()}, "not the same"),
        (lambda run: list(parts(run, *ALL)), "dictionary"),
        (lambda run: print(end=""), "return"),
    ],
    "06.1": [(12, "after the shuffle"), (96, "row of 8"), (192, "Not colours"), (256, "8×8")],
    "06.2": [
        (ELSFaceConfig.lite(), "recursion"),
        (small(channels=48, hfeb_blocks=24), "too dear"),
        (small(hfeb_blocks=0), "residual blocks in it"),
        (small(cnn_blocks=0), "block to repeat"),
        (small(hfebs=0, hfeb_skip=False), "an HFEB"),
        (small(rstb_recursions=1), "recursion"),
        (small(style="none"), "latent styles"),
        (small(channels=20), "24 channels"),
        (small(scale=8), "scale 4"),
        ({"channels": 24}, "ELSFaceConfig"),
    ],
    "06.3": [
        (all_graphs, "graphs are alive"),
        (lambda *case: accumulate(*case, weigh=False), "weigh"),
        (always_three, "saw 3 faces"),
        (lambda model, lr, hr, most: F.l1_loss(model(lr), hr).backward(), "saw 7 faces"),
        (lambda model, lr, hr, most: 1.0, "no gradient"),
        (lambda model, lr, hr, most: accumulate(model, lr[:most], hr[:most], most), "off by"),
    ],
}
