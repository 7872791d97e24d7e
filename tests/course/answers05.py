"""Chapter 05: right answers written otherwise, and wrong ones with words that the check must find."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from elsface_lite.course.frequency import high_pass, low_pass
from elsface_lite.training.losses import SharpLoss, blur_matrix, gaussian_blur, gaussian_kernel, unsharp_mask


def numpy_kernel(size):
    if size < 1 or size % 2 == 0:
        raise ValueError("no")
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-((x / sigma) ** 2) / 2)
    return weights / weights.sum()


def float_kernel(size):
    if size < 1 or size % 2 == 0:
        raise ValueError("no")
    x = torch.linspace(-(size // 2), size // 2, size)
    return torch.softmax(-(x**2) / (2 * (0.15 * size + 0.35) ** 2), 0)


def careless_kernel(size):
    return torch.from_numpy(numpy_kernel(size | 1))[:size]


def asserting_kernel(size):
    assert size > 0 and size % 2 == 1
    return gaussian_kernel(size)


def bell(size, power=2, two=2, even=True, sigma=None):
    if size < 1 or size % 2 == 0:
        raise ValueError("no")
    sigma = sigma or 0.3 * ((size - 1) / 2 - 1) + 0.8
    weights = torch.exp(-((torch.arange(size) - size // 2) ** 2) / (two * sigma**power))
    return weights / weights.sum() if even else weights


def loop_matrix(size, kernel):
    radius = len(kernel) // 2
    if size <= radius:
        raise ValueError("no")
    matrix = np.zeros((size, size))
    for row in range(size):
        for tap, weight in enumerate(kernel.tolist()):
            place = abs(row + tap - radius)
            matrix[row, place if place < size else 2 * size - 2 - place] += weight
    return matrix


def padded_matrix(size, kernel, mode):
    radius = len(kernel) // 2
    pixels = F.pad(torch.eye(size)[:, None], (radius, radius), mode=mode)
    return F.conv1d(pixels, kernel[None, None])[:, 0].T


def convolved_matrix(size, kernel):
    radius = len(kernel) // 2
    if size <= radius:
        raise ValueError("no")
    return np.stack([np.convolve(np.pad(row, radius, mode="reflect"), kernel, "valid") for row in np.eye(size)], 1)


def careless_matrix(size, kernel):
    return blur_matrix(size, kernel) if size > len(kernel) // 2 else torch.zeros(size, size)


def in_place_mask(image, kernel, amount=0.5):
    blur = gaussian_blur(image, kernel)
    image *= 1 + amount
    image -= amount * blur
    return image


def sharp(sr, hr, kernel, amount=0.5):
    return unsharp_mask(sr, kernel, amount) - unsharp_mask(hr, kernel, amount)


def solved(picture, kernel, amount):
    matrices = [blur_matrix(size, kernel.double()) for size in picture.shape[-2:]]
    values, left = zip(*(torch.linalg.eig(matrix) for matrix in matrices), strict=True)
    back = [torch.linalg.inv(part) for part in left]
    seen = back[0] @ picture.to(left[0].dtype) @ back[1].mT
    seen = seen / (1 + amount - amount * values[0][:, None] * values[1])
    return (left[0] @ seen @ left[1].mT).real.float()


def repeated(picture, kernel, amount, turns=60):
    image = picture
    for _ in range(turns):
        image = (picture + amount * gaussian_blur(image, kernel)) / (1 + amount)
    return image


def diverging(picture, kernel, amount):
    image = picture
    for _ in range(400):
        image = picture - amount * (image - gaussian_blur(image, kernel))
    return image


def fine(sr, hr, factor=4, cutoff=1 / 8):
    error = sr - hr
    return (error + (factor - 1) * high_pass(error, cutoff)).square().mean()


RIGHT = {
    "gaussian_kernel": [gaussian_kernel, numpy_kernel, float_kernel, lambda n: torch.as_tensor(numpy_kernel(n))],
    "blur_matrix": [blur_matrix, loop_matrix, convolved_matrix, lambda n, k: torch.tensor(loop_matrix(n, k)).float()],
    "unsharp_mask": [
        unsharp_mask,
        in_place_mask,
        lambda x, k, amount=0.5: (1 + amount) * x - amount * gaussian_blur(x, k),
    ],
    "sharp_loss": [
        lambda *case: sharp(*case).abs().mean(),
        lambda sr, hr, k, amount=0.5: unsharp_mask(sr - hr, k, amount).abs().mean(),
        lambda sr, hr, k, amount=0.5: F.l1_loss(unsharp_mask(hr, k, amount), unsharp_mask(sr, k, amount)),
    ],
    "05.1": [7, 7.0, torch.tensor(7)],
    "05.2": [repeated, solved, lambda *case: repeated(*case).numpy()],
    "05.3": [
        fine,
        lambda sr, hr: (low_pass(sr - hr, 1 / 8) + 4 * high_pass(sr - hr, 1 / 8)).square().mean(),
        lambda sr, hr: (sr - hr + 3 * (high_pass(sr, 1 / 8) - high_pass(hr, 1 / 8))).pow(2).mean()[None],
    ],
}
WRONG = {
    "gaussian_kernel": [
        (lambda n: bell(n, even=False), "sum to 1"),
        (lambda n: bell(n, two=1), "2 in front"),
        (lambda n: bell(n, power=1), "squared"),
        (lambda n: bell(n, sigma=8.0), "for every size"),
        (lambda n: torch.ones(n) / n, "For 51"),
        (careless_kernel, "size of 4 should raise"),
        (asserting_kernel, "should raise a ValueError"),
        (lambda n: numpy_kernel(n) if n >= 0 else np.ones(1), "size of -1"),
        (lambda n: bell(51), "should be (9,)"),
        (lambda n: torch.outer(bell(n), bell(n)), "should be (51,)"),
        (lambda n: print(end=""), "return"),
    ],
    "blur_matrix": [
        (lambda n, k: loop_matrix(n, k).T, "Transposed"),
        (lambda n, k: padded_matrix(n, k, "constant"), "black"),
        (lambda n, k: padded_matrix(n, k, "replicate"), "repeat the border"),
        (lambda n, k: padded_matrix(n, k, "circular"), "goes round"),
        (careless_matrix, "more than 5"),
        (lambda n, k: torch.eye(n), "you give 1|For 40"),
        (lambda n, k: print(end=""), "return"),
    ],
    "unsharp_mask": [
        (lambda x, k, a=0.5: x - a * (x - gaussian_blur(x, k)), "taken away"),
        (lambda x, k, a=0.5: a * (x - gaussian_blur(x, k)), "detail alone"),
        (lambda x, k, a=0.5: x + a * gaussian_blur(x, k), "add the blur"),
        (lambda x, k, a=0.5: unsharp_mask(x, k), "amount is ignored"),
        (lambda x, k, a=0.5: unsharp_mask(x, k, 1.0), "all of the detail"),
        (lambda x, k, a=0.5: unsharp_mask(x, k, a).clamp(0, 1), "Do not clamp"),
        (lambda x, k, a=0.5: gaussian_blur(x, k), "the blur"),
        (lambda x, k, a=0.5: unsharp_mask(x, k, a).detach(), "No gradient"),
        (lambda x, k: unsharp_mask(x, k), "TypeError"),
        (lambda x, k, a=0.5: print(end=""), "return"),
    ],
    "sharp_loss": [
        (lambda *case: sharp(*case).square().mean(), "squares"),
        (lambda *case: sharp(*case).mean(), "absolute values"),
        (lambda *case: sharp(*case).abs().sum(), "take the mean"),
        (lambda sr, hr, k, a=0.5: F.l1_loss(unsharp_mask(sr, k, a), hr), "HR has to be"),
        (lambda sr, hr, k, a=0.5: F.l1_loss(sr, hr), "that is L1"),
        (lambda sr, hr, k, a=0.5: sharp(sr, hr, k).abs().mean(), "amount is ignored"),
        (lambda sr, hr, k, a=0.5: SharpLoss()(sr.detach(), hr), "For a tensor"),
        (lambda *case: sharp(*case).abs().mean().item(), "No gradient"),
        (lambda sr, hr, k, a=0.5: sharp(sr.detach(), hr, k, a).abs().mean(), "gradient"),
        (lambda *case: sharp(*case).abs().mean((1, 2, 3)), "One loss for the batch"),
        (lambda *case: print(end=""), "return"),
    ],
    "05.1": [(9, "nearer"), (5, "nearer"), (8, "odd"), (101, "0.0121"), (1, "3 or more")],
    "05.2": [
        (diverging, "grow without end"),
        (lambda picture, kernel, amount: picture, "comes back wrong"),
        (lambda picture, kernel, amount: torch.full_like(picture, torch.nan), "without end"),
        (lambda picture, kernel, amount: repeated(picture, kernel, 0.5), "amount 2"),
        (lambda picture, kernel, amount: repeated(picture, kernel, amount, 2), "comes back wrong"),
        (lambda picture, kernel, amount: repeated(picture, kernel, amount)[0], "should be (1, 3, 64, 48)"),
        (lambda picture, kernel, amount: print(end=""), "return"),
    ],
    "05.3": [
        (lambda sr, hr: fine(sr, hr, cutoff=1 / 4), "0.141 cycles"),
        (lambda sr, hr: fine(sr, hr, cutoff=1 / 16), "0.109 cycles"),
        (lambda sr, hr: fine(sr, torch.zeros_like(hr)), "not black"),
        (lambda sr, hr: fine(sr, -hr), "not black"),
        (lambda sr, hr: fine(sr, hr, factor=16), "256"),
        (lambda sr, hr: fine(sr, hr, factor=math.sqrt(17)), "17"),
        (lambda sr, hr: F.mse_loss(sr, hr), "it should be 16"),
        (lambda sr, hr: fine(sr, hr).item(), "No gradient"),
        (lambda sr, hr: fine(sr, hr) + 1, "the loss should be"),
        (lambda sr, hr: print(end=""), "return"),
    ],
}
