"""Chapter 10: right answers written otherwise, and wrong ones with words that the check must find."""

import cmath
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import convolve

from elsface_lite.data.blind import GREY_NOISE, SMALL, gaussian, noisy
from elsface_lite.inference.box import LANDMARKS, Box, fit_box
from elsface_lite.inference.faces import _fade


def by_lstsq(landmarks):
    ours, theirs = (np.array(points) for points in (LANDMARKS, landmarks))
    (a, b), *_ = np.linalg.lstsq(np.stack([ours, np.ones(4)], 1), theirs, rcond=None)
    middle = a * (64 + 64j) + b
    box = Box(middle.real, middle.imag, 128 * abs(a), cmath.phase(a))
    return box, abs(theirs - a * ours - b).max() / box.side


def with_box(change):
    def answer(landmarks):
        box, worst = fit_box(landmarks)
        return change(box), worst

    return answer


def on_their_middle(landmarks):
    seen = sum(landmarks) / 4
    return with_box(lambda box: box._replace(x=seen.real, y=seen.imag))(landmarks)


def in_pixels(landmarks):
    box, worst = fit_box(landmarks)
    return box, worst * box.side


def by_formula(landmarks, product, middle=1, off=max):
    ours, theirs = (np.array(points) for points in (LANDMARKS, landmarks))
    center, seen = ours.mean(), theirs.mean()
    a = product(ours - middle * center, theirs - middle * seen).sum() / (abs(ours - middle * center) ** 2).sum()
    z = seen + a * (64 + 64j - center)
    side = 128 * abs(a)
    return Box(z.real, z.imag, side, cmath.phase(a)), off(abs(theirs - seen - a * (ours - center))) / side


def numpy_fade(u):
    t = np.clip((1 - np.abs(u.numpy())) / 0.25, 0, 1)
    return 3 * t**2 - 2 * t**3


def by_where(u):
    t = 4 - 4 * u.abs()
    return torch.where(u.abs() >= 1, 0, torch.where(u.abs() <= 0.75, 1, 3 * t**2 - 2 * t**3))


