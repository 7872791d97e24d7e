"""Chapter 10: a box from landmarks, the feather, a turned Gaussian and noise; its exercises: exercises10.py."""

import cmath
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import blind
from ...data.blind import GREY_NOISE, SMALL, Draw, gaussian
from ...data.color import to_pil
from ...data.degradation import generator
from ...inference.box import LANDMARKS, Box, fit_box
from ...inference.faces import _fade
from .compare import Checks, Function, compare


def picture(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1], the same for a seed."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class _Points(list):
    """Landmarks that a message names in a few digits."""

    def __repr__(self) -> str:
        return "landmarks " + ", ".join(f"{z.real:.0f}{z.imag:+.0f}j" for z in self)


def _fitted(
    landmarks: list[complex],
    centred: bool = True,
    mine: bool = True,
    theirs: bool = False,
    eyes: bool = False,
    mean: bool = False,
) -> tuple[Box, float]:
    """`fit_box` with one thing done otherwise: means not taken off, other points conjugated, the eyes alone, a mean."""
    center, seen = sum(LANDMARKS) / 4, sum(landmarks) / 4
    pairs = [
        (ours - center, there - seen) if centred else (ours, there)
        for ours, there in zip(LANDMARKS, landmarks, strict=True)
    ]
    used = [(pairs[1][0] - pairs[0][0], pairs[1][1] - pairs[0][1])] if eyes else pairs
    products = [(ours.conjugate() if mine else ours) * (there.conjugate() if theirs else there) for ours, there in used]
    turn = sum(products) / sum(abs(ours) ** 2 for ours, _ in used)
    middle, side = seen + turn * (complex(64, 64) - center), 128 * abs(turn)
    off = [abs(there - seen - turn * (ours - center)) for ours, there in zip(LANDMARKS, landmarks, strict=True)]
    return Box(middle.real, middle.imag, side, cmath.phase(turn)), (sum(off) / 4 if mean else max(off)) / side


def check_fit_box(answer: Any) -> str:
    def centred(landmarks: list[complex]) -> tuple[Box, float]:
        (box, worst), seen = fit_box(landmarks), sum(landmarks) / 4
        return box._replace(x=seen.real, y=seen.imag), worst

    def scaled(side: float, turn: float = 1.0) -> Function:
        def wrong(landmarks: list[complex]) -> tuple[Box, float]:
            box, worst = fit_box(landmarks)
            return Box(box.x, box.y, side * box.side, turn * box.angle), worst

        return wrong

    def in_pixels(landmarks: list[complex], of: float = 0) -> tuple[Box, float]:
        box, worst = fit_box(landmarks)
        return box, worst * (of or box.side)

    turned = "The box is turned the other way: is each of our landmarks conjugated, and none of theirs?"
    mistakes: dict[str, Function] = {
        "The middle of the landmarks is not the middle of the box: see where it is among LANDMARKS.": centred,
        "The side is 128 times the length of the factor.": scaled(1 / 128),
        "The angle is asked for in radians.": scaled(1, 180 / math.pi),
        turned: scaled(1, -1),
        turned + " It has to be ours.": partial(_fitted, mine=False, theirs=True),
        "The bar is missing: each of our landmarks is conjugated.": partial(_fitted, mine=False),
        "Both sets of points have to be taken from their means first.": partial(_fitted, centred=False),
        "That fits the eyes alone: the corners of the mouth count as much.": partial(_fitted, eyes=True),
        "Of how far off the four are, the worst is asked for, not the mean.": partial(_fitted, mean=True),
        "How far off the worst landmark is, is asked for in sides of the box.": in_pixels,
        "In sides of the box, not in pixels of the crop.": partial(in_pixels, of=128),
    }
    cases = []
    for seed, (side, angle) in enumerate([(1.0, 0.0), (0.4, 0.6), (3.0, -2.5), (1.7, 0.2)]):
        noise = 3 * torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        turn = side * complex(math.cos(angle), math.sin(angle))
        shifts = [complex(*row) for row in noise.tolist()]
        moved = [200 - 30j + turn * z + seed * s for z, s in zip(LANDMARKS, shifts, strict=True)]
        cases.append((_Points(moved),))
    in_tensors = {words: partial(_pair, mistake) for words, mistake in mistakes.items()}
    return compare(partial(_pair, answer), partial(_pair, fit_box), cases, in_tensors, tolerance=2e-3)


