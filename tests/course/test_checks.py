"""Tasks and exercises: plausible wrong answers are refused in words that fit, right ones are accepted however written.

The lists hold what readers of the chapters tried (false accepts and false rejects of 0.1.0 among them).
"""

import copy
import math
import re
from types import SimpleNamespace

import answers04
import answers05
import answers06
import answers07
import answers08
import answers09
import answers10
import answers11
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from einops import rearrange
from torch import nn

from elsface_lite.course.checks import CHAPTERS, CHECKS
from elsface_lite.course.checks.chapter00 import _kept, _matrix
from elsface_lite.course.exercises import _for_the_chapter, check, wrong
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.frequency import high_pass, low_pass, power_spectrum, radial_profile, radius, spectrum
from elsface_lite.data.blind import Draw
from elsface_lite.data.color import to_pil
from elsface_lite.data.degradation import downscale, generator, quantize, resize
from elsface_lite.data.pairs import center_crop
from elsface_lite.inference.box import LANDMARKS
from elsface_lite.metrics import image as metrics
from elsface_lite.metrics.sets import frechet_distance
from elsface_lite.network import transformer
from elsface_lite.network.blocks import ResidualBlock, conv
from elsface_lite.network.cnn import CNNStream
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.hfeb import HighPass
from elsface_lite.network.style import FeaturePreparation, LatentStyleEncoder, modulate
from elsface_lite.training import losses
from elsface_lite.training.config import TrainConfig

D, HR = _matrix(), portrait_faces()
P = torch.linalg.pinv(D) @ D
FIRST, SECOND = 0.03 + 0.94 * HR["astronaut"].double(), 0.03 + 0.94 * HR["grace_hopper"].double()
GIVEN = {"00.1": (FIRST, SECOND), "00.2": (FIRST,), "11.3": (answers11.QUESTIONS,)}
LOST = (FIRST + 0.2 * torch.rand(FIRST.shape, generator=torch.Generator().manual_seed(0)) - 0.1).clamp(
    0.03, 0.97
) - FIRST


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("elsface_lite.course.record._kept", {})


def same_lr(wish, face, turns=100):
    for _ in range(turns):
        wish = wish.clamp(0, 1)
        wish = wish + _kept(face - wish)
    return wish.clamp(0, 1)


def rest_by_rows_and_columns(image):
    gone = torch.eye(128).double() - torch.linalg.pinv(D) @ D
    image = image.double()
    return gone @ image + image @ gone.T - gone @ image @ gone.T


def spoilt_rest(image):
    image -= _kept(image)
    return image


def numpy_psnr(image, hr):
    return 10 * np.log10(1 / np.mean((image.numpy().astype(np.float64) - hr.numpy()) ** 2))


def numpy_downscale(hr, scale):
    if hr.shape[-2] % scale or hr.shape[-1] % scale:
        raise ValueError("no")
    rows, columns = (keys(hr.shape[axis], scale).numpy() for axis in (-2, -1))
    return (255 * (rows @ hr.numpy() @ columns.T)).round().clip(0, 255) / 255


