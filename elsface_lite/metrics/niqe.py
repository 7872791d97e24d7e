"""NIQE: how natural a picture looks, without its HR: how far the statistics of its patches are from those of good ones.

Mittal, Soundararajan and Bovik, Making a "completely blind" image quality analyzer, IEEE Signal Processing Letters
20 (3), 2013, computed as BasicSR documents it. The published model, of natural photographs, is not ours to pass on: who
has it gives its file to `read_model`. The model here was fitted on faces by `data/fit_niqe.py`, and its values compare
with each other only.
"""

import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.degradation import quantize
from ..data.inputs import Pictures, as_batch
from ..errors import ElsfaceError
from ..files import whole_file
from .image import luma

FACES_MODEL = Path(__file__).with_name("niqe_faces.npz")
PUBLISHED_BLOCK = 96  # pixels: the published file does not say it
SHARP = 0.75  # a model is fitted on patches at least this sharp, as a part of the sharpest of their picture
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to the neighbour to the right, below, and on both diagonals


class NiqeModel(NamedTuple):
    """A Gaussian of the features of good patches: mean (36,) and covariance (36, 36), float64; sides of a patch."""

    mean: Tensor
    covariance: Tensor
    block: int


@cache
def read_model(path: str | Path = FACES_MODEL) -> NiqeModel:
    """A model from a file as BasicSR has it: `mu_pris_param`, `cov_pris_param`, and for other patches than 96, `block`.

    Raises:
        ElsfaceError: the file is missing, or is no such model.
    """
    try:
        with np.load(path) as arrays:
            mean, covariance = (torch.from_numpy(arrays[f"{name}_pris_param"]).double() for name in ("mu", "cov"))
            block = int(arrays["block"]) if "block" in arrays else PUBLISHED_BLOCK
        model = NiqeModel(mean.reshape(36), covariance.reshape(36, 36), block)
        if block < 8 or block % 2 or not all(part.isfinite().all() for part in model[:2]):
            raise ValueError("values that cannot be")
        return model
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ElsfaceError(
            f"{path} is no model of NIQE ({error}): give an .npz with mu_pris_param and cov_pris_param."
        ) from error


def write_model(model: NiqeModel, path: str | Path) -> None:
    """The inverse of `read_model`, in float32.

    Raises:
        ElsfaceError: the file cannot be written.
    """
    mean, covariance = model.mean[None].float().numpy(), model.covariance.float().numpy()
    with whole_file(path) as beside:
        np.savez(beside, mu_pris_param=mean, cov_pris_param=covariance, block=np.array(model.block))


def local_statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation around each pixel, under a Gaussian of 7x7 pixels: (1, 1, h, w) -> both the same."""
    weights = torch.exp(-(torch.arange(-3, 4, dtype=torch.float64) ** 2) / (2 * (7 / 6) ** 2))
    window = (torch.outer(weights, weights) / weights.sum() ** 2)[None, None]
    padded = F.pad(image, (3, 3, 3, 3), mode="replicate")
    mean = F.conv2d(padded, window)
    return mean, (F.conv2d(padded.square(), window) - mean.square()).abs().sqrt()


def halve(image: Tensor) -> Tensor:
    """MATLAB's imresize by 0.5: antialiased bicubic that sees the image mirrored beyond its border."""
    for dim in (-2, -1):
        start, end = image.narrow(dim, 0, 4), image.narrow(dim, image.shape[dim] - 4, 4)
        image = torch.cat([start.flip(dim), image, end.flip(dim)], dim)
    return F.interpolate(image, scale_factor=0.5, mode="bicubic", antialias=True)[..., 2:-2, 2:-2]


def patches(image: Tensor, side: int) -> Tensor:
    """Those that fill an image (1, 1, h, w) from its upper left corner, one after another in the first dimension."""
    return image[0, 0].unfold(0, side, side).unfold(1, side, side).reshape(-1, side, side)


@cache
def gamma_table() -> tuple[Tensor, Tensor]:
    """Shapes of a generalised Gaussian, 0.2 to 10, and between any two of them the ratio E[|x|]^2 / E[x^2]."""
    shape = torch.from_numpy(np.arange(0.2, 10.001, 0.001))
    ratio = (2 * torch.lgamma(2 / shape) - torch.lgamma(1 / shape) - torch.lgamma(3 / shape)).exp()
    return shape, (ratio[1:] + ratio[:-1]) / 2