def _pair(answer: Function, landmarks: list[complex]) -> Any:
    found = answer(landmarks)
    if isinstance(found, Box):
        raise TypeError("a box alone: two things are asked for, the box and how far off the worst landmark is")
    return None if found is None else (torch.tensor([float(part) for part in found[0]]), float(found[1]))


def check_fade(answer: Any) -> str:
    def t(u: Tensor, margin: float = 0.25) -> Tensor:
        return ((1 - u.abs()) / margin).clamp(0, 1)

    def smooth(t: Tensor) -> Tensor:
        return t * t * (3 - 2 * t)

    mistakes = {
        "That is t itself, with a kink at both ends: put it into $3t^2 - 2t^3$.": t,
        "That is a cosine: as smooth, but $3t^2 - 2t^3$ is asked for.": lambda u: 0.5 - 0.5 * (math.pi * t(u)).cos(),
        "That is another smooth step: $3t^2 - 2t^3$ is asked for.": lambda u: (
            t(u) ** 3 * (6 * t(u) ** 2 - 15 * t(u) + 10)
        ),
        "That is a hard edge.": lambda u: (u.abs() < 1).float(),
        "t has to stop at 0 and 1: clamp it.": lambda u: smooth((1 - u.abs()) / 0.25),
        "Both sides of the box fade: take the absolute value of u.": lambda u: smooth(((1 - u) / 0.25).clamp(0, 1)),
        "The other way round: 1 inside, 0 at the side.": lambda u: 1 - smooth(t(u)),
        "The margin is a quarter of half the box: u runs from 0 to 1 over that half.": lambda u: smooth(t(u, 0.5)),
        "It fades from the middle on: only the outer quarter should.": lambda u: smooth(t(u, 1.0)),
    }
    cases = [(torch.linspace(-1.4, 1.4, 57),), (2.6 * picture(5, 7) - 1.3,), (torch.zeros(3),)]
    return compare(answer, _fade, cases, mistakes, tolerance=1e-5)


def check_gaussian(answer: Any) -> str:
    def other(
        padding: str = "reflect",
        total: bool = True,
        square: bool = True,
        half: bool = True,
        times: float = 3.0,
        whole: Callable[[float], int] = math.ceil,
    ) -> Function:
        def wrong(image: Tensor, along: float, across: float, angle: float) -> Tensor:
            reach = max(1, whole(times * max(along, across)))
            steps = torch.arange(-reach, reach + 1, dtype=image.dtype)
            y, x = torch.meshgrid(steps, steps, indexing="ij")
            u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
            powers = (u.square() / (along**2 if square else along)) + (v.square() / (across**2 if square else across))
            kernel = torch.exp(-powers / (2 if half else 1))
            kernel = (kernel / (kernel.sum() if total else 1))[None, None].expand(3, 1, -1, -1)
            return F.conv2d(F.pad(image[None], [reach] * 4, mode=padding), kernel, groups=3)[0]

        return wrong

    mistakes = {
        "It is round: across is ignored.": lambda x, a, b, t: gaussian(x, a, a, t),
        "It is round: along is ignored.": lambda x, a, b, t: gaussian(x, b, b, t),
        "The angle is ignored.": lambda x, a, b, t: gaussian(x, a, b, 0.0),
        "It is turned the other way: y points down, and the angle goes from x to y.": lambda x, a, b, t: gaussian(
            x, a, b, -t
        ),
        "Along and across are swapped.": lambda x, a, b, t: gaussian(x, b, a, t),
        "The weights do not sum to 1: divide them by their sum.": other(total=False),
        "Beyond the border you have black: the image is mirrored there.": other("constant"),
        "Beyond the border you repeat the last pixel: the image is mirrored there.": other("replicate"),
        "A standard deviation has to be squared.": other(square=False),
        "The 2 below the squares is missing.": other(half=False),
        "The kernel ends far too early: it reaches 3 times the greater deviation.": other(times=2.0),
    }
    cases = [
        (picture(3, 24, 30), 2.5, 0.8, 0.6),
        (picture(3, 20, 18, seed=1), 0.7, 3.1, 2.0),
        (picture(3, 16, 16, seed=2), 0.1, 0.1, 0.0),
    ]
    if problem := compare(answer, gaussian, cases, mistakes, tolerance=3e-3):
        return problem
    reaches = {
        "The kernel reaches too far: 3 times the greater deviation is asked for.": other(times=4.0),
        "The kernel ends too early: 3 times the greater deviation is asked for.": other(times=2.5),
        "The reach is rounded up to whole pixels: yours is rounded down.": other(whole=math.floor),
        "The reach is rounded up to whole pixels: yours is rounded to the nearest.": other(whole=round),
    }
    if compare(answer, gaussian, cases, reaches, tolerance=1e-5):
        known = (words for words, wrong in reaches.items() if not compare(answer, wrong, cases, tolerance=1e-5))
        return next(known, "Nearly: does the kernel reach 3 times the greater deviation, rounded up?")
    return ""


