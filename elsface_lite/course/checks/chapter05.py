"""Chapter 05: the Gaussian, the blur as a matrix, the unsharp mask, the Sharp Loss, and three exercises about it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.losses import blur_matrix, gaussian_blur, gaussian_kernel, unsharp_mask
from .compare import FORGOTTEN, Checks, Function, compare, refuses


def _picture(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _with(function: Function, *rest: Any) -> Function:
    """Of the first two arguments alone."""
    return lambda first, second: function(first, second, *rest)


def check_gaussian_kernel(answer: Any) -> str:
    def bell(size: int, shift: float = 0.0, square: bool = True, two: float = 2.0, even: bool = True) -> Tensor:
        sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8 + shift
        x = torch.arange(size, dtype=torch.float64) - size // 2
        weights = torch.exp(-(x**2) / (two * (sigma**2 if square else sigma)))
        return weights / weights.sum() if even else weights

    mistakes = {
        "The weights do not sum to 1: divide them by their sum.": lambda n: bell(n, even=False),
        "The 2 in front of sigma squared is missing.": lambda n: bell(n, two=1.0),
        "Sigma has to be squared.": lambda n: bell(n, square=False),
        "You take sigma = 8 for every size: it follows from the number of taps.": lambda n: bell(
            n, 8 - 0.3 * ((n - 1) / 2 - 1) - 0.8
        ),
        "The bell is not in the middle: distance 0 belongs to tap size // 2.": lambda n: bell(n).roll(-(n // 2)),
    }
    problem = compare(answer, gaussian_kernel, [(51,), (9,), (5,), (1,)], mistakes, tolerance=1e-6)
    if problem:
        return problem
    for size in (4, 0, -1):
        if not refuses(answer, size):
            return f"A size of {size} should raise a ValueError: the taps have no middle, or there are none."
    return ""


def check_blur_matrix(answer: Any) -> str:
    def matrix(size: int, kernel: Tensor, mode: str) -> Tensor:
        half = len(kernel) // 2
        pixels = F.pad(torch.eye(size)[:, None], (half, half), mode=mode)
        return F.conv1d(pixels, kernel[None, None])[:, 0].T

    mistakes = {
        "Transposed: what became of pixel j is column j.": lambda n, k: blur_matrix(n, k).T,
        "Beyond the border you have black: a grey picture would get dark rims.": lambda n, k: matrix(n, k, "constant"),
        "You repeat the border pixel: reflection leaves it out, 2 1 0 1 2.": lambda n, k: matrix(n, k, "replicate"),
        "The picture goes round at the border: it should be reflected.": lambda n, k: matrix(n, k, "circular"),
    }
    cases = [(40, gaussian_kernel(21)), (9, gaussian_kernel(5)), (6, gaussian_kernel(11))]
    problem = compare(answer, blur_matrix, cases, mistakes, tolerance=1e-5)
    if not problem and not refuses(answer, 5, gaussian_kernel(11)):
        return "A side of 5 pixels and 11 taps should raise a ValueError: reflection needs more than 5."
    return problem


def check_unsharp_mask(answer: Any) -> str:
    def mask(image: Tensor, kernel: Tensor, amount: float = 0.5) -> Tensor:
        return unsharp_mask(image, kernel, amount)

    mistakes = {
        "The detail is taken away: add it.": lambda x, k, a=0.5: x - a * (x - gaussian_blur(x, k)),
        "That is the detail alone: it is added to the image.": lambda x, k, a=0.5: a * (x - gaussian_blur(x, k)),
        "You add the blur: add what it removed.": lambda x, k, a=0.5: x + a * gaussian_blur(x, k),
        "The amount is ignored.": lambda x, k, a=0.5: mask(x, k),
        "You add all of the detail: only the part `amount` of it.": lambda x, k, a=0.5: mask(x, k, 1.0),
        "Do not clamp: values outside [0, 1] are fine here, and an error has negative ones.": lambda x, k, a=0.5: mask(
            x, k, a
        ).clamp(0, 1),
        "That is the blur: take it from the image first.": lambda x, k, a=0.5: gaussian_blur(x, k),
    }
    cases = [
        (_picture(1, 3, 32, 40), gaussian_kernel(21)),
        (_picture(2, 1, 30, 28, seed=1) - 0.5, gaussian_kernel(9), 1.5),
        (_picture(1, 3, 16, 16, seed=2), gaussian_kernel(5), 0.0),
    ]
    return compare(answer, mask, cases, mistakes, tolerance=1e-5, gradient=True)


def check_sharp_loss(answer: Any) -> str:
    def apart(sr: Tensor, hr: Tensor, kernel: Tensor, amount: float = 0.5) -> Tensor:
        return unsharp_mask(sr, kernel, amount) - unsharp_mask(hr, kernel, amount)

    def loss(sr: Tensor, hr: Tensor, kernel: Tensor, amount: float = 0.5) -> Tensor:
        return apart(sr, hr, kernel, amount).abs().mean()

    mistakes = {
        "Those are squares: absolute values are asked for.": lambda *case: apart(*case).square().mean(),
        "The absolute values are missing: errors up and down cancel.": lambda *case: apart(*case).mean(),
        "You summed: take the mean.": lambda *case: apart(*case).abs().sum(),
        "Only SR is sharpened: HR has to be, too.": lambda sr, hr, k, a=0.5: (unsharp_mask(sr, k, a) - hr).abs().mean(),
        "Nothing is sharpened: that is L1.": lambda sr, hr, k, a=0.5: F.l1_loss(sr, hr),
        "The amount is ignored.": lambda sr, hr, k, a=0.5: loss(sr, hr, k),
        "That is the sum of L1 and the Sharp Loss: only the second is asked for.": lambda sr, hr, k, a=0.5: (
            F.l1_loss(sr, hr) + loss(sr, hr, k, a)
        ),
        "One loss for the batch is asked for, not one for each picture.": lambda *case: (
            apart(*case).abs().mean((1, 2, 3))
        ),
    }
    for seed, (shape, taps, amount) in enumerate([((1, 3, 32, 40), 21, 0.5), ((2, 3, 20, 24), 9, 1.5)]):
        kernel, pair = gaussian_kernel(taps), (_picture(*shape, seed=seed), _picture(*shape, seed=seed + 5))
        problem = compare(answer, loss, [(*pair, kernel) if amount == 0.5 else (*pair, kernel, amount)], mistakes, 1e-6)
        # The gradient reaches the two pictures; the kernel is given.
        mine, theirs = (_with(function, kernel, amount) for function in (answer, loss))
        problem = problem or compare(mine, theirs, [pair], tolerance=1e-6, gradient=True)
        if problem:
            return problem
    return ""


def check_lash_taps(answer: Any) -> str:
    taps = float(answer)
    if taps < 3 or taps % 2 != 1:
        return "An odd number is asked for, 3 or more: the Gaussian needs a middle."
    if taps == 7:
        return ""
    half = math.sqrt(math.log(2) / 2) / (math.pi * (0.3 * ((taps - 1) / 2 - 1) + 0.8))
    return f"{taps:.0f} taps have half of the boost at {half:.4f} cycles per pixel. Another number comes nearer to 1/8."


def check_unsharpen(answer: Any) -> str:
    for seed, (taps, amount) in enumerate([(51, 0.5), (21, 2.0), (9, 4.0), (21, 0.0)]):
        kernel, picture = gaussian_kernel(taps), _picture(1, 3, 64, 48, seed=seed)
        found = answer(unsharp_mask(picture, kernel, amount), kernel.clone(), amount)
        if found is None:
            return FORGOTTEN
        found = torch.as_tensor(found)
        if found.shape != picture.shape:
            return f"The picture should be {tuple(picture.shape)}; yours is {tuple(found.shape)}."
        if not found.isfinite().all():
            return f"At amount {amount:g} your values grow without end: each turn has to shrink what is still wrong."
        worst = (found - picture).abs().max().item()
        if worst > 1e-3:
            return f"At amount {amount:g} and {taps} taps a random picture comes back wrong by up to {worst:.2g}."
    return ""


def check_fine_loss(answer: Any) -> str:
    """The gradient at waves on both sides of 1/8, of all distances, whatever HR is."""
    places = torch.arange(128.0) + 0.5  # waves that mirror without an edge, as high_pass needs them
    rough = 0.05 * _picture(1, 3, 128, 128) + 0.4
    for hr in (torch.zeros(1, 3, 128, 128), rough):
        for k in (2, 14, 28, 36, 50, 70, 120):  # k / 256 cycles per pixel; 1/8 is 32
            wave = 0.1 * torch.cos(torch.pi * k * places / 128).expand(1, 3, 128, 128)
            sr = (hr + wave).requires_grad_()
            with torch.enable_grad():
                value = answer(sr * 1, hr.clone())
                if value is None:
                    return FORGOTTEN
                if not isinstance(value, Tensor) or not value.requires_grad:
                    return "No gradient comes back through it: stay in torch, and return the loss as a tensor."
                if value.numel() != 1:
                    return f"One number is asked for; yours is a tensor {tuple(value.shape)}."
                (push,) = torch.autograd.grad(value.sum(), sr)
            ratio = ((push * wave).sum() / (2 * wave / wave.numel() * wave).sum()).item()
            wanted = 1 if k < 32 else 16
            where = (
                f"For an error of {k / 256:.3f} cycles per pixel{' on a face that is not black' if hr.any() else ''}"
            )
            if not abs(ratio - wanted) < 0.02 * wanted:
                return f"{where} the push is {ratio:.2f} times that of plain squares; it should be {wanted} times."
            right = wanted * wave.square().mean().item()
            if abs(value.item() - right) > 0.02 * right:
                return f"{where} the loss should be {right:.4g}; yours is {value.item():.4g}."
    return ""


CHECKS: Checks = {
    "gaussian_kernel": check_gaussian_kernel,
    "blur_matrix": check_blur_matrix,
    "unsharp_mask": check_unsharp_mask,
    "sharp_loss": check_sharp_loss,
    "05.1": check_lash_taps,
    "05.2": check_unsharpen,
    "05.3": check_fine_loss,
}
