"""Chapter 08: right answers written otherwise, and wrong ones with words that the check must find."""

import copy
import math
import statistics

import numpy as np
import torch
from scipy.stats import t as student
from torch import nn

from elsface_lite.network.blocks import ResidualBlock
from elsface_lite.network.elsface import ELSFaceConfig
from elsface_lite.network.hfeb import HighPass


def factor(free, comparisons=1):
    return student.ppf(1 - 0.025 / comparisons, df=free)


def paired(variant, against, width=1.0, root=True, correction=1, by=None):
    gains = variant - against
    half = gains.std(correction=correction) / (math.sqrt(len(gains)) if root else 1)
    return gains.mean(), width * half * (by or factor(len(gains) - 1))


def in_statistics(variant, against):
    gains = [a - b for a, b in zip(variant.tolist(), against.tolist(), strict=True)]
    return [
        statistics.mean(gains),
        factor(len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5,
    ]


def two_samples(variant, against):
    half = factor(len(variant) - 1) * ((variant.var() + against.var()) / len(variant)).sqrt()
    return (variant - against).mean(), half


def luck(y, rows=1, columns=1, whole=1, root=True):
    rest = y - rows * y.mean(1, keepdim=True) - columns * y.mean(0, keepdim=True) + whole * y.mean()
    free = (y.shape[0] - 1) * (y.shape[1] - 1)
    square = (rest**2).sum() / free
    return square.sqrt() if root else square, free


def luck_in_loops(y):
    y = y.numpy()
    total = 0.0
    for v in range(y.shape[0]):
        for s in range(y.shape[1]):
            total += (y[v, s] - y[v].mean() - y[:, s].mean() + y.mean()) ** 2
    free = (y.shape[0] - 1) * (y.shape[1] - 1)
    return np.sqrt(total / free), free


def luck_of_differences(y):
    """From the differences to one row, whose luck is in all of them."""
    rest = y - y[:1]
    rest = rest - rest.mean(1, keepdim=True)
    rest = rest - rest.mean(0)
    free = (y.shape[0] - 1) * (y.shape[1] - 1)
    return math.sqrt(rest.square().sum() / free), free


def luck_over(y, divisor, told):
    sigma, free = luck(y)
    return sigma * math.sqrt(free / divisor(*y.shape)), told(*y.shape) if told else free


def margin(y, k, two=2, root=True):
    sigma, free = luck(y)
    return sigma * math.sqrt(two / (y.shape[1] if root else 1)) * factor(free, k)


def hooked(model):
    for part in model.modules():
        if isinstance(part, HighPass):
            part.register_forward_hook(lambda part, inputs, output: part.body(inputs[0]))
    return model


class Bare(HighPass):
    def forward(self, x):
        return self.body(x)


def swapped(model):
    for hfeb in model.hfebs:
        hfeb.high_pass.__class__ = Bare


def rebuilt(model):
    for hfeb in model.hfebs:
        bare = Bare(model.config.channels, model.config.hfeb_kernel)
        bare.load_state_dict(hfeb.high_pass.state_dict())
        hfeb.high_pass = bare


def class_wide(model):
    HighPass.forward = lambda self, x: self.body(x)
    return model


def late(model):
    for hfeb in model.hfebs:
        hfeb.high_pass.forward = lambda x: hfeb.high_pass.body(x)  # noqa: B023


def bound(model):
    for part in model.modules():
        if isinstance(part, HighPass):
            part.forward = lambda x, part=part: part.body(x)


def only_the_first(model):
    model.hfebs[0].high_pass.__class__ = Bare


def without_the_part(model):
    for hfeb in model.hfebs:
        hfeb.high_pass = hfeb.high_pass.body


@torch.no_grad()
def zeroed(model):
    for hfeb in model.hfebs:
        for parameter in hfeb.high_pass.upsample.parameters():
            parameter.zero_()


def cut_off(model):
    for hfeb in model.hfebs:
        hfeb.high_pass.register_forward_hook(lambda part, inputs, output: part.body(inputs[0]).detach())


class Scale(nn.Module):
    def __init__(self, channels, start=1.0):
        super().__init__()
        self.factors = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, features):
        return features * self.factors


def gate(model, start=1.0):
    model.upsample = nn.Sequential(Scale(model.config.channels, start), *model.upsample)


class Both(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.first(x) + self.second(x)


def third_stream(model, silent=True):
    extra = ResidualBlock(model.config.channels).body
    if silent:
        nn.init.zeros_(extra[2].weight)
        nn.init.zeros_(extra[2].bias)
    model.cnn = Both(model.cnn, extra)
    return model


def dead_stream(model):
    third_stream(model)
    for parameter in model.cnn.second.parameters():
        nn.init.zeros_(parameter)
    model.cnn.second = nn.Sequential(*model.cnn.second, Scale(model.config.channels, 0.0))


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, features):
        return features + self.share.sqrt()


def steep(model):
    model.upsample = nn.Sequential(Root(), *model.upsample)


def by_closure(model):
    model.factors = nn.Parameter(torch.ones(model.config.channels, 1, 1))
    model.cnn.register_forward_hook(lambda part, inputs, output: output * model.factors)


