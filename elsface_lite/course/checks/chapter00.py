"""Chapter 00: PSNR, what LR does not know, and three exercises about it."""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import downscale, quantize
from ...metrics.image import psnr
from .compare import FORGOTTEN, LEVEL, Checks, compare


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _mse(image: Tensor, hr: Tensor) -> Tensor:
    return (image - hr).square().mean()


def check_psnr(answer: Any) -> str:
    cases = []
    for seed, (side, wrong_by) in enumerate([(16, 0.02), (24, 0.1), (9, 0.5)]):
        hr = _noise(3, side, side, seed=seed)
        cases.append((quantize(hr + wrong_by * (_noise(3, side, side, seed=9 - seed) - 0.5)), quantize(hr)))
    mistakes = {
        "The sign is wrong: less error has to give more decibels.": lambda a, b: 10 * _mse(a, b).log10(),
        "This is the natural logarithm: decibels want the one to base 10.": lambda a, b: -10 * _mse(a, b).log(),
        "Twenty times the logarithm is for the root of the MSE, ten times for the MSE.": lambda a, b: (
            -20 * _mse(a, b).log10()
        ),
        "That is 10 log10 of the root: the MSE itself goes into the logarithm.": lambda a, b: -5 * _mse(a, b).log10(),
        "Values are from 0 to 1 here: the largest is 1, not 255.": lambda a, b: -10 * (_mse(a, b) / 255**2).log10(),
        "You squared the mean of the differences: take the mean of their squares.": lambda a, b: (
            -10 * (a - b).mean().square().log10()
        ),
        "You summed the squares: take their mean.": lambda a, b: -10 * (a - b).square().sum().log10(),
        "You took the mean absolute error: square first.": lambda a, b: -10 * (a - b).abs().mean().log10(),
        "That is the MSE; now its logarithm.": _mse,
        "You took one PSNR for each channel, then their mean: the logarithm comes after the mean of all squares.": (
            lambda a, b: -10 * (a - b).square().mean((1, 2)).log10().mean()
        ),
    }
    return compare(answer, lambda a, b: psnr(a[None], b[None])[0], cases, mistakes, tolerance=1e-3)


@cache
def _matrix() -> Tensor:
    """D, (32, 128): antialiased bicubic along one side."""
    eye = torch.eye(128, dtype=torch.float64)
    return F.interpolate(eye[None, None], (32, 128), mode="bicubic", antialias=True)[0, 0]


def _kept(image: Tensor) -> Tensor:
    seen = torch.linalg.pinv(_matrix()) @ _matrix()
    return seen @ image.double() @ seen.T


def check_lost(answer: Any) -> str:
    cases = [(_noise(3, 128, 128),), (_noise(2, 3, 128, 128, seed=1).double(),), (_noise(128, 128, seed=2),)]
    gone = torch.eye(128).double() - torch.linalg.pinv(_matrix()) @ _matrix()

    def rest(image: Tensor) -> Tensor:
        return image.double() - _kept(image)

    mistakes = {
        "That is the kept part: the rest is asked for.": _kept,
        "The sign is wrong: kept and lost have to add up to the image.": lambda image: _kept(image) - image,
        "That is only what is lost along rows and columns both: what one of the two loses is gone as well.": (
            lambda image: gone @ image.double() @ gone.T
        ),
        "That is what the mixing of rows loses: columns are mixed as well.": lambda image: gone @ image.double(),
        "That is what the mixing of columns loses: rows are mixed as well.": lambda image: image.double() @ gone.T,
    }
    problem = compare(answer, rest, cases, mistakes, tolerance=1e-5)
    if not problem and compare(answer, rest, cases, tolerance=1e-10):
        return "Right to the seven digits of float32; float64 is asked for, as the next cell needs all of its digits."
    return problem


def check_best_bet(answer: Any, first: Tensor, second: Tensor) -> str:
    answer = torch.as_tensor(answer).double()
    if answer.shape != first.shape:
        return f"A picture {tuple(first.shape)} is asked for; yours is {tuple(answer.shape)}."
    away, gap = answer - (first + second) / 2, second - first
    towards = ((away * gap).sum() / gap.square().sum()).item()  # -1/2 is the first face, 1/2 the second
    if abs(towards) > 0.002 or away.square().mean().sqrt() > LEVEL / 2:
        costs = [sum(_mse(picture, face).item() for face in (first, second)) / 2 for picture in (answer, answer - away)]
        return f"You pay {1e4 * costs[0]:.2f}/10,000 on average, and it can be done for {1e4 * costs[1]:.2f}."
    return ""


def check_secret(answer: Any, first: Tensor) -> str:
    answer, first = torch.as_tensor(answer).double(), first.double()
    if answer.shape != first.shape:
        return f"A picture {tuple(first.shape)} is asked for; yours is {tuple(answer.shape)}."
    if not answer.isfinite().all() or answer.min() < 0 or answer.max() > 1:
        return "This is no picture, its values leave [0, 1]. What did `same_lr` do about that?"
    seen, change = (
        255 * part.abs().max().item() for part in (_matrix() @ (answer - first) @ _matrix().T, answer - first)
    )
    if seen > 0.5:
        return f"The LR face changes by {seen:.1f} of 255. Only the lost part may change."
    rounded = (downscale(answer[None].float(), 4) != downscale(first[None].float(), 4)).sum().item()
    if rounded:
        return f"{rounded} numbers of the LR face are rounded to another value. Change even less of the kept part."
    return "" if change >= 30 else f"The largest change is {change:.0f} of 255. Draw more boldly."


def check_consistent(answer: Any) -> str:
    for seed in range(3):
        sr, lr = _noise(3, 128, 128, seed=seed).double(), _noise(3, 32, 32, seed=seed + 5).double()
        got = answer(sr.clone(), lr.clone())
        if got is None:
            return FORGOTTEN
        got = torch.as_tensor(got).double()
        if got.shape != sr.shape:
            return f"The picture should be {tuple(sr.shape)}; yours is {tuple(got.shape)}."
        off, detour = _matrix() @ got @ _matrix().T - lr, got - sr - _kept(got - sr)
        if off.abs().max() > 0.05 * LEVEL:
            return f"Its LR face is still {255 * off.abs().max():.3g} of 255 away from lr (a random one)."
        if detour.abs().max() > 0.05 * LEVEL:
            return "The LR face is right, but there is a nearer picture: the lost part of sr should stay."
    return ""


CHECKS: Checks = {
    "psnr": check_psnr,
    "lost": check_lost,
    "00.1": check_best_bet,
    "00.2": check_secret,
    "00.3": check_consistent,
}
