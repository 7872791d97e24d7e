"""Metrics of two sets of images: FID and KID, which compare features and not pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.inputs import Pictures
from ..errors import ElsfaceError
from ..packages import extra
from .image import check_pair, in_chunks
from .networks import inception_network


def inception_features(images: Tensor) -> Tensor:
    """What FID and KID compare: the 2048 features of the Inception network of 2015-12-05.

    Args:
        images: (b, 3, h, w) RGB in [0, 1], with 8-bit values.

    Returns:
        (b, 2048), float64, on the CPU. Resized as clean-fid does it: antialiased bicubic, not rounded.

    Raises:
        ElsfaceError: the network is not installed.
    """
    network = inception_network(images.device)

    def features(batch: Tensor) -> Tensor:
        resized = F.interpolate(255 * batch, (299, 299), mode="bicubic", antialias=True).clamp(0, 255)
        return network(((resized - 128) / 128).contiguous(memory_format=torch.channels_last))

    return in_chunks(features, images).cpu().double()


def given_features(size: int) -> nn.Module:
    """Stands where torchmetrics expects a network, when the features are there already."""
    given = nn.Identity()
    given.num_features = size  # type: ignore[assignment]
    return given


def frechet_distance(sr: Tensor, hr: Tensor) -> Tensor:
    """FID of two sets of features: |mean difference|^2 + trace(S + H - 2 (S H)^(1/2)), S and H their covariances.

    A rotation of the space does not change it, and n + m features span no more than n + m dimensions: torchmetrics
    gets the features in a basis of those, and takes the root of a small matrix where the set is small.

    Args:
        sr, hr: (n, d) and (m, d) features.

    Returns:
        Scalar, float64.

    Raises:
        ElsfaceError: fewer than two images in a set.
    """
    with extra("metrics"):
        from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(sr), len(hr)) < 2:
        raise ElsfaceError("FID compares the covariances of two sets: one image has none, give two or more.")
    basis = torch.linalg.qr(torch.cat([sr, hr]).double().T).Q
    distance = FrechetInceptionDistance(given_features(basis.shape[1])).set_dtype(torch.float64)
    distance.update(sr.double() @ basis, real=False)
    distance.update(hr.double() @ basis, real=True)
    return distance.compute().clamp_min(0)  # the root of a matrix is rounded


def kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    """The kernel (x y / d + 1)^3 of features (n, d) and (m, d), added up over all pairs, some rows at a time."""
    return torch.stack([(rows @ y.T / x.shape[1] + 1).pow(3).sum() for rows in x.split(1024)]).sum()


def kernel_distance(sr: Tensor, hr: Tensor) -> Tensor:
    """KID of two sets of features: the unbiased squared MMD with the kernel (x y / d + 1)^3, over the whole sets.

    Not torchmetrics', which draws random subsets, and takes no sets of different size whole.

    Args:
        sr, hr: (n, d) and (m, d) features.

    Returns:
        Scalar, float64; its expectation is 0 for independent draws of one distribution, so it may be negative. SR and
        HR of the same faces are not independent: few of them give a lower value.

    Raises:
        ElsfaceError: fewer than two images in a set.
    """
    n, m = len(sr), len(hr)
    if min(n, m) < 2:
        raise ElsfaceError("KID compares pairs within a set: one image has none, give two or more.")
    sr, hr = sr.double(), hr.double()
    same_sr, same_hr = ((x.square().mean(1) + 1).pow(3).sum() for x in (sr, hr))  # an image with itself
    within = (kernel_sum(sr, sr) - same_sr) / (n * (n - 1)) + (kernel_sum(hr, hr) - same_hr) / (m * (m - 1))
    return within - 2 * kernel_sum(sr, hr) / (n * m)


def fid(sr: Pictures, hr: Pictures) -> Tensor:
    """Frechet Inception distance of two sets of images (Heusel et al. 2017), resized as clean-fid does it.

    Its expectation falls with the number of images: report N beside it, and compare only at equal N.

    Args:
        sr, hr: (n, 3, h, w) RGB in [0, 1], n at least 2. Which SR belongs to which HR does not matter.

    Returns:
        Scalar, float64.

    Raises:
        ElsfaceError: the images cannot be measured, see `check_pair`; fewer than two; no network.
    """
    sr, hr = check_pair(sr, hr)
    return frechet_distance(inception_features(sr), inception_features(hr))


def kid(sr: Pictures, hr: Pictures) -> Tensor:
    """Kernel Inception distance of two sets of images (Binkowski et al. 2018): unbiased, see `kernel_distance`.

    Args:
        sr, hr: (n, 3, h, w) RGB in [0, 1], n at least 2.

    Returns:
        Scalar, float64.

    Raises:
        ElsfaceError: as `fid`.
    """
    sr, hr = check_pair(sr, hr)
    return kernel_distance(inception_features(sr), inception_features(hr))