def by_scipy(image, along, across, angle, reach=3.0, whole=math.ceil):
    half = max(1, whole(reach * max(along, across)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    u, v = np.tensordot(turn, np.stack([x, y]), 1)
    kernel = np.exp(-((u / along) ** 2) / 2 - (v / across) ** 2 / 2)
    return np.stack([convolve(plane, kernel / kernel.sum(), mode="mirror") for plane in image.double().numpy()])


def own_noise(picture, level, draw, half=True, clip=True, cut=False, grey=None, small=SMALL, mean=False):
    single = draw.happens(GREY_NOISE) if grey is None else (draw.happens(GREY_NOISE), grey)[1]
    if half and picture.width < small:
        level = level / 2
    values = np.array(picture, dtype=np.float64)
    noise = draw.normal(picture.height, picture.width, 1 if single and not mean else 3)
    values += level * (noise.mean(2, keepdims=True) if single else noise)
    values = values if cut else np.rint(values)
    return (np.clip(values, 0, 255) if clip else values).astype(np.int64).astype(np.uint8)


def best(b, r, x):
    return ((x - b) * (r - b)).sum() / (r - b).square().sum()


def by_trying(b, r, x):
    shares = torch.linspace(-1, 2, 301)
    return shares[torch.stack([(b + s * (r - b) - x).square().sum() for s in shares]).argmin()]


def median(lr, kernel, gain):
    kernel = torch.tensor(kernel)[None, None]
    filtered = F.conv2d(lr.flatten(0, 1)[:, None], kernel)
    return (filtered.abs().flatten(1).median(1).values / gain).view(len(lr), -1).mean(1)


def by_mean(lr, of=lambda values: values.abs().mean(1) * math.sqrt(math.pi / 2)):
    filtered = F.conv2d(lr.flatten(0, 1)[:, None], torch.tensor(LAPLACE)[None, None])
    return (of(filtered.flatten(1)) / 6).view(len(lr), -1).mean(1)


LAPLACE = [[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]
RIGHT = {
    "fit_box": [fit_box, by_lstsq],
    "fade": [_fade, numpy_fade, by_where],
    "gaussian": [gaussian, by_scipy],
    "noisy": [noisy, own_noise],
    "10.1": [0.28, 0.8 * 0.7 * 0.5, torch.tensor(0.28)],
    "10.2": [best, by_trying, lambda b, r, x: float(best(b, r, x))],
    "10.3": [
        lambda lr: median(lr, LAPLACE, 6 * 0.6745),
        lambda lr: median(lr, [[0.5, -0.5], [-0.5, 0.5]], 0.6745),
        lambda lr: median(lr, LAPLACE, 6 * 0.6745).numpy(),
    ],
}
WRONG = {
    "fit_box": [
        (on_their_middle, "middle of the landmarks"),
        (with_box(lambda box: box._replace(side=box.side / 128)), "128 times"),
        (with_box(lambda box: box._replace(angle=math.degrees(box.angle))), "radians"),
        (with_box(lambda box: box._replace(angle=-box.angle)), "other way"),
        (in_pixels, "in sides"),
        (lambda landmarks: by_formula(landmarks, lambda ours, theirs: ours * theirs), "bar is missing"),
        (lambda landmarks: by_formula(landmarks, lambda ours, theirs: ours * theirs.conjugate()), "other way"),
        (lambda landmarks: by_formula(landmarks, lambda ours, theirs: ours.conjugate() * theirs, middle=0), "means"),
        (lambda landmarks: by_formula(landmarks, lambda ours, theirs: ours.conjugate() * theirs, off=np.mean), "worst"),
        (with_box(lambda box: box._replace(side=box.side + 9)), "For landmarks 2"),
        (lambda landmarks: fit_box(landmarks)[0], "two things"),
        (lambda landmarks: print(end=""), "return"),
    ],
    "fade": [
        (lambda u: ((1 - u.abs()) / 0.25).clamp(0, 1), "kink"),
        (lambda u: 0.5 - 0.5 * (math.pi * (4 - 4 * u.abs()).clamp(0, 1)).cos(), "cosine"),
        (lambda u: ((4 - 4 * u.abs()).clamp(0, 1) * math.pi / 2).sin() ** 2, "cosine"),
        (lambda u: (lambda t: t**3 * (10 - 15 * t + 6 * t**2))((4 - 4 * u.abs()).clamp(0, 1)), "another smooth step"),
        (lambda u: (u.abs() < 1).float(), "hard edge"),
        (lambda u: 1 - _fade(u), "other way round"),
        (lambda u: _fade(u.clamp(min=0)), "absolute"),
        (lambda u: 1 - u.abs().clamp(max=1), "For a tensor"),
        (lambda u: print(end=""), "return"),
    ],
    "gaussian": [
        (lambda x, a, b, t: gaussian(x, a, a, t), "across is ignored"),
        (lambda x, a, b, t: gaussian(x, a, b, 0), "angle is ignored"),
        (lambda x, a, b, t: gaussian(x, a, b, -t), "other way"),
        (lambda x, a, b, t: gaussian(x, b, a, t), "swapped"),
        (lambda x, a, b, t: 2 * gaussian(x, a, b, t), "For a tensor"),
        (lambda x, a, b, t: gaussian(x, math.sqrt(a), math.sqrt(b), t), "squared"),
        (lambda *case: by_scipy(*case, reach=4.0), "too far"),
        (lambda *case: by_scipy(*case, reach=2.5), "too early"),
        (lambda *case: by_scipy(*case, reach=2.0), "3 times"),
        (lambda *case: by_scipy(*case, whole=int), "rounded down"),
        (lambda *case: by_scipy(*case, whole=round), "nearest"),
        (lambda x, a, b, t: print(end=""), "return"),
    ],
    "noisy": [
        (lambda *case: own_noise(*case, grey=False), "always"),
        (lambda *case: own_noise(*case, grey=True), "always"),
        (lambda *case: own_noise(*case, half=False), "SMALL"),
        (lambda *case: own_noise(*case, small=SMALL + 1), "as wide"),
        (lambda *case: own_noise(*case, small=1_000), "wider ones get all"),
        (lambda *case: own_noise(*case, mean=True), "mean of three"),
        (lambda *case: own_noise(*case, clip=False), "wrap"),
        (lambda *case: own_noise(*case, cut=True), "nearest"),
        (lambda picture, level, draw: own_noise(picture, level / 255, draw), "8-bit levels already"),
        (lambda picture, level, draw: picture, "255"),
        (lambda *case: print(end=""), "return"),
    ],
    "10.1": [(0.35, "clean"), (0.4, "own pixels"), (0.5, "again"), (0.1, "three draws"), (28, "per cent")],
    "10.2": [
        (lambda *case: -best(*case), "sign"),
        (lambda *case: best(*case).clamp(0, 1), "clamp"),
        (lambda *case: 1 - best(*case), "share of bicubic"),
        (lambda *case: 1.0, "you give 1"),
        (lambda b, r, x: ((x - b) / (r - b)).median(), "median"),
        (lambda *case: print(end=""), "return"),
    ],
    "10.3": [
        (lambda lr: median(lr, LAPLACE, 6), "0.6745"),
        (lambda lr: median(lr.mean(1, keepdim=True), LAPLACE, 6 * 0.6745), "root of 3"),
        (lambda lr: median(lr, LAPLACE, 0.6745), "six times"),
        (lambda lr: median(lr, LAPLACE, 1), "four times"),
        (lambda lr: lr.std((1, 2, 3)), "own detail"),
        (by_mean, "own detail"),
        (lambda lr: by_mean(lr, lambda values: values.std(1)), "own detail"),
        (lambda lr: median(lr, LAPLACE, 6 * 0.6745).mean(), "One number a face"),
        (lambda lr: print(end=""), "return"),
    ],
}