def check_noisy(answer: Any) -> str:
    def other(
        channels: Callable[[bool], int],
        small: float = 0.5,
        clip: bool = True,
        scale: float = 1.0,
        below: float = SMALL,
        mean: bool = False,
    ) -> Function:
        def wrong(picture: Any, level: float, draw: Draw) -> np.ndarray:
            count = channels(draw.happens(GREY_NOISE))
            level = scale * level * (small if picture.width < below else 1)
            noise = draw.normal(picture.height, picture.width, 3 if mean else count)
            if mean and count == 1:
                noise = noise.mean(2, keepdims=True)
            values = np.asarray(picture, np.float32) + level * noise
            return np.round(values).clip(0, 255) if clip else np.round(values).astype(np.int64).astype(np.uint8)

        return partial(_spoilt, wrong)

    def usual(grey: bool) -> int:
        return 1 if grey else 3

    mistakes = {
        "The noise differs in each colour, always: in some pictures it is grey.": other(lambda grey: 3),
        "The noise is grey, always: in some pictures it differs in each colour.": other(lambda grey: 1),
        "Grey and coloured are swapped.": other(lambda grey: usual(not grey)),
        "Pictures narrower than SMALL get half of it.": other(usual, small=1.0),
        "Half of it is for pictures narrower than SMALL: wider ones get all.": other(usual, below=math.inf),
        "Grey noise is one number a pixel, drawn as one channel: a mean of three is weaker.": other(usual, mean=True),
        "Only what is narrower than SMALL gets half of it, not what is as wide.": other(usual, below=SMALL + 1),
        "Values below 0 and above 255 wrap around in 8 bits: clip them first.": other(usual, clip=False),
        "The level is in 8-bit levels already: do not divide it by 255.": other(usual, scale=1 / 255),
        "The level is in 8-bit levels already: do not multiply it by 255.": other(usual, scale=255),
    }
    cases = [(picture(3, 20, 30), 12.0, 0), (picture(3, 22, 16, seed=1), 9.0, 1)]
    cases += [(picture(3, 25, SMALL, seed=seed), 4.0, seed) for seed in (2, 3, 4)]
    problem = compare(partial(_spoilt, answer), partial(_spoilt, blind.noisy), cases, mistakes, tolerance=1.01)
    if problem:
        return problem
    share = [_spoilt(answer, *case) == _spoilt(blind.noisy, *case) for case in cases]
    if min(same.float().mean() for same in share) < 0.9:
        return "Round to the nearest whole level: yours are cut off, half a level too dark."
    return ""


def _spoilt(answer: Function, image: Tensor, level: float, seed: int) -> Any:
    """What a function makes of the image as Pillow's, with random numbers that depend on the seed alone."""
    found = answer(to_pil(image), level, Draw(generator(seed)))
    if found is None:
        return None
    return torch.as_tensor(found if isinstance(found, Tensor) else np.array(found)).float()


CHECKS: Checks = {
    "fit_box": check_fit_box,
    "fade": check_fade,
    "gaussian": check_gaussian,
    "noisy": check_noisy,
}