def asymmetric_gaussian(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fits an asymmetric generalised Gaussian (section II-B): (n, h, w) -> shape, left and right scale, (n,) each."""
    x = x.flatten(1)
    left, right = ((x.square() * side).sum(1).div(side.sum(1)).sqrt() for side in (x < 0, x > 0))
    skew = left / right
    ratio = x.abs().mean(1).square() / x.square().mean(1)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square()
    shapes, limits = gamma_table()
    shape = shapes[torch.searchsorted(limits, ratio.nan_to_num())]
    scale = (0.5 * (torch.lgamma(1 / shape) - torch.lgamma(3 / shape))).exp()
    return shape, left * scale, right * scale


def patch_features(luma_255: Tensor, block: int) -> Tensor:
    """The 18 features of every patch at two scales.

    Args:
        luma_255: (1, 1, h, w), float64, 0 to 255.
        block: side of a patch at the first scale, even.

    Returns:
        (n, 36), float64; NaN in a patch without any detail.
    """
    height, width = (size // block * block for size in luma_255.shape[-2:])
    image, found = luma_255[..., :height, :width], []
    for side in (block, block // 2):
        mean, deviation = local_statistics(image)
        # The fit counts what lies on either side of 0, where flat parts must not stand by an error of rounding.
        blocks = patches(F.hardshrink(image - mean, 1e-6) / (deviation + 1), side)
        shape, left, right = asymmetric_gaussian(blocks)
        found += [shape, (left + right) / 2]
        for shift in SHIFTS:
            shape, left, right = asymmetric_gaussian(blocks * blocks.roll(shift, (1, 2)))
            middle = (right - left) * (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
            found += [shape, middle, left, right]
        image = halve(image)
    return torch.stack(found, 1)


def rounded_luma(image: Tensor) -> Tensor:
    """What NIQE looks at: (b, 3, h, w) RGB in [0, 1] -> (b, 1, h, w), Y of BT.601, whole numbers, float64, CPU."""
    return (255 * luma(quantize(image.cpu().double()))).round()


def niqe(sr: Pictures, model: NiqeModel | None = None) -> Tensor:
    """Natural image quality of each image: the distance of its patches' statistics from a model's (equation 10).

    Args:
        sr: (b, 3, h, w) RGB in [0, 1], or what else `as_batch` takes.
        model: see `read_model`; by default the one fitted on faces, whose values no paper has.

    Returns:
        (b,) from 0 up, lower is more natural.

    Raises:
        ElsfaceError: see `as_batch`; or they are without two patches of detail: with the published model they have 96
            pixels a side, with ours 32.
    """
    sr = as_batch(sr)
    model = model or read_model()
    return torch.stack([distance(image[None], model) for image in rounded_luma(sr)]).float().to(sr.device)


def distance(image: Tensor, model: NiqeModel) -> Tensor:
    """NIQE of one `rounded_luma`, (1, 1, h, w): a scalar.

    Raises:
        ElsfaceError: see `niqe`.
    """
    size, block = f"{image.shape[-1]}x{image.shape[-2]}", model.block
    whole = min(image.shape[-2:]) >= block
    features = patch_features(image, block) if whole else image.new_zeros(0, 36)
    detailed = features[~features.isnan().any(1)]
    if len(detailed) < 2:
        raise ElsfaceError(
            f"NIQE needs two patches of {block}x{block} pixels with detail: {size} is too small, or flat."
        )
    difference = model.mean - features.nanmean(0)
    inverse = torch.linalg.pinv((model.covariance + detailed.T.cov()) / 2, rtol=1e-15)
    return (difference @ inverse @ difference).sqrt()


def fit_model(images: Iterable[Tensor], block: int) -> NiqeModel:
    """The Gaussian of the sharp patches of good pictures (section II-C).

    Args:
        images: (1, 3, h, w) RGB in [0, 1] each.
        block: side of a patch in pixels, even.
    """
    found = []
    for image in map(rounded_luma, images):
        sharpness = patches(local_statistics(image)[1], block).mean((1, 2))
        found.append(patch_features(image, block)[sharpness > SHARP * sharpness.max()])
    features = torch.cat(found)
    features = features[~features.isnan().any(1)]
    return NiqeModel(features.mean(0), features.T.cov(), block)