def unregistered(model):
    factors = nn.Parameter(torch.ones(model.config.channels, 1, 1))
    model.cnn.register_forward_hook(lambda part, inputs, output: output * factors)


def all_networks(model):
    plain = type(model.cnn).forward
    type(model.cnn).forward = lambda self, x: 2 * plain(self, x)


RIGHT = {
    "paired_difference": [paired, in_statistics, lambda v, a: torch.stack([torch.as_tensor(x) for x in paired(v, a)])],
    "luck": [luck, luck_in_loops, luck_of_differences],
    "margin": [margin, lambda y, k: np.float64(margin(y, k)), lambda y, k: margin(y, k).item()],
    "only_r": [hooked, swapped, rebuilt],
    "08.1": [17, 17.0, np.int64(17), torch.tensor(17)],
    "08.2": [
        ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=28, cnn_recursions=1),
        ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=26, cnn_recursions=1, hfeb_blocks=5),
        ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=10, cnn_kernel=5, cnn_recursions=1),
    ],
    "08.3": [gate, third_stream],
}
WRONG = {
    "paired_difference": [
        (lambda v, a: paired(a, v), "sign"),
        (lambda v, a: (abs(paired(v, a)[0]), paired(v, a)[1]), "you give"),
        (lambda v, a: paired(v, a, by=1.96), "1.96"),
        (lambda v, a: paired(v, a, by=factor(len(v))), "one degree of freedom less"),
        (lambda v, a: paired(v, a, root=False), "root of their number"),
        (lambda v, a: paired(v, a, correction=0), "less 1"),
        (lambda v, a: paired(v, a, width=2), "whole width"),
        (two_samples, "not paired"),
        (lambda v, a: (paired(v, a)[0] - paired(v, a)[1], sum(paired(v, a))), "ends"),
        (lambda v, a: paired(v, a)[0], "TypeError"),
        (lambda v, a: print(end=""), "return"),
    ],
    "luck": [
        (lambda y: luck(y, whole=0), "add it once"),
        (lambda y: luck(y, columns=0, whole=0), "Only the rows"),
        (lambda y: luck(y, rows=0, whole=0), "Only the columns"),
        (lambda y: luck(y, root=False), "variance"),
        (lambda y: luck_over(y, lambda v, s: v * s, None), "divided by all numbers"),
        (lambda y: luck_over(y, lambda v, s: v * s, lambda v, s: v * s), "not the number of values"),
        (lambda y: luck_over(y, lambda v, s: v * s - 1, lambda v, s: v * s - 1), "counts too many"),
        (lambda y: luck_over(y, lambda v, s: v * (s - 1), lambda v, s: v * (s - 1)), "one too many"),
        (lambda y: (y.std(), 11), "For a tensor"),
        (lambda y: luck(y)[0], "TypeError"),
        (lambda y: print(end=""), "return"),
    ],
    "margin": [
        (lambda y, k: margin(y, 1), "number of comparisons is ignored"),
        (lambda y, k: k * margin(y, 1), "does not multiply"),
        (lambda y, k: margin(y, k, two=1), "two means"),
        (lambda y, k: margin(y, k, root=False), "root of their number"),
        (lambda y, k: margin(y, k / 2), "both ways"),
        (lambda y, k: margin(y, 1) / factor(luck(y)[1]) * 1.96, "1.96"),
        (lambda y, k: 0.025, "you give 0.025"),
        (lambda y, k: print(end=""), "return"),
    ],
    "only_r": [
        (lambda model: model.eval(), "HFEB 0 still"),
        (only_the_first, "HFEB 1 still"),
        (class_wide, "every network that is built later"),
        (late, "last `part`"),
        (bound, "In a copy"),
        (without_the_part, "Names or number"),
        (zeroed, "training would move them"),
        (cut_off, "No gradient"),
        (lambda model: hooked(copy.deepcopy(model)), "HFEB 0 still"),
    ],
    "08.1": [(16, "too wide"), (16.5, "whole number"), (18, "fewer"), (1, "one seed"), (2, "too wide")],
    "08.2": [
        (ELSFaceConfig.lite(), "still has HFEBs"),
        (ELSFaceConfig.lite(hfebs=0, hfeb_skip=False), "Which field multiplies"),
        (ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=28), "Which field multiplies"),
        (
            ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=28, cnn_recursions=1, bicubic_skip=False),
            "bicubic_skip, a confounder",
        ),
        (
            ELSFaceConfig.lite(hfebs=0, hfeb_skip=False, cnn_blocks=31, cnn_recursions=1, streams="cnn"),
            "streams, a confounder",
        ),
    ],
    "08.3": [
        (lambda model: model.eval(), "no parameter that it did not have"),
        (unregistered, "no parameter that it did not have"),
        (lambda model: gate(model, 1.1), "does not begin as nothing"),
        (lambda model: third_stream(model, silent=False), "does not begin as nothing"),
        (dead_stream, "stays nothing"),
        (steep, "infinite"),
        (by_closure, "In a copy"),
        (all_networks, "every network that is built later"),
        (lambda model: third_stream(copy.deepcopy(model)), "no parameter"),
    ],
}
