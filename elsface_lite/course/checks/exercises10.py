"""The three exercises of chapter 10: saved twice, the best strength, and how noisy a face is."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .chapter10 import picture
from .compare import FORGOTTEN, Checks, compare


def check_share(answer: Any) -> str:
    answer = float(answer)
    near = {
        0.35: "Some faces stay clean: those are not saved at all.",
        0.5: "That is the share of those that may be saved again.",
        0.4: "Faces that keep the sensor's own pixels are saved once only.",
        0.12: "Those that keep the sensor's own pixels are the ones that are not saved again.",
        0.56: "Not all of these are saved a second time.",
        28: "That is in per cent: a share lies between 0 and 1.",
    }
    if abs(answer - 0.28) < 0.006:
        return ""
    hint = next((words for value, words in near.items() if abs(answer - value) < 0.006), "")
    return hint or f"Not {answer:.3g}: multiply the shares of three draws, in the order of the code."


def check_best_strength(answer: Any) -> str:
    def best(b: Tensor, r: Tensor, x: Tensor) -> Tensor:
        return ((x - b) * (r - b)).sum() / (r - b).square().sum()

    mistakes = {
        "The sign is wrong.": lambda *case: -best(*case),
        "It may lie outside 0 to 1: do not clamp it.": lambda *case: best(*case).clamp(0, 1),
        "That is the ratio upside down.": lambda *case: 1 / best(*case),
        "That is the share of bicubic: the restored one's is asked for.": lambda *case: 1 - best(*case),
        "A mean of ratios over the pixels is not the ratio of the sums.": lambda b, r, x: ((x - b) / (r - b)).mean(),
        "A median of ratios over the pixels is not where the sum of squares is least.": lambda b, r, x: (
            (x - b) / (r - b)
        ).median(),
    }
    cases = []
    for seed, share in enumerate((0.6, 1.4, -0.3)):
        b, r = picture(1, 3, 16, 16, seed=seed), picture(1, 3, 16, 16, seed=seed + 9)
        # Where the two differ most, a larger share is right: so a median of shares is another number.
        cases.append((b, r, b + (share + 0.4 * (r - b).abs()) * (r - b) + 0.05 * picture(1, 3, 16, 16, seed=seed + 20)))
    return compare(answer, best, cases, mistakes, tolerance=0.015)


def check_noise_of(answer: Any) -> str:
    levels = torch.tensor([0.02, 0.05, 0.1, 0.03])
    faces = F.interpolate(picture(4, 3, 5, 5), (64, 64), mode="bicubic").clamp(0, 1) * 0.4 + 0.3
    faces[:, :, 20:40, 30:50] -= 0.2  # edges, which are no noise
    threads = 0.3 * (-1) ** (torch.arange(10) + torch.arange(10)[:, None])
    faces[:, :, 4:14, 4:14] += threads  # nor is a cloth
    noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(1))
    found = answer(faces + levels.view(4, 1, 1, 1) * noise)
    if found is None:
        return FORGOTTEN
    found = torch.as_tensor(found).detach().float()
    if found.shape != (4,):
        return f"One number a face is asked for, (4,) for four faces; yours is {tuple(found.shape)}."
    ratio = (found / levels).tolist()
    middle = sorted(ratio)[1]
    known = {
        3**-0.5: "All of your estimates are too low by the root of 3, as is the noise of the mean of three colours: "
        "estimate it in each colour, then take the mean.",
        0.6745: "All of your estimates are a third too low: a median of absolute values is 0.6745 standard deviations.",
        6.0: "All of your estimates are six times too high: the filter enlarges noise by 6.",
        4.047: "All of your estimates are four times too high: divide by 6, the filter's gain, and by 0.6745.",
    }
    off = {words: max(abs(one / factor - 1) for one in ratio) for factor, words in known.items()}
    nearest = min(off, key=lambda words: off[words])
    if off[nearest] < 0.15:
        return nearest
    worst = max(ratio, key=lambda one: abs(one - 1))
    if abs(worst - 1) < 0.2:
        return ""
    if max(ratio) > 1.3 * middle:
        return f"For noise of 0.02 you find {found[0]:.3f}: the picture's own detail is counted as noise."
    return f"For noise of {levels[ratio.index(worst)]:.2f} you find {found[ratio.index(worst)]:.3f}."


CHECKS: Checks = {"10.1": check_share, "10.2": check_best_strength, "10.3": check_noise_of}
