"""Chapter 07: right answers written otherwise, and wrong ones with words that the check must find."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from elsface_lite.metrics.evaluator import bootstrap_interval
from elsface_lite.metrics.image import luma, prepare, psnr, ssim, window_means
from elsface_lite.metrics.sets import frechet_distance


def channels(sr, hr, channel):
    return (luma(sr), luma(hr)) if channel == "y" else (sr, hr)


def mse(sr, hr, channel="rgb"):
    sr, hr = prepare(sr, hr, channel)
    return (sr - hr).square().mean((1, 2, 3))


def by_color(sr, hr, channel="rgb"):
    sr, hr = prepare(sr, hr, channel)
    return (sr - hr).square().mean((2, 3))


def numpy_psnr(sr, hr, channel="rgb"):
    sr, hr = (image.double().numpy() for image in channels(sr, hr, channel))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(((sr - hr) ** 2).reshape(len(sr), -1).mean(1))


def by_scikit(sr, hr, channel="rgb"):
    convention = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    pairs = zip(*(image.double().numpy() for image in channels(sr, hr, channel)), strict=True)
    return np.array([structural_similarity(*pair, channel_axis=0, **convention) for pair in pairs])


def parts(sr, hr, channel="rgb", c1=0.01**2, c2=0.03**2):
    x, y = (image.double() for image in prepare(sr, hr, channel))
    mx, my = window_means(x), window_means(y)
    vx, vy = window_means(x * x) - mx**2, window_means(y * y) - my**2
    covariance = window_means(x * y) - mx * my
    return (2 * mx * my + c1) / (mx**2 + my**2 + c1), (2 * covariance + c2) / (vx + vy + c2)


def score(*case, **constants):
    first, second = parts(*case, **constants)
    return (first * second).mean((1, 2, 3))


def with_deviations(sr, hr, channel="rgb"):
    x, y = (image.double() for image in prepare(sr, hr, channel))
    sx, sy = ((window_means(z * z) - window_means(z) ** 2).clamp(min=0).sqrt() for z in (x, y))
    covariance = window_means(x * y) - window_means(x) * window_means(y)
    return (parts(sr, hr, channel)[0] * (2 * covariance + 0.03**2) / (sx + sy + 0.03**2)).mean((1, 2, 3))


def square_window(sr, hr, channel="rgb", size=11):
    x, y = (image.double() for image in prepare(sr, hr, channel))
    mx, my, mxx, myy, mxy = (F.avg_pool2d(part, size, 1) for part in (x, y, x * x, y * y, x * y))
    top = (2 * mx * my + 1e-4) * (2 * (mxy - mx * my) + 9e-4)
    return (top / ((mx**2 + my**2 + 1e-4) * (mxx + myy - mx**2 - my**2 + 9e-4))).mean((1, 2, 3))


def by_eigenvalues(a, b, clamp=True, values=torch.linalg.eigvals):
    c1, c2 = torch.cov(a.T), torch.cov(b.T)
    roots = values(c1 @ c2).real
    roots = (roots.clamp(min=0) if clamp else roots).sqrt().sum()
    return (a.mean(0) - b.mean(0)).square().sum() + c1.trace() + c2.trace() - 2 * roots


def in_numpy(a, b):
    a, b = a.numpy(), b.numpy()
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(c1)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ c2 @ root).clip(0)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1 + c2) - 2 * np.sqrt(inner).sum()


def by_singular_values(a, b, means=True, n=None, m=None):
    gap = (a.mean(0) - b.mean(0)).square().sum() if means else 0
    rows = (a - a.mean(0)) / math.sqrt(n or len(a) - 1), (b - b.mean(0)) / math.sqrt(m or len(b) - 1)
    both = torch.linalg.matrix_norm(rows[0] @ rows[1].T, ord="nuc")
    return gap + sum(part.square().sum() for part in rows) - 2 * both


def own_bootstrap(values, seed=0, share=0.95):
    values = np.asarray(values)
    random = np.random.default_rng(5)
    means = [random.choice(values, len(values)).mean() for _ in range(1000)]
    return np.percentile(means, [50 - 50 * share, 50 + 50 * share])


def resampled(values, count, first=None):
    random = torch.Generator().manual_seed(0)
    draws = torch.randint(first or len(values), (1000, count), generator=random)
    return tuple(values[draws].mean(1).quantile(values.new_tensor([0.025, 0.975])).tolist())


def normal(values, seed=0, z=1.96, root=True):
    spread = values.std() / (math.sqrt(len(values)) if root else 1)
    return values.mean() - z * spread, values.mean() + z * spread


def unpaired(a, b):
    first, second = bootstrap_interval(a), bootstrap_interval(b)
    return second[0] - first[1], second[1] - first[0]


def resampled_apart(a, b):
    random = torch.Generator().manual_seed(0)
    means = [x[torch.randint(len(x), (1000, len(x)), generator=random)].mean(1) for x in (a, b)]
    low, high = (means[1] - means[0]).quantile(torch.tensor([0.025, 0.975]).double())
    return low, high


RIGHT = {
    "psnr per image": [psnr, numpy_psnr, lambda *case: 10 * (1 / mse(*case)).log10()],
    "ssim": [ssim, by_scikit, score],
    "frechet_distance": [frechet_distance, by_eigenvalues, in_numpy, by_singular_values],
    "bootstrap_interval": [bootstrap_interval, own_bootstrap, normal, lambda v: torch.stack(normal(v))],
    "07.1": [1.322, 1.3, 1.32, np.float32(1.3219), torch.tensor(1.32)],
    "07.2": [
        lambda a, b: bootstrap_interval(b - a),
        lambda a, b: own_bootstrap(b - a),
        lambda a, b: normal(b - a),
    ],
    "07.3": [by_singular_values, lambda a, b: by_singular_values(b, a)],
}
WRONG = {
    "psnr per image": [
        (lambda *case: -10 * mse(*case).mean().log10(), "mean error"),
        (lambda *case: psnr(*case).mean(), "for each image"),
        (lambda *case: 10 * (4 / mse(*case)).log10(), "[-1, 1]"),
        (lambda *case: 10 * (255**2 / mse(*case)).log10(), "255"),
        (lambda *case: -psnr(*case), "sign"),
        (lambda *case: 2 * psnr(*case), "Twenty times"),
        (lambda *case: -10 * mse(*case).log(), "natural"),
        (lambda sr, hr, channel="rgb": psnr(sr, hr), "channel is ignored"),
        (lambda *case: psnr(*case).clamp(max=100), "infinity"),
        (lambda *case: -10 * by_color(*case).log10().mean(1), "one a colour"),
        (lambda *case: print(end=""), "return"),
    ],
    "ssim": [
        (lambda *case: parts(*case)[0].mean((1, 2, 3)), "first factor"),
        (lambda *case: parts(*case)[1].mean((1, 2, 3)), "second factor"),
        (lambda *case: score(*case, c1=0, c2=0), "missing|For"),
        (lambda *case: score(*case, c1=0.01, c2=0.03), "squared"),
        (lambda *case: score(*case, c1=0.03**2, c2=0.01**2), "swapped"),
        (lambda *case: score(*case, c1=(0.01 * 255) ** 2, c2=(0.03 * 255) ** 2), "255"),
        (square_window, "square window"),
        (with_deviations, "standard deviations"),
        (lambda *case: ssim(*case).mean(), "for each image"),
        (lambda sr, hr, channel="rgb": ssim(sr, hr), "channel is ignored"),
        (lambda *case: 1 - ssim(*case), "equal pictures"),
        (lambda *case: parts(*case)[0].mul(parts(*case)[1]).abs().mean((1, 2, 3)), "Leave the sign"),
        (lambda *case: parts(*case)[0].mul(parts(*case)[1]).clamp(0, 1).mean((1, 2, 3)), "you give 0"),
        (lambda *case: print(end=""), "return"),
    ],
    "frechet_distance": [
        (lambda a, b: by_eigenvalues(a, b, clamp=False), "NaN"),
        (lambda a, b: (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum(), "only variances"),
        (lambda a, b: by_eigenvalues(a, b) - (a.mean(0) - b.mean(0)).square().sum(), "means is missing"),
        (lambda a, b: by_singular_values(a, b, n=len(a), m=len(b)), "n - 1"),
        (lambda a, b: by_eigenvalues(a, b).sqrt(), "stays squared"),
        (lambda a, b: by_eigenvalues(a, b, values=torch.linalg.eigvalsh), "reads only half"),
        (lambda a, b: by_eigenvalues(a, b, values=torch.linalg.svdvals), "singular values"),
        (lambda a, b: torch.tensor(1.0), "you give 1"),
        (lambda a, b: print(end=""), "return"),
    ],
    "bootstrap_interval": [
        (lambda v: own_bootstrap(v, share=0.9), "90 %"),
        (lambda v: own_bootstrap(v, share=0.8), "80 %|near"),
        (lambda v: own_bootstrap(v, share=0.99), "99 %"),
        (lambda v: normal(v, root=False), "single values"),
        (lambda v: bootstrap_interval(v)[::-1], "low end comes first"),
        (lambda v: (v.min(), v.max()), "near|single values"),
        (lambda v: (19.7, 20.3), "misses the mean|near|wide"),
        (lambda v: resampled(v, 40), "draw n of n"),
        (lambda v: resampled(v, len(v), first=len(v) - 1), "near|draw n of n"),
        (lambda v: bootstrap_interval(v)[0], "TypeError"),
        (lambda v: print(end=""), "return"),
    ],
    "07.1": [(0, "range of Y"), (-1.32, "sign"), (1.5, "By which factor"), (0.66, "By which factor")],
    "07.2": [
        (unpaired, "gains face by face"),
        (resampled_apart, "near"),
        (lambda a, b: bootstrap_interval(a - b), "sign"),
        (lambda a, b: bootstrap_interval((b - a).abs()), "sign|misses the mean"),
        (lambda a, b: bootstrap_interval(b - a)[::-1], "low end"),
        (lambda a, b: own_bootstrap(b - a, share=0.8), "80 %|near"),
        (lambda a, b: own_bootstrap(b - a, share=0.9), "90 %"),
        (lambda a, b: own_bootstrap(b - a, share=0.99), "99 %"),
        (lambda a, b: (2.0, 2.9), "misses the mean"),
        (lambda a, b: print(end=""), "return"),
    ],
    "07.3": [
        (lambda a, b: frechet_distance(a, b), "long way"),
        (by_eigenvalues, "long way"),
        (lambda a, b: by_singular_values(a, b, m=len(a) - 1), "size of the first"),
        (lambda a, b: by_singular_values(a, b, n=len(a), m=len(b)), "not of n"),
        (lambda a, b: by_singular_values(a, b, means=False), "means is missing"),
        (lambda a, b: torch.tensor(88.0), "you give 88"),
        (lambda a, b: print(end=""), "return"),
    ],
}
