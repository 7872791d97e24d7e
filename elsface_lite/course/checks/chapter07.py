"""Chapter 07: PSNR, SSIM, the Fréchet distance, the bootstrap, and three exercises about what numbers mean."""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import quantize
from ...metrics.evaluator import bootstrap_interval
from ...metrics.image import SSIM_C1, SSIM_C2, luma, psnr, ssim, window_means
from ...metrics.sets import frechet_distance
from .compare import FORGOTTEN, Checks, Function, compare


def _pairs(*shapes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Noise over coarse patches, and the same with another noise of its own strength for each picture."""
    pairs = []
    for seed, shape in enumerate(shapes):
        random = torch.Generator().manual_seed(seed)
        hr = F.interpolate(torch.rand((*shape[:2], 5, 4), generator=random), shape[-2:], mode="bilinear")
        strength = torch.linspace(0.05, 0.3, shape[0]).view(-1, 1, 1, 1)
        sr = hr + strength * (torch.rand(shape, generator=random) - 0.45)
        pairs.append((quantize(sr), quantize(0.8 * hr + 0.1)))
    return pairs


def _each(sr: Tensor, hr: Tensor, channel: str) -> tuple[Tensor, Tensor]:
    return (luma(sr), luma(hr)) if channel == "y" else (sr, hr)


def _mse(sr: Tensor, hr: Tensor, channel: str = "rgb", dims: tuple[int, ...] = (1, 2, 3)) -> Tensor:
    sr, hr = _each(sr, hr, channel)
    return (sr - hr).square().mean(dims)


def check_psnr(answer: Any) -> str:
    mistakes = {
        "One value for each image is asked for: that is the PSNR of the mean error.": lambda *case: (
            -10 * _mse(*case).mean().log10()
        ),
        "One value for each image is asked for: leave the mean over images to whoever reads them.": lambda *case: (
            -10 * _mse(*case).log10()
        ).mean(),
        "That is for a range of [-1, 1]: values go from 0 to 1 here.": lambda *case: 10 * (4 / _mse(*case)).log10(),
        "That is for values up to 255: they go up to 1 here.": lambda *case: 10 * (255**2 / _mse(*case)).log10(),
        "The sign is wrong: less error has to give more decibels.": lambda *case: 10 * _mse(*case).log10(),
        "Twenty times the logarithm is for the root of the MSE.": lambda *case: -20 * _mse(*case).log10(),
        "This is the natural logarithm.": lambda *case: -10 * _mse(*case).log(),
        "The channel is ignored: `prepare` gives both pictures in the channel that is asked for.": lambda s, h, c="": (
            psnr(s, h)
        ),
        "That is a mean of decibels, one a colour: take one MSE over all colours first.": lambda s, h, c="rgb": (
            -10 * _mse(s, h, c, (2, 3)).log10().mean(1)
        ),
        "That is the mean error: MSE is the mean of squares.": lambda s, h, c="rgb": (
            -20 * (_each(s, h, c)[0] - _each(s, h, c)[1]).abs().mean((1, 2, 3)).log10()
        ),
    }
    pairs = _pairs((2, 3, 24, 20), (3, 3, 16, 32))
    cases = [(*pairs[0],), (*pairs[1], "y"), (*pairs[1], "rgb")]
    problem = compare(answer, psnr, cases, mistakes, tolerance=2e-3)
    if problem:
        return problem
    same = torch.as_tensor(answer(pairs[0][1], pairs[0][1]))
    return "" if same.isinf().all() and (same > 0).all() else f"Equal pictures should give infinity, not {same[0]:.4g}."


def check_ssim(answer: Any) -> str:
    def score(
        sr: Tensor,
        hr: Tensor,
        channel: str = "rgb",
        c: tuple[float, float] = (SSIM_C1, SSIM_C2),
        parts: str = "ls",
        sign: bool = True,
        root: bool = False,
    ) -> Tensor:
        x, y = (image.double() for image in _each(sr, hr, channel))
        mx, my = window_means(x), window_means(y)
        variances = window_means(x * x + y * y) - mx * mx - my * my
        if root:
            squares = torch.stack([window_means(z * z) - m * m for z, m in ((x, mx), (y, my))])
            variances = squares.clamp(min=0).sqrt().sum(0)
        luminance = (2 * mx * my + c[0]) / (mx * mx + my * my + c[0])
        structure = (2 * (window_means(x * y) - mx * my) + c[1]) / (variances + c[1])
        maps = {"l": luminance, "s": structure}
        product = torch.stack([maps[part] for part in parts]).prod(0)
        return (product if sign else product.abs()).mean((1, 2, 3))

    def square(sr: Tensor, hr: Tensor, channel: str = "rgb") -> Tensor:
        x, y = (image.double() for image in _each(sr, hr, channel))
        mx, my, mxx, myy, mxy = (F.avg_pool2d(part, 11, 1) for part in (x, y, x * x, y * y, x * y))
        top = (2 * mx * my + SSIM_C1) * (2 * (mxy - mx * my) + SSIM_C2)
        return (top / ((mx**2 + my**2 + SSIM_C1) * (mxx + myy - mx**2 - my**2 + SSIM_C2))).mean((1, 2, 3))

    mistakes: dict[str, Function] = {
        "Only the first factor is there: variances and covariance are missing.": partial(score, parts="l"),
        "Only the second factor is there: the means are missing.": partial(score, parts="s"),
        "C1 and C2 are missing: flat regions divide 0 by 0.": partial(score, c=(0.0, 0.0)),
        "C1 and C2 are for values up to 255 in your formula.": partial(score, c=(255**2 * SSIM_C1, 255**2 * SSIM_C2)),
        "C1 and C2 are swapped.": partial(score, c=(SSIM_C2, SSIM_C1)),
        "C1 and C2 are squared twice, or not at all: SSIM_C1 and SSIM_C2 are ready to use.": partial(
            score, c=(0.01, 0.03)
        ),
        "Those are standard deviations: the formula has variances, their squares.": partial(score, root=True),
        "That is a square window: `window_means` has the Gaussian.": square,
        "One value for each image is asked for.": lambda *case: score(*case).mean(),
        "The channel is ignored: `prepare` gives both pictures in the channel that is asked for.": lambda s, h, c="": (
            score(s, h)
        ),
        "That is 1 - SSIM: equal pictures should have 1.": lambda *case: 1 - score(*case),
        "Leave the sign: light where the other is dark counts below 0.": partial(score, sign=False),
    }
    pairs = _pairs((2, 3, 24, 20), (3, 3, 16, 32))
    negative = 1 - pairs[0][1]  # light where the other is dark: the score is below 0
    cases = [(*pairs[0],), (*pairs[1], "y"), (*pairs[1], "rgb"), (negative, pairs[0][1])]
    return compare(answer, ssim, cases, mistakes, tolerance=2e-5)


def _features() -> list[tuple[Tensor, Tensor]]:
    """Sets of different sizes, also fewer images than dimensions."""
    sets = []
    for seed, (n, m, d) in enumerate([(30, 20, 4), (12, 17, 2), (7, 5, 12)]):
        random = torch.Generator().manual_seed(seed)
        mixed = torch.randn((d, d), generator=random, dtype=torch.float64) / math.sqrt(d)
        first = torch.randn((n, d), generator=random, dtype=torch.float64)
        sets.append((first @ mixed + 1, 2 * torch.randn((m, d), generator=random, dtype=torch.float64)))
    return sets


def _eigenvalues(product: Tensor) -> Tensor:
    return torch.linalg.eigvals(product).real


def check_frechet_distance(answer: Any) -> str:
    def distance(
        a: Tensor,
        b: Tensor,
        correction: int = 1,
        means: float = 1,
        cross: float = 2,
        root: bool = True,
        values: Function = _eigenvalues,
    ) -> Any:
        first, second = (torch.cov(x.T, correction=correction).reshape(x.shape[1], -1) for x in (a, b))
        between = values(first @ second).clamp(min=0).sqrt().sum() if root else (first @ second).trace()
        gap = (a.mean(0) - b.mean(0)).square().sum()
        return means * gap + first.trace() + second.trace() - cross * between

    def diagonal(a: Tensor, b: Tensor) -> Tensor:
        return (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum()

    def entries(a: Tensor, b: Tensor) -> Tensor:
        first, second = (torch.cov(x.T).reshape(x.shape[1], -1) for x in (a, b))
        gap = (a.mean(0) - b.mean(0)).square().sum()
        return gap + first.trace() + second.trace() - 2 * (first @ second).clamp(min=0).sqrt().trace()

    def unsquared(a: Tensor, b: Tensor) -> Tensor:
        gap = a.mean(0) - b.mean(0)
        return distance(a, b) - gap.square().sum() + gap.norm()

    mistakes: dict[str, Function] = {
        "Covariances divide by n - 1; yours by n.": lambda a, b: distance(a, b, correction=0),
        "The distance of the means is missing.": lambda a, b: distance(a, b, means=0),
        "The distance of the means has to be squared.": unsquared,
        "The factor 2 before the root is missing.": lambda a, b: distance(a, b, cross=1),
        "The root of the product is missing.": lambda a, b: distance(a, b, root=False),
        "You took only variances: the features vary together, and covariances tell how.": diagonal,
        "The product of two covariances is not symmetric, and `eigvalsh` reads only half of it: `eigvals`.": partial(
            distance, values=torch.linalg.eigvalsh
        ),
        "Those are singular values: the product is not symmetric, and its eigenvalues are others.": partial(
            distance, values=torch.linalg.svdvals
        ),
        "You took the root of every entry: the root of a matrix has the roots of its eigenvalues.": entries,
        "That is the root of the distance: it stays squared.": lambda a, b: distance(a, b).sqrt(),
    }
    # In float64: what is wrong there is no rounding.
    return compare(answer, frechet_distance, _features(), mistakes, tolerance=1e-4)


def _samples() -> list[Tensor]:
    """Of both signs, since a gain may be a loss."""
    values = []
    for seed, n in enumerate((40, 25, 80, 60, 50, 33)):
        noise = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        values.append((0.4 * noise).exp() if seed == 3 else (-1) ** seed * 20 + (seed + 1) * noise)
    values[-1][-1] += 50  # whoever never draws the last one gets another interval
    return values


def _interval_problem(found: list[tuple[float, float]], wanted: list[Tensor]) -> str:
    """What is wrong with intervals for the means of samples; of randomness a right one may have its share."""
    widths = []
    for (low, high), values in zip(found, wanted, strict=True):
        right, spread = bootstrap_interval(values), values.std().item() / math.sqrt(len(values))
        mean = values.mean().item()
        if low > high:
            return "The low end comes first: yours is above the high one."
        if not low <= mean <= high:
            mirrored = -high <= mean <= -low
            return "The sign is wrong." if mirrored else f"The interval misses the mean itself, {mean:.3g}."
        widths.append((high - low) / (right[1] - right[0]))
        if widths[-1] > 2.5 and abs((high - low) / (4 * values.std().item()) - 1) < 0.4:
            return "That is how far single values spread: the interval of their mean is narrower by the root of n."
        ends = abs(low - right[0]), abs(high - right[1])
        if max(ends) > 1.5 * spread:
            near = f"it should be near {right[0]:.4g} to {right[1]:.4g}"
            return f"For {len(values)} values you give {low:.4g} to {high:.4g}; {near}."
    width = sum(widths) / len(widths)
    if abs(width - 1) > 0.09:
        shares = {0.52: "80 %", 0.653: "80 %", 0.84: "90 %", 1.314: "99 %", 0.51: "68 %"}
        nearest = min(shares, key=lambda share: abs(share - width))
        which = f", like one of {shares[nearest]}" if abs(nearest - width) < 0.06 else ""
        return f"On average your interval is {width:.2f} times as wide as one of 95 %{which}."
    n, odd = max(((len(values), w) for values, w in zip(wanted, widths, strict=True)), key=lambda p: abs(p[1] - 1))
    if abs(odd - 1) > 0.25:
        return f"For {n} values it is {odd:.2f} times as wide as it should be: draw n of n, each with the same chance."
    return ""


def _interval(found: Any) -> tuple[float, float]:
    low, high = found
    return float(low), float(high)


def check_bootstrap(answer: Any) -> str:
    samples, found = _samples(), []
    for values in samples:
        result = answer(values.clone())
        if result is None:
            return FORGOTTEN
        found.append(_interval(result))
    return _interval_problem(found, samples)


def check_grey(answer: Any) -> str:
    answer, right = float(answer), 20 * math.log10(255 / 219)
    if abs(answer) < 0.01:
        return "Look at the range of Y: black is 16, white is 235."
    if abs(answer + right) < 0.05:
        return "The sign is wrong: are differences larger or smaller in Y?"
    return "" if abs(answer - right) < 0.05 else "By which factor are all differences smaller in Y?"


def check_paired(answer: Any) -> str:
    gains, found, apart = [], [], []
    for seed, gain in enumerate(_samples()):
        easy = (
            5 * (gain.std() + 1) * torch.randn(len(gain), generator=torch.Generator().manual_seed(seed + 20)).double()
        )
        before, after = easy, easy + gain
        result = answer(before.clone(), after.clone())
        if result is None:
            return FORGOTTEN
        found.append(_interval(result))
        gains.append(gain)
        ends = bootstrap_interval(before), bootstrap_interval(after)
        low, high = found[-1]
        apart.append(abs(low - (ends[1][0] - ends[0][1])) < 0.05 * (high - low))
    if all(apart):
        return "Those are two intervals, subtracted: the same faces are in both, so take their gains face by face."
    return _interval_problem(found, gains)


def check_small_fid(answer: Any) -> str:
    code = getattr(answer, "__code__", None)
    names = code.co_names + code.co_freevars if code else ()
    if {"frechet_distance", "fid", "FrechetInceptionDistance", "sqrtm", "cov"} & set(names):
        return "That calls the long way: write it with the singular values of one small matrix."

    def short(a: Tensor, b: Tensor, means: float = 1, counts: Any = None) -> Tensor:
        gap = (a.mean(0) - b.mean(0)).square().sum()
        n, m = counts(len(a), len(b)) if counts else (len(a) - 1, len(b) - 1)
        a, b = (a - a.mean(0)) / math.sqrt(n), (b - b.mean(0)) / math.sqrt(m)
        return means * gap + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()

    mistakes = {
        "The distance of the means is missing.": lambda a, b: short(a, b, 0),
        "You divide both sets by the size of the first: they may differ.": lambda a, b: short(
            a, b, counts=lambda n, m: (n - 1, n - 1)
        ),
        "Divide by the root of n - 1, not of n.": lambda a, b: short(a, b, counts=lambda n, m: (n, m)),
    }
    return compare(answer, short, _features(), mistakes, tolerance=1e-3)


CHECKS: Checks = {
    "psnr per image": check_psnr,
    "ssim": check_ssim,
    "frechet_distance": check_frechet_distance,
    "bootstrap_interval": check_bootstrap,
    "07.1": check_grey,
    "07.2": check_paired,
    "07.3": check_small_fid,
}
