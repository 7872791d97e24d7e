"""Chapter 01: LR faces, crops, radial profiles, and three exercises about frequencies."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import downscale, quantize, resize
from ...data.pairs import center_crop
from ..frequency import high_pass, low_pass, power_spectrum, radial_profile, radius, spectrum
from .compare import FORGOTTEN, LEVEL, Checks, Function, compare, refuses


def _picture(*shape: int, seed: int = 0) -> Tensor:
    """Noise with black and white patches, at whose edges bicubic overshoots; 8-bit values."""
    random = torch.Generator().manual_seed(seed)
    coarse = (torch.rand((1, 1, 7, 5), generator=random) > 0.5).float()
    patches = F.interpolate(coarse, shape[-2:], mode="nearest")[0, 0]
    return quantize(0.6 * patches + 0.4 * patches.roll(3, -1) + 0.2 * (torch.rand(shape, generator=random) - 0.5))


def _eight_bits(answer: Callable[..., Any], case: tuple[Any, ...]) -> str:
    got = torch.as_tensor(answer(*case)).double()
    if got.min() < -1e-6 or got.max() > 1 + 1e-6:
        return f"Values from {got.min():.2f} to {got.max():.2f}: bicubic overshoots at edges. What did `quantize` do?"
    if ((255 * got) - (255 * got).round()).abs().max() > 1e-3:
        return "Values lie between the 256 that an 8-bit file can hold: `quantize` is missing."
    return ""


def _bare(hr: Tensor, scale: int, **how: Any) -> Tensor:
    planes = hr.reshape(1, -1, *hr.shape[-2:])
    small = F.interpolate(planes, (hr.shape[-2] // scale, hr.shape[-1] // scale), **how)
    return small.reshape(*hr.shape[:-2], *small.shape[-2:])


def _interpolated(hr: Tensor, scale: int, **how: Any) -> Tensor:
    return quantize(_bare(hr, scale, **how))


def _cut_off(answer: Function, case: tuple[Any, ...]) -> str:
    off = (torch.as_tensor(answer(*case)).double() - downscale(*case)).mean().item() / LEVEL
    if abs(off) < 0.25:
        return ""
    return f"On average your values are {abs(off):.1f} of 255 too {'low' if off < 0 else 'high'}: round to the nearest."


def check_downscale(answer: Any) -> str:
    cases = [(_picture(1, 3, 32, 48), 4), (_picture(2, 3, 30, 18, seed=1), 3), (_picture(3, 64, 32, seed=2), 8)]
    mistakes = {
        "Fast waves come through: `antialias=True` is missing.": lambda hr, s: _interpolated(hr, s, mode="bicubic"),
        "These are means of blocks: bicubic is asked for.": lambda hr, s: _interpolated(hr, s, mode="area"),
        "This is bilinear: bicubic is asked for.": lambda hr, s: _interpolated(hr, s, mode="bilinear", antialias=True),
        "You keep one pixel of each block: the others have to be averaged in.": lambda hr, s: hr[..., ::s, ::s],
        "`quantize` is missing, or comes too early: at edges bicubic overshoots, and between them it fills in.": (
            lambda hr, s: _bare(hr, s, mode="bicubic", antialias=True)
        ),
    }
    problem = compare(answer, downscale, cases, mistakes, tolerance=1.01 * LEVEL)
    problems = (check(answer, case) for check in (_eight_bits, _cut_off) for case in cases)
    if problem := problem or next(filter(None, problems), ""):
        return problem
    for height, width in ((30, 32), (32, 30)):
        if not refuses(answer, _picture(1, 3, height, width), 4):
            return f"An image of {height}x{width} at scale 4 should raise a ValueError: 4 does not divide 30."
    return ""


def check_center_crop(answer: Any) -> str:
    shapes = [(3, 40, 64), (2, 3, 65, 30), (1, 3, 33, 48), (3, 32, 32)]
    cases = [(_picture(*shape, seed=i), 32 if i != 1 else 12) for i, shape in enumerate(shapes)]

    def squeezed(image: Tensor, size: int) -> Tensor:
        return resize(image, size, size)

    def corner(image: Tensor, size: int) -> Tensor:
        side = min(image.shape[-2:])
        return resize(image[..., :side, :side], size, size)

    def small(image: Tensor, size: int) -> Tensor:
        top, left = (image.shape[-2] - size) // 2, (image.shape[-1] - size) // 2
        return image[..., top : top + size, left : left + size]

    def square(image: Tensor, size: int) -> Tensor:
        return small(image, min(image.shape[-2:]))

    def odd_pixel(image: Tensor, size: int) -> Tensor:
        side = min(image.shape[-2:])
        top, left = (image.shape[-2] - side + 1) // 2, (image.shape[-1] - side + 1) // 2
        square = image[..., top : top + side, left : left + side]
        return square if side == size else resize(square, size, size)

    mistakes = {
        "You squeeze the whole picture into a square: cut the square out first.": squeezed,
        "Your square starts in the corner: it should be in the middle.": corner,
        "You cut out size x size: take the largest square there is, then bring it to size.": small,
        "Your square is right; it still has to be brought to size x size.": square,
        "Where an odd number is left over you cut the odd one off above or on the left: below or on the right.": (
            odd_pixel
        ),
    }
    problem = compare(answer, center_crop, cases, mistakes, tolerance=1.01 * LEVEL)
    problem = problem or next(filter(None, (_eight_bits(answer, case) for case in cases)), "")
    fine = torch.rand((3, 32, 32), generator=torch.Generator().manual_seed(0))
    if not problem and compare(answer, center_crop, [(fine, 32)], tolerance=1e-6):
        return "A square of the right size should come back untouched; yours is resized or rounded."
    return problem


def check_radial_profile(answer: Any) -> str:
    def profile(
        image: Tensor, first: int = 1, mean: bool = True, down: bool = False, power: Function = power_spectrum
    ) -> tuple[Tensor, Tensor]:
        steps = min(image.shape[-2:])
        ring = (steps * radius(image)).floor() if down else (steps * radius(image)).round()
        rings = torch.arange(first, steps // 2 + 1)
        parts = [power(image)[:, ring == k] for k in rings]
        return rings / steps, torch.stack([p.mean(1) if mean else p.sum(1) for p in parts], 1)

    def numbered(image: Tensor) -> tuple[Tensor, Tensor]:
        frequencies, power = profile(image)
        return frequencies * min(image.shape[-2:]), power

    def from_zero(image: Tensor) -> tuple[Tensor, Tensor]:
        frequencies, power = profile(image, first=0)
        return frequencies[:-1], power[:, :-1]

    mistakes = {
        "You added up the power in each ring: take the mean.": lambda x: profile(x, mean=False),
        "The first ring should be 1: ring 0 is frequency zero, the mean grey.": lambda x: profile(x, first=0),
        "The first ring should be 1, the last at Nyquist: yours begin with 0, the mean grey.": from_zero,
        "A coefficient belongs to the nearest ring: round, do not cut off.": lambda x: profile(x, down=True),
        "Frequencies are asked for in cycles per pixel: divide the number of the ring by the side.": numbered,
        "You averaged over the batch: one curve for each image.": lambda x: (profile(x)[0], profile(x)[1].mean(0)),
        "That is the logarithm of the mean power: the power itself is asked for.": lambda x: (
            profile(x)[0],
            profile(x)[1].log10(),
        ),
        "`spectrum` is for looking at, a logarithm with zero in the middle: take `power_spectrum`.": lambda x: profile(
            x, power=spectrum
        ),
        "You moved frequency zero to the middle; `radius` has it top left.": lambda x: profile(
            x, power=lambda image: torch.fft.fftshift(power_spectrum(image), dim=(-2, -1))
        ),
    }
    images = [torch.rand(shape, generator=torch.Generator().manual_seed(shape[-1])) for shape in
              ((2, 3, 32, 32), (1, 1, 24, 40), (3, 2, 33, 20))]  # fmt: skip
    return compare(answer, radial_profile, [(image,) for image in images], mistakes, tolerance=1e-4)


def check_nyquist(answer: Any) -> str:
    if abs(answer - 0.5) < 1e-6:
        return "That is in cycles per LR pixel. How many HR pixels is one LR pixel wide?"
    return "" if abs(answer - 0.0625) < 1e-6 else "Nyquist is half a cycle per pixel of the grid that samples."


def check_hybrid(answer: Any) -> str:
    for seed, cutoff in enumerate((0.05, 0.11, 0.2)):
        near, far = (_picture(1, 3, 32, 40, seed=10 * seed + i) for i in range(2))
        got = answer(near.clone(), far.clone(), cutoff)
        if got is None:
            return FORGOTTEN
        got, right = torch.as_tensor(got).double(), (high_pass(near, cutoff) + low_pass(far, cutoff)).double()
        if got.shape != right.shape:
            return f"The picture should be {tuple(right.shape)}; yours is {tuple(got.shape)}."
        if any((got - allowed).abs().max() < 0.51 * LEVEL for allowed in (right, right.clamp(0, 1))):
            continue
        hints = {
            "The two are swapped: `near` gives the fine waves.": high_pass(far, cutoff) + low_pass(near, cutoff),
            "You take the cutoff 0.05 whatever is asked for.": high_pass(near, 0.05) + low_pass(far, 0.05),
            "That is the mean of the two pictures: filter first.": (near + far) / 2,
            "The halves are right; add them, do not average.": right / 2,
            "The coarse waves of `far` are missing.": high_pass(near, cutoff),
            "The fine waves of `near` are missing.": low_pass(far, cutoff),
        }
        known = (words for words, made in hints.items() if (got - made).abs().max() < 0.51 * LEVEL)
        return next(known, f"At cutoff {cutoff} you are up to {(got - right).abs().max():.2f} away from the hybrid.")
    return ""


def _weights(size: int, scale: int, a: float, shift: float = 0.5, stretch: bool = True, even: bool = True) -> Tensor:
    """The matrix of antialiased bicubic, (size / scale, size), and what one gets who errs in one respect."""
    centres = (torch.arange(size // scale, dtype=torch.float64) + shift) * scale - shift
    t = ((torch.arange(size) - centres[:, None]) / (scale if stretch else 1)).abs()
    inner, outer = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    weights = torch.where(t <= 1, inner, torch.where(t < 2, outer, 0.0))
    return weights / weights.sum(dim=1, keepdim=True) if even else weights


def check_resize_matrix(answer: Any) -> str:
    cases = [(128, 4, -0.5), (60, 3, -0.5), (48, 8, -0.75)]
    mistakes = {
        "The kernel is not stretched: divide the distance by the scale.": lambda n, s, a: _weights(
            n, s, a, stretch=False
        ),
        "The centres are off by half a pixel: pixel i reaches from i to i + 1.": lambda n, s, a: _weights(n, s, a, 0.0),
        "The rows do not sum to 1: divide each by its sum.": lambda n, s, a: _weights(n, s, a, even=False),
        "You take a = -0.5 whatever is asked for.": lambda n, s, a: _weights(n, s, -0.5),
        "This is the transposed matrix: one row for each LR pixel.": lambda n, s, a: _weights(n, s, a).T,
    }
    return compare(answer, _weights, cases, mistakes, tolerance=1e-4)


CHECKS: Checks = {
    "downscale": check_downscale,
    "center_crop": check_center_crop,
    "radial_profile": check_radial_profile,
    "01.1": check_nyquist,
    "01.2": check_hybrid,
    "01.3": check_resize_matrix,
}