def bicubic_of(hr, scale):
    planes, sides = hr.reshape(1, -1, *hr.shape[-2:]), (hr.shape[-2] // scale, hr.shape[-1] // scale)
    return F.interpolate(planes, sides, mode="bicubic", antialias=True).reshape(*hr.shape[:-2], *sides)


def only_height_looked_at(hr, scale):
    if hr.shape[-2] % scale:
        raise ValueError("no")
    return resize(hr, hr.shape[-2] // scale, hr.shape[-1] // scale)


def only_width_looked_at(hr, scale):
    return only_height_looked_at(hr.mT, scale).mT


def asserting_downscale(hr, scale):
    assert hr.shape[-2] % scale == 0 and hr.shape[-1] % scale == 0
    return downscale(hr, scale)


def cropped(image, size, cut):
    side = min(image.shape[-2:])
    top, left = (cut((length - side) / 2) for length in image.shape[-2:])
    square = image[..., top : top + side, left : left + side]
    return square if side == size else resize(square, size, size)


def profile_of(power, first=1):
    def profile(image):
        steps = min(image.shape[-2:])
        ring, rings = (steps * radius(image)).round(), torch.arange(first, steps // 2 + first)
        return rings / steps, torch.stack([power(image)[:, ring == k].mean(1) for k in rings], 1)

    return profile


def keys(size, scale, a=-0.5, centre=0.5):
    at = (torch.arange(size // scale) + centre) * scale - centre
    t = ((torch.arange(size) - at[:, None]) / scale).abs().double()
    inner, outer = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    weights = torch.where(t <= 1, inner, torch.where(t < 2, outer, 0))
    return weights / weights.sum(1, keepdim=True)


def in_place_crop(image, size):
    side = min(image.shape[-2:])
    image = image.clone()
    for axis in (-2, -1):
        image = image.narrow(axis, (image.shape[axis] - side) // 2, side)
    return image if side == size else resize(image, size, size).mul_(255).round_().div_(255)


def loop_profile(image):
    steps = min(image.shape[-2:])
    power, ring = power_spectrum(image).numpy(), (steps * radius(image)).round().numpy()
    rings = np.arange(1, steps // 2 + 1)
    return rings / steps, np.stack([power[:, ring == k].mean(1) for k in rings], 1)


def spoiling_profile(image):
    image -= image.mean()
    return radial_profile(image)


def in_place_modulate(features, styles, residual=False):
    features *= (styles + residual)[..., None, None]
    return features


def views_forward(self, lr):
    x = self.to_styles(self.pool(self.body(lr)).flatten(1))
    return x.view(len(lr), self.streams, -1)


def in_place_hybrid(near, far, cutoff):
    near -= low_pass(near, cutoff)
    near += low_pass(far, cutoff)
    return near


def recursive_forward(self, x):
    steps = [x]
    while len(steps) <= self.recursions:
        steps.append(self.body(steps[-1]))
    return steps.pop()


def passes(stream, x, times, first=0, last=0):
    begin = x
    for _ in range(times):
        x = stream.body(x) + first * begin + last * x
    return x


class OneLine(nn.Module):
    def __init__(self, channels, kernel_size=3):
        super().__init__()
        self.one = nn.Conv2d(channels, channels, kernel_size, padding="same")
        self.two = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        y = self.two(self.one(x).relu_())
        y += x
        return y


class Block(nn.Module):
    """The shape of wrong ones."""

    def __init__(self, channels, kernel_size=3):
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, kernel_size), nn.ReLU(), conv(channels, channels, kernel_size)
        )


class Plain(Block):
    def forward(self, x):
        return self.body(x)


class Forgetful(Block):
    def forward(self, x):
        x + self.body(x)


class Closing(Block):
    def forward(self, x):
        return (x + self.body(x)).relu()


class Spoiling(Block):
    def forward(self, x):
        x += self.body(x)
        return x


class Eating(Block):
    def forward(self, x):
        return x + self.body(x.relu_())


class Deaf(Block):
    def forward(self, x):
        return x.detach() + self.body(x)


class Normed(Block):
    def __init__(self, channels, kernel_size=3):
        super().__init__(channels, kernel_size)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + self.norm(self.body(x))


def block_like(forward):
    return type("Another", (Block,), {"forward": forward})


class Mirrored(Block):
    def __init__(self, channels, kernel_size=3):
        super().__init__(channels, kernel_size)
        self.body[0].padding_mode = self.body[2].padding_mode = "reflect"
        for layer in self.body[::2]:
            layer._reversed_padding_repeated_twice = 4 * [kernel_size // 2]

    def forward(self, x):
        return x + self.body(x)


class SmallKernel(Block):
    def __init__(self, channels, kernel_size=3):
        super().__init__(channels, 3)

    def forward(self, x):
        return x + self.body(x)


def start_at_one(encoder):
    nn.init.zeros_(encoder.to_styles.weight)
    nn.init.ones_(encoder.to_styles.bias)
    return encoder


def frozen(encoder):
    encoder.body.requires_grad_(False)
    return start_at_one(encoder)


def zeroed(encoder):
    for weight in encoder.body.parameters():
        nn.init.zeros_(weight)
    return start_at_one(encoder)


def ones_for_ever(encoder):
    start_at_one(encoder).to_styles.weight.requires_grad_(False)
    return encoder


def ones_without_layers(encoder):
    encoder.forward = lambda lr: torch.ones(len(lr), encoder.streams, 12)
    return encoder


@torch.no_grad()
def without_encoder(prepare, styles, always=False, inside=True):
    streams, channels = styles.shape
    folded = FeaturePreparation(channels, streams, len(prepare.head) - 1, prepare.grid, "none")
    folded.head.load_state_dict(prepare.head.state_dict())
    w = (1 + styles if always or prepare.style == "residual" else styles).flatten()
    folded.head[0].weight *= w[:, None, None, None]
    folded.head[0].bias *= w
    for block in folded.head[1:] if inside else []:
        block.body[0].weight /= w[None, :, None, None]
        block.body[2].weight *= w[:, None, None, None]
        block.body[2].bias *= w
    return folded


@torch.no_grad()
def one_plus_where_there_are_blocks(prepare, styles):
    return without_encoder(prepare, styles, always=len(prepare.head) > 1)


def scaled_behind(prepare, styles):
    one = int(prepare.style == "residual")
    folded = without_encoder(prepare, torch.ones_like(styles) - one)
    folded.head.append(ScaledBy((one + styles).flatten()))
    return folded


class ScaledBy(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights[:, None, None])

    def forward(self, x):
        return self.weights * x


def dilated(*dilations, relu=False, size=3):
    def make(channels):
        layers = []
        for d in dilations:
            layers += [nn.Conv2d(channels, channels, size, padding=d * (size // 2), dilation=d)] + [nn.ReLU()] * relu
        return nn.Sequential(*layers)

    return make


def wide_dilated(channels):
    layers = [nn.Conv2d(channels, channels, 3, padding=d, dilation=d) for d in (1, 2)]
    return nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, padding=(5, 4), dilation=(5, 4)))


def consistent(sr, lr):
    back = torch.linalg.pinv(D)
    return sr + back @ (lr - D @ sr @ D.T) @ back.T


def consistent_in_float32(sr, lr):
    sr, lr, down = sr.float(), lr.float(), D.float()
    back = torch.linalg.pinv(down)
    return sr + back @ (lr - down @ sr @ down.T) @ back.T


def side(blocks, kernel, recursions):
    return 1 + recursions * (2 + 2 * blocks * (kernel - 1))


def step(blocks, kernel):
    return 4 / 3 + blocks * (kernel**2 - 1) / 3 / 19


RIGHT = {
    "psnr": [
        numpy_psnr,
        lambda a, b: -10 * math.log10(F.mse_loss(a, b).item()),
        lambda a, b: -20 * (a.double() - b).square().mean().sqrt().log10().item(),
    ],
    "lost": [lambda x: x - _kept(x), lambda x: x.double().numpy() - _kept(x).numpy(), rest_by_rows_and_columns],
    "00.1": [(FIRST + SECOND) / 2, quantize((FIRST + SECOND) / 2), ((FIRST + SECOND) / 2).float().numpy()],
    "00.2": [same_lr(FIRST + 5 * LOST, FIRST), same_lr(FIRST + 5 * LOST, FIRST).float().numpy()],
    "00.3": [consistent, consistent_in_float32, lambda sr, lr: consistent(sr, lr).numpy()],
    "downscale": [downscale, numpy_downscale],
    "center_crop": [center_crop, in_place_crop, lambda image, size: center_crop(image, size).numpy()],
    "radial_profile": [radial_profile, loop_profile, spoiling_profile, lambda x: list(radial_profile(x))],
    "01.1": [0.0625, 1 / 16, np.float32(0.0625), torch.tensor(0.0625)],
    "01.2": [
        lambda near, far, c: high_pass(near, c) + low_pass(far, c),
        lambda near, far, c: (near - low_pass(near - far, c)).clamp(0, 1),
        lambda near, far, c: quantize(high_pass(near, c) + low_pass(far, c)).numpy(),
        in_place_hybrid,
    ],
    "01.3": [keys, lambda *given: keys(*given).float().numpy()],
    "modulate": [
        modulate,
        lambda x, w, residual=False: x.double() * (w + residual)[..., None, None],
        in_place_modulate,
        lambda x, w, residual=False: torch.einsum("bschw,bsc->bschw", x, w + residual),
    ],
    "LatentStyleEncoder.forward": [
        LatentStyleEncoder.forward,
        views_forward,
        lambda self, lr: views_forward(self, lr).double(),
    ],
    "02.1": [sum(p.numel() for p in LatentStyleEncoder(48, 3).parameters())],
    "02.2": [start_at_one],
    "02.3": [without_encoder],
    "ResidualBlock": [ResidualBlock, OneLine],
    "CNNStream.forward": [recursive_forward],
    "side": [lambda b, k, r: 1 + 2 * r * (1 + b * (k - 1)), lambda b, k, r: np.float32(1 + r * (2 + 2 * b * (k - 1)))],
    "03.1": [7, 7.0, torch.tensor(7)],
    "03.2": [dilated(1, 2, 4), dilated(1, 3, 3), dilated(1, 2, 4, relu=True)],
    "03.3": [step],
}
WRONG = {
    "psnr": [
        (lambda a, b: 10 * (a - b).square().mean().log10(), "sign"),
        (lambda a, b: -10 * (a - b).square().mean().log(), "base 10"),
        (lambda a, b: -20 * (a - b).square().mean().log10(), "Twenty times"),
        (lambda a, b: -10 * (a - b).square().sum().log10(), "mean"),
        (lambda a, b: 10 * (255**2 / (a - b).square().mean()).log10(), "not 255"),
        (lambda a, b: -10 * (a - b).mean().square().log10(), "squared the mean"),
        (lambda a, b: -10 * (a - b).square().mean(0).log10(), "the shape should be ()"),
        (lambda a, b: print(end=""), "forget to `return`"),
        (lambda a, b: math.inf, "infinite"),
        (lambda a, b: -10 * (a - b).square().mean((1, 2)).log10().mean(), "one PSNR for each channel"),
        (lambda a, b: -10.0005 * (a - b).square().mean().log10() + 0.001, r"For a tensor"),
    ],
    "lost": [
        (_kept, "the rest"),
        (lambda x: _kept(x) - x, "sign"),
        (lambda x: x - x.mean(), "For a tensor"),
        (lambda x: x - _kept(x).float(), "float64 is asked for"),
        (spoilt_rest, "float64 is asked for"),
        (lambda x: x.float().numpy() - _kept(x).float().numpy(), "float64 is asked for"),
        (lambda x: (torch.eye(128).double() - P) @ x.double() @ (torch.eye(128).double() - P).T, "columns both"),
        (lambda x: x.double() - P @ x.double(), "mixing of rows"),
        (lambda x: x.double() - x.double() @ P.T, "mixing of columns"),
    ],
    "00.1": [
        (FIRST, "it can be done for"),
        (SECOND, "it can be done for"),
        (0.495 * FIRST + 0.505 * SECOND, "it can be done for"),
        (FIRST[0], "is asked for"),
    ],
    "00.2": [
        (FIRST, "more boldly"),
        (SECOND, "The LR face changes"),
        (FIRST + 3, "leave [0, 1]"),
        (torch.full_like(FIRST, torch.nan), "no picture"),
    ],
    "00.3": [
        (lambda sr, lr: sr, "away from lr"),
        (lambda sr, lr: torch.linalg.pinv(D) @ lr @ torch.linalg.pinv(D).T, "nearer picture"),
        (
            lambda sr, lr: consistent(HR["astronaut"].double(), downscale(HR["astronaut"], 4).double()),
            "random",
        ),
        (lambda sr, lr: lr, "should be (3, 128, 128)"),
    ],
    "downscale": [
        (
            lambda hr, s: quantize(
                F.interpolate(hr.reshape(1, -1, *hr.shape[-2:]), (hr.shape[-2] // s, hr.shape[-1] // s), mode="bicubic")
            ).reshape(*hr.shape[:-2], hr.shape[-2] // s, -1),
            "antialias=True",
        ),
        (lambda hr, s: F.avg_pool2d(hr, s), "means of blocks|levels|lie between"),
        (lambda hr, s: hr[..., ::s, ::s], "one pixel"),
        (
            lambda hr, s: F.interpolate(
                hr.reshape(1, -1, *hr.shape[-2:]),
                (hr.shape[-2] // s, hr.shape[-1] // s),
                mode="bicubic",
                antialias=True,
            ).reshape(*hr.shape[:-2], hr.shape[-2] // s, -1),
            "`quantize` is missing",
        ),
        (lambda hr, s: bicubic_of(quantize(hr), s), "comes too early"),
        (lambda hr, s: bicubic_of(hr, s).clamp(0, 1), "lie between|`quantize`"),
        (lambda hr, s: (255 * bicubic_of(hr, s)).clamp(0, 255).floor() / 255, "too low: round"),
        (only_height_looked_at, "32x30"),
        (only_width_looked_at, "30x32"),
        (asserting_downscale, "should raise a ValueError"),
        (lambda hr, s: resize(hr, hr.shape[-2] // s, hr.shape[-1] // s), "ValueError"),
        (lambda hr, s: (255 * downscale(hr, s)).byte(), "For a tensor"),
        (
            lambda hr, s: F.interpolate(hr, scale_factor=1 / s, mode="bicubic", antialias=True),
            "NotImplementedError|Error",
        ),
    ],
    "center_crop": [
        (lambda image, n: resize(image, n, n), "squeeze"),
        (lambda image, n: resize(image[..., : min(image.shape[-2:]), : min(image.shape[-2:])], n, n), "corner"),
        (
            lambda image, n: image[..., (image.shape[-2] - n) // 2 :, (image.shape[-1] - n) // 2 :][..., :n, :n],
            "size x size",
        ),
        (lambda image, n: cropped(image, n, round), "odd one"),  # as torchvision does it
        (lambda image, n: cropped(image, n, math.ceil), "odd one"),
        (lambda image, n: resize(cropped(image, min(image.shape[-2:]), int), n, n), "untouched"),
        (lambda image, n: print(end=""), "return"),
    ],
    "radial_profile": [
        (lambda x: (radial_profile(x)[0], radial_profile(x)[1].mean(0)), "batch"),
        (lambda x: (radial_profile(x)[0] * min(x.shape[-2:]), radial_profile(x)[1]), "cycles per pixel"),
        (lambda x: radial_profile(x)[1], "1 thing"),
        (lambda x: (radial_profile(x)[0], radial_profile(x)[1].log10()), "logarithm"),
        (profile_of(spectrum), "zero in the middle"),
        (profile_of(lambda x: torch.fft.fftshift(power_spectrum(x), dim=(-2, -1))), "top left"),
        (profile_of(power_spectrum, 0), "yours begin with 0"),
    ],
    "01.1": [(0.5, "LR pixel"), (0.125, "Nyquist"), ("a text", "You gave str")],
    "01.2": [
        (lambda near, far, c: high_pass(far, c) + low_pass(near, c), "swapped"),
        (lambda near, far, c: (near + far) / 2, "mean"),
        (lambda near, far, c: high_pass(near, 0.05) + low_pass(far, 0.05), "0.05"),
        (lambda near, far, c: near, "away from the hybrid"),
        (lambda near, far, c: low_pass(far, c), "fine waves"),
    ],
    "01.3": [
        (
            lambda n, s, a=-0.5: F.interpolate(torch.eye(n)[None, None], (n // s, n), mode="bicubic", antialias=True)[
                0, 0
            ],
            "-0.5 whatever",
        ),
        (lambda n, s, a=-0.5: keys(128, 4), "the shape"),
        (lambda n, s, a=-0.5: keys(n, s, a, 0.0), "half a pixel"),
        (lambda n, s, a=-0.5: keys(n, s, a).T, "transposed"),
        (lambda n, s, a=-0.5: torch.eye(n), "the shape"),
    ],
    "modulate": [
        (lambda x, w, residual=False: x * w[..., None, None], "`residual` is ignored"),
        (lambda x, w, residual=False: x * (1 + w)[..., None, None], "even without"),
        (lambda x, w, residual=False: x + w[..., None, None], "add the styles"),
        (lambda x, w, residual=False: x * (w.detach() + residual)[..., None, None], "gradient"),
        (lambda x, w, residual=False: modulate(x, w, residual).detach().numpy(), "No gradient"),
        (lambda x, w, residual=False: torch.tensor(x.numpy() * (w.numpy() + residual)[..., None, None]), "No gradient"),
        (lambda x, w, residual=False: x + w[..., None, None] if residual else modulate(x, w), "still a factor"),
        (lambda x, w, residual=False: x * w, "Error|row|column"),
    ],
    "LatentStyleEncoder.forward": [
        (lambda self, lr: self.to_styles(self.body(lr).flatten(1)).view(len(lr), self.streams, -1), "self.pool"),
        (lambda self, lr: self.to_styles(self.pool(self.body(lr)).flatten(1)), "divided into streams"),
        (
            lambda self, lr: rearrange(
                self.to_styles(self.pool(self.body(lr)).flatten(1)), "b (c s) -> b s c", s=self.streams
            ),
            "streams come first",
        ),
        (lambda self, lr: views_forward(self, lr).sigmoid(), "sigmoid"),
        (lambda self, lr: views_forward(self, lr).detach(), "No gradient"),
    ],
    "02.1": [
        (1000, "too few"),
        (196_848, "too few"),
        (sum(p.numel() for p in LatentStyleEncoder(48, 3).parameters()) - (9 * 48 + 1) * 48, "is missing"),
        (sum(p.numel() for p in LatentStyleEncoder(48, 2).parameters()), "two streams"),
    ],
    "02.2": [
        (lambda encoder: encoder, "Styles lie between"),
        (frozen, "every layer"),
        (zeroed, "have changed"),
        (ones_for_ever, "can it ever learn"),
        (ones_without_layers, "can any layer learn"),
        (lambda encoder: print(end=""), "return"),
    ],
    "02.3": [
        (one_plus_where_there_are_blocks, "1 + w"),
        (lambda prepare, styles: without_encoder(prepare, styles, inside=False), "blocks are as before"),
        (scaled_behind, "other layers"),
        (lambda prepare, styles: prepare, "still has an encoder"),
    ],
    "ResidualBlock": [
        (Plain, "not added"),
        (Forgetful, "return"),
        (Closing, "after the sum"),
        (Spoiling, "own input|its own input"),
        (Eating, "own input"),
        (Deaf, "gradient"),
        (Normed, "batch normalisation"),
        (SmallKernel, "shapes"),
        (block_like(lambda self, x: x + 0.1 * self.body(x)), "scaled by 0.1"),
        (block_like(lambda self, x: x + self.body[2](F.leaky_relu(self.body[0](x)))), "plain ReLU"),
        (block_like(lambda self, x: x + self.body[2](F.leaky_relu(self.body[0](x), 0.2))), "plain ReLU"),
        (block_like(lambda self, x: x + self.body[2](self.body[0](x).sigmoid())), "For a tensor (2, 4, 9, 7)"),
        (Mirrored, "zero padding"),
        (7, "You gave int 7"),
    ],
    "CNNStream.forward": [
        (lambda self, x: self.body(x), "one pass"),
        (lambda self, x: self.recursions * self.body(x), "same input"),
        (lambda self, x: x + recursive_forward(self, x), "at the end"),
        (lambda self, x: x + self.recursions * self.body(x), "and is added"),
        (lambda self, x: passes(self, x, self.recursions + 1), "too many"),
        (lambda self, x: passes(self, x, self.recursions - 1), "too few|For a"),
        (lambda self, x: passes(self, x, self.recursions, first=1), "after every pass"),
        (lambda self, x: passes(self, x, self.recursions, last=1), "what each pass gives"),
        (lambda self, x: recursive_forward(self, x).detach(), "gradient"),
        (lambda self, x: [self.body(x)][1:].clear(), "return"),
    ],
    "side": [
        (lambda b, k, r: r * (1 + b * (k - 1)), "one side"),
        (lambda b, k, r: 1 + r * (1 + b * (k - 1)), "half on the right"),
        (lambda b, k, r: 1 + r * (2 + 4 * b), "kernel 3"),
        (lambda b, k, r: r * (2 + 2 * b * (k - 1)), "itself is missing"),
        (lambda b, k, r: 1 + r * (2 + b * (k - 1)), "two convolutions"),
        (lambda b, k, r: 1 + r * 2 * b * (k - 1), "3x3"),
        (lambda b, k, r: 1 + 2 + 2 * b * (k - 1), "recursions are ignored"),
        (lambda b, k, r: 37, "For 1, 3, 1"),
        (lambda b, k, r: 3**r * k ** (2 * b * r), "You multiply"),
        (lambda b, k, r: 10**30 * side(b, k, r), "you give 3.7e+31 and not 37"),
    ],
    "03.1": [(3, "to each side"), (8, "fewer"), (7.9, "whole numbers"), (6, "54 positions")],
    "03.2": [
        (dilated(2, 4, 8), "29x29"),
        (dilated(1, 2, 3), "13x13"),
        (wide_dilated, "17x15"),
        (dilated(2, 2, 3), "not seen"),
        (dilated(7, size=3), "Three convolutions"),
        (dilated(1, 1, 1, 4), "Three convolutions"),
        (lambda c: print(end=""), "return"),
    ],
    "03.3": [
        (lambda b, k: 1.0, "For 0, 3"),
        (lambda b, k: step(b, k) / 2, "two axes"),
        (lambda b, k: 4 / 3 + b * (k**2 - 1) / 6 / 19, "Both convolutions"),
    ],
}


for later in (answers04, answers05, answers06, answers07, answers08, answers09, answers10, answers11):
    RIGHT |= later.RIGHT
    WRONG |= later.WRONG


def cases(answers):
    return [
        pytest.param(name, answer, id=f"{name}-{i}") for name, some in answers.items() for i, answer in enumerate(some)
    ]


def test_everything_that_is_asked_has_a_check_and_is_tried():
    asked = {name for names in CHAPTERS.values() for name in names}
    assert asked == set(CHECKS) == set(RIGHT) == set(WRONG)


@pytest.mark.parametrize(("name", "answer"), cases(RIGHT))
def test_a_right_answer_is_accepted(name, answer, capsys):
    assert wrong(name, answer, *GIVEN.get(name, ())) == ""
    assert check(name, answer, *GIVEN.get(name, ())) is not None
    assert capsys.readouterr().out.startswith(f"✓ {name}: right.")


@pytest.mark.parametrize(("name", "answer"), cases(answers04.RIGHT))
def test_it_is_accepted_where_gradients_are_off(name, answer):
    """As in chapter 04, which looks at a finished network."""
    with torch.no_grad():
        assert wrong(name, answer) == ""


@pytest.mark.parametrize(("name", "case"), cases(WRONG))
def test_a_wrong_answer_is_refused_in_words_that_fit(name, case, capsys):
    answer, words = case
    assert check(name, answer, *GIVEN.get(name, ())) is None
    said = capsys.readouterr().out
    assert said.startswith(f"✗ {name}: not yet. ") and said.count("\n") == 1
    assert any(part in said for part in words.split("|")), said


def image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# The finished definition of each task that is a function, and arguments as its chapter gives them.
FINISHED = {
    "psnr": (lambda a, b: metrics.psnr(a[None], b[None])[0], (image(3, 16, 16), image(3, 16, 16, seed=1))),
    "lost": (lambda x: x.double() - _kept(x), (image(3, 128, 128),)),
    "downscale": (downscale, (image(2, 3, 16, 16), 4)),
    "center_crop": (center_crop, (image(3, 40, 33), 16)),
    "radial_profile": (radial_profile, (image(2, 3, 16, 16),)),
    "modulate": (modulate, (image(2, 2, 3, 4, 4), image(2, 2, 3), True)),
    "LatentStyleEncoder.forward": (LatentStyleEncoder.forward, (LatentStyleEncoder(3), image(2, 3, 16, 16))),
    "CNNStream.forward": (CNNStream.forward, (CNNStream(3), image(1, 3, 8, 8))),
    "side": (side, (2, 5, 2)),
    "weighted_values": (transformer.weighted_values, (*image(3, 2, 2, 9, 4), image(1, 2, 9, 9))),
    "to_windows": (transformer.to_windows, (image(2, 8, 8, 3), 4)),
    "relative_position_index": (transformer.relative_position_index, (8,)),
    "shifted_window_mask": (transformer.shifted_window_mask, (8, 12, 4, 2)),
    "HighPass.forward": (HighPass.forward, (HighPass(3), image(1, 3, 8, 8))),
    "gaussian_kernel": (losses.gaussian_kernel, (9,)),
    "blur_matrix": (losses.blur_matrix, (16, losses.gaussian_kernel(9))),
    "unsharp_mask": (losses.unsharp_mask, (image(1, 3, 16, 16), losses.gaussian_kernel(9))),
    "sharp_loss": (
        answers05.RIGHT["sharp_loss"][0],
        (image(1, 3, 16, 16), image(1, 3, 16, 16, seed=1), losses.gaussian_kernel(9)),
    ),
    "psnr per image": (metrics.psnr, (image(2, 3, 16, 16), image(2, 3, 16, 16, seed=1))),
    "ssim": (metrics.ssim, (image(2, 3, 16, 16), image(2, 3, 16, 16, seed=1))),
    "frechet_distance": (frechet_distance, (image(9, 4).double(), image(8, 4, seed=1).double())),
}


def kinds(result):
    """Types, precisions and shapes: what the lines after a task can tell of its result."""
    if isinstance(result, tuple):
        return type(result), *map(kinds, result)
    return (result.dtype, result.shape) if isinstance(result, torch.Tensor) else type(result)


@pytest.mark.parametrize(("name", "answer"), cases({name: RIGHT[name] for name in FINISHED}))
def test_the_chapter_goes_on_with_the_kind_of_result_that_it_needs(name, answer):
    """Numbers, NumPy, another precision: a right answer in any of them becomes what the finished one gives."""
    finished, arguments = FINISHED[name]
    mine, theirs = (f(*copy.deepcopy(arguments)) for f in (_for_the_chapter(name, answer), finished))
    assert kinds(mine) == kinds(theirs)
    as_tensors = [part if isinstance(part, tuple) else (part,) for part in (mine, theirs)]
    for part, other in zip(*as_tensors, strict=True):
        part, other = (torch.as_tensor(value).clamp(min=-100) for value in (part, other))  # a mask may be infinite
        torch.testing.assert_close(part, other, atol=1.01 / 255, rtol=1e-3)


@pytest.mark.parametrize("name", ["rate_share", "bootstrap_interval", "sign_test", "difference_interval", "fit_box"])
def test_numbers_come_as_numbers(name):
    values = image(30, seed=1).double()
    arguments = {
        "rate_share": (TrainConfig(epochs=3), 5, 10),
        "bootstrap_interval": (values,),
        "sign_test": (12, 2),
        "difference_interval": (values, values + 1),
        "fit_box": ([complex(z) for z in LANDMARKS],),
    }[name]
    for answer in RIGHT[name]:
        found = _for_the_chapter(name, answer)(*arguments)
        assert kinds(found) == kinds(_for_the_chapter(name, RIGHT[name][0])(*arguments))
        assert float in (type(found), *map(type, found if isinstance(found, tuple) else ()))


def test_what_is_no_number_comes_as_it_is():
    """Nothing, from a function that works in place; a dictionary; a network; and Pillow's picture."""
    average, network = (nn.Linear(2, 2) for _ in range(2))
    for answer in RIGHT["update_average"]:
        before = average.weight.detach().clone()
        assert _for_the_chapter("update_average", answer)(average, network, 0, 0.9) is None
        assert not torch.equal(average.weight, before)
    run = SimpleNamespace(step=3, network=network, average=average, optimizer=torch.optim.SGD(network.parameters()))
    for answer in RIGHT["checkpoint"]:
        assert set(_for_the_chapter("checkpoint", answer)(run)) == {"step", "network", "average", "optimizer"}
    for answer in RIGHT["only_r"]:
        model = ELSFace(ELSFaceConfig.lite(channels=8, hfeb_blocks=1))
        assert _for_the_chapter("only_r", answer)(model) in (None, model)
    for answer in RIGHT["noisy"]:
        spoilt = _for_the_chapter("noisy", answer)(to_pil(image(3, 9, 7)), 8.0, Draw(generator(0)))
        assert (spoilt.mode, spoilt.size) == ("RGB", (7, 9))


def test_named_arguments_are_left_as_they_are():
    mine, features, styles = _for_the_chapter("modulate", in_place_modulate), image(1, 1, 2, 3, 3), image(1, 1, 2)
    torch.testing.assert_close(mine(features=features, styles=styles), modulate(features, styles))
    assert torch.equal(features, image(1, 1, 2, 3, 3))


def nothing(image, scale=4):
    """Documented, and empty."""
    ...


class Nothing(nn.Module):
    def __init__(self, channels, kernel_size=3):
        super().__init__()
        self.body = ...

    def forward(self, x): ...


@pytest.mark.parametrize("answer", [..., None, nothing, Nothing, lambda x: None])
def test_no_answer_is_no_wrong_answer(answer, capsys):
    assert check("downscale", answer) is None
    assert "not answered yet" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(CHECKS))
@pytest.mark.parametrize(
    "answer",
    ["a text", -7, [], torch.zeros(2, 3, 5, 7), lambda *_: 1 / 0, lambda *_: "a text", lambda *_: torch.zeros(2, 3)],
)
def test_an_answer_of_the_wrong_kind_gets_one_line(name, answer, capsys):
    assert check(name, answer, *GIVEN.get(name, ())) is None
    said, errors = capsys.readouterr()
    assert re.fullmatch(r"✗ [^\n]{20,}\n", said) and not errors


def test_an_error_names_the_readers_line():
    def broken(hr, scale):
        return hr.no_such_thing

    line = broken.__code__.co_firstlineno + 1
    assert f"in line {line} of its cell: return hr.no_such_thing" in wrong("downscale", broken)


def test_a_right_answer_goes_on_in_the_chapter():
    """In torch whatever it was written in, and without spoiling what it is given."""
    mine, image = check("radial_profile", loop_profile), torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(mine(image), radial_profile(image))
    mine, before = check("radial_profile", spoiling_profile), image.clone()
    mine(image)
    assert torch.equal(image, before)
    assert check("ResidualBlock", OneLine) is OneLine


def test_no_check_is_part_of_a_chapter():
    """There the answers would be in sight."""
    for path in (ROOT / "notebooks").glob("[01][0-9]_*.ipynb"):
        found = set(re.findall(r"def check_(\w+)", path.read_text(encoding="utf-8")))
        assert found <= {"pair"}, "which is the module's, and looks at pictures"
