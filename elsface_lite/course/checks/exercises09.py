"""The three exercises of chapter 09: what a discriminator costs, back from bands, and a duel of two numbers."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .chapter09 import random
from .compare import Checks, Function, compare


def check_cost(answer: Any) -> str:
    answer = float(answer)
    layers = [(3, 16, 128), (16, 32, 64), (32, 64, 32), (64, 128, 16), (128, 128, 8), (128, 1, 8)]
    right = sum(9 * inputs * outputs * side**2 for inputs, outputs, side in layers) / 1e6
    known = {
        sum(9 * i * o * 128**2 for i, o, _ in layers) / 1e6: "The grid is halved after each of the first four layers.",
        sum(i * o * s**2 for i, o, s in layers) / 1e6: "A kernel of 3x3 has nine weights for each pair of channels.",
        right / 4: "The first layer works on all 128x128 places: its pooling comes after it.",
        1e6 * right: "In millions, please.",
        right / 1e3: "In millions, please.",
    }
    for value, words in known.items():
        if math.isclose(answer, value, rel_tol=0.01):
            return words
    if math.isclose(answer, right, rel_tol=0.015):
        return ""
    return "A layer costs 9 x channels in x channels out x places of its output; add up the six."


def from_bands(low: Tensor, high: Tensor) -> Tensor:
    """The image whose `haar_bands` these are: (b, 3, h, w) and (b, 9, h, w) -> (b, 3, 2h, 2w)."""
    x, y, cross = high.split(3, 1)
    corners = [low + x + y + cross, low - x + y - cross, low + x - y - cross, low - x - y + cross]
    return F.pixel_shuffle(torch.stack(corners, 2).flatten(1, 2) / 2, 2)


def check_from_bands(answer: Any) -> str:
    mistakes: dict[str, Function] = {
        "Each pixel is half of a sum of four bands: yours is the sum itself.": lambda *b: 2 * from_bands(*b),
        "Each pixel is half of a sum of four bands: you divide by 4.": lambda *b: from_bands(*b) / 2,
        "The high bands are not used: that is the low band enlarged.": lambda low, high: from_bands(low, 0 * high),
        "The details have the wrong sign.": lambda low, high: from_bands(low, -high),
        "Columns and rows are swapped in each block of 2x2.": lambda low, high: from_bands(
            low, torch.cat([high[:, 3:6], high[:, :3], high[:, 6:]], 1)
        ),
        "The crosswise band has the wrong sign.": lambda low, high: from_bands(
            low, torch.cat([high[:, :6], -high[:, 6:]], 1)
        ),
    }
    shapes = [(2, 4, 6), (1, 3, 2), (3, 1, 1)]
    cases = [(random(n, 3, h, w, seed=i), random(n, 9, h, w, seed=i + 5)) for i, (n, h, w) in enumerate(shapes)]
    return compare(answer, from_bands, cases, mistakes, tolerance=1e-5)


def duel(theta: float, psi: float, rate: float, penalty: float) -> tuple[float, float]:
    """One step of the smallest game: SR is theta, HR is 0, and the discriminator says psi times what it sees."""
    believes = 1 / (1 + math.exp(-theta * psi))
    doubts = 1 / (1 + math.exp(theta * psi))
    return theta + rate * psi * doubts, psi - rate * (theta * believes + 2 * penalty * psi)


def check_duel(answer: Any) -> str:
    def turns(theta: float, psi: float, rate: float, penalty: float) -> tuple[float, float]:
        new = duel(theta, psi, rate, penalty)[0]
        return new, duel(new, psi, rate, penalty)[1]

    mistakes: dict[str, Function] = {
        "You move psi by the new theta: both move at once, from the same place.": turns,
        "The penalty is taken once: the slope is psi at SR and at HR, and the two squares are added up.": (
            lambda t, p, r, g: duel(t, p, r, g / 2)
        ),
        "The penalty is twice too strong: mind the half before it.": lambda t, p, r, g: duel(t, p, r, 2 * g),
        "The penalty is missing.": lambda t, p, r, g: duel(t, p, r, 0.0),
        "Both go uphill: a loss falls against its gradient.": lambda t, p, r, g: duel(t, p, -r, g),
        "Theta goes the wrong way: it wants the discriminator to say more.": lambda t, p, r, g: (
            2 * t - duel(t, p, r, g)[0], duel(t, p, r, g)[1]
        ),
        "Psi goes the wrong way: it wants HR, which is 0, to look more real than SR.": lambda t, p, r, g: (
            duel(t, p, r, g)[0], p + r * (t / (1 + math.exp(-t * p)) - 2 * g * p)
        ),
        "The slope of softplus is missing: a sigmoid.": lambda t, p, r, g: (t + r * p, p - r * (t + 2 * g * p)),
    }  # fmt: skip
    cases = [(1.0, 0.5, 0.1, 0.2), (-0.7, 1.3, 0.05, 1.0), (2.0, -1.0, 0.3, 0.1), (0.4, 0.9, 0.2, 0.0)]
    return compare(answer, duel, cases, mistakes, tolerance=1e-5)


CHECKS: Checks = {"09.1": check_cost, "09.2": check_from_bands, "09.3": check_duel}
