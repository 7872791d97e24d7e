"""Metrics of a pair of images: PSNR, SSIM, MAE, LPIPS and identity, by the conventions of their inventors.

Every function takes SR and HR as (b, 3, h, w) RGB in [0, 1], on any device, or as whatever else `as_batch` takes, and
measures what an 8-bit file would hold.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.degradation import quantize
from ..data.inputs import Pictures, as_batch
from ..errors import ElsfaceError
from .networks import full_precision, identity_network, lpips_network

Channel = Literal["rgb", "y"]
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels (Wang et al. 2004, section III-C)
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # for values in [0, 1]
CHUNK = 4  # images that a network sees at once: Inception takes 10 % longer with 16 on a CPU, and more memory


def check_pair(sr: Pictures, hr: Pictures) -> tuple[Tensor, Tensor]:
    """Refuses what no metric could measure; returns both images with the values of an 8-bit file, float32.

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1], of one shape, or what else `as_batch` takes.

    Raises:
        ElsfaceError: other shapes or devices, no image at all, or values outside [0, 1].
    """
    sr, hr = as_batch(sr), as_batch(hr)
    if sr.device != hr.device:
        raise ElsfaceError(f"SR is on {sr.device} and HR on {hr.device}: move them to one device first.")
    if sr.shape != hr.shape:
        raise ElsfaceError(f"SR is {tuple(sr.shape)} and HR {tuple(hr.shape)}: bring them to one shape first.")
    return quantize(sr), quantize(hr)


def without_border(images: Tensor, border: int) -> Tensor:
    """Cuts so many pixels from each side.

    Args:
        images: (b, 3, h, w).
        border: in pixels.

    Raises:
        ElsfaceError: nothing would be left.
    """
    height, width = images.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ElsfaceError(f"a border of {border} pixels leaves nothing of {width}x{height}: choose a smaller one.")
    return images[..., border : height - border, border : width - border]


def luma(image: Tensor) -> Tensor:
    """Y of BT.601 as video stores it, 16 to 235 in units of 1/255, not rounded: (b, 3, h, w) -> (b, 1, h, w)."""
    weights = image.new_tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1)
    return ((weights * image).sum(1, keepdim=True) + 16) / 255


def prepare(sr: Pictures, hr: Pictures, channel: Channel) -> tuple[Tensor, Tensor]:
    """The checked pair, as RGB (b, 3, h, w) or as its Y channel (b, 1, h, w).

    Raises:
        ElsfaceError: see `check_pair`; or a channel that is neither "rgb" nor "y".
    """
    if channel not in ("rgb", "y"):
        raise ElsfaceError(f'the channel is "rgb" or "y", not {channel!r}.')
    sr, hr = check_pair(sr, hr)
    return (luma(sr), luma(hr)) if channel == "y" else (sr, hr)


def psnr(sr: Pictures, hr: Pictures, channel: Channel = "rgb") -> Tensor:
    """Peak signal-to-noise ratio of each image: 10 log10(1 / mean squared error).

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1].
        channel: "rgb" for the error over all three, "y" for the luma alone (the habit of face-SR papers).

    Returns:
        (b,) in dB, infinite for equal images.

    Raises:
        ElsfaceError: the pair cannot be measured, see `check_pair`.
    """
    sr, hr = prepare(sr, hr, channel)
    return -10 * (sr - hr).square().mean((1, 2, 3)).log10()


def mae(sr: Pictures, hr: Pictures, channel: Channel = "rgb") -> Tensor:
    """Mean absolute error of each image, in 8-bit levels.

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1].
        channel: "rgb" or "y", as in `psnr`.

    Returns:
        (b,) from 0 to 255.

    Raises:
        ElsfaceError: the pair cannot be measured, see `check_pair`.
    """
    sr, hr = prepare(sr, hr, channel)
    return 255 * (sr - hr).abs().mean((1, 2, 3))


def window_means(x: Tensor) -> Tensor:
    """The weighted mean of every window that lies inside the image: rows, then columns, since a Gaussian is separable.

    Args:
        x: (b, c, h, w), h and w at least 11.

    Returns:
        (b, c, h - 10, w - 10).
    """
    half = SSIM_WINDOW // 2
    weights = [math.exp(-(distance**2) / (2 * SSIM_SIGMA**2)) for distance in range(-half, half + 1)]
    for dim in (-2, -1):
        inside = x.shape[dim] - 2 * half
        means = torch.zeros_like(x.narrow(dim, 0, inside))
        for i, weight in enumerate(weights):
            means.add_(x.narrow(dim, i, inside), alpha=weight / sum(weights))
        x = means
    return x


def ssim(sr: Pictures, hr: Pictures, channel: Channel = "rgb") -> Tensor:
    """Structural similarity of each image, the mean over the windows inside it (Wang et al. 2004, equation 13).

    Not torchmetrics': its map goes on beyond the border, its float32 loses the fifth digit (a variance is a difference
    of two large numbers here), and its float64 takes 200 ms where this takes 5.

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1], h and w at least 11.
        channel: "rgb" for the mean of three maps, "y" for the luma's alone.

    Returns:
        (b,) up to 1, which only equal images reach.

    Raises:
        ElsfaceError: the pair cannot be measured, see `check_pair`; or it is smaller than the window.
    """
    sr, hr = prepare(sr, hr, channel)
    if min(sr.shape[-2:]) < SSIM_WINDOW:
        raise ElsfaceError(f"SSIM's window is {SSIM_WINDOW} pixels wide: {sr.shape[-2]}x{sr.shape[-1]} is too small.")
    x, y = ((image if image.device.type != "mps" else image.cpu()).double() for image in (sr, hr))  # no float64 there
    mean_x, mean_y = window_means(x), window_means(y)
    variances = window_means(x.square() + y.square()) - mean_x.square() - mean_y.square()
    covariance = window_means(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x.square() + mean_y.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    return (luminance * structure).mean((1, 2, 3)).float().to(sr.device)


def in_chunks(network: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """Applies a network to a few images at a time, without gradients and without shortcuts of precision.

    Args:
        network: takes as many batches as there are images, returns a tensor with one entry an image.
        images: (n, 3, h, w) each.

    Returns:
        (n, ...), what the network gives, joined.
    """
    with full_precision():
        chunks = zip(*(batch.split(CHUNK) for batch in images), strict=True)
        return torch.cat([network(*chunk) for chunk in chunks])


def lpips(sr: Pictures, hr: Pictures, net: Literal["alex", "vgg"] = "alex") -> Tensor:
    """Learned perceptual distance of each image (Zhang et al. 2018), version 0.1.

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1], h and w at least 32.
        net: "alex" for AlexNet, which the literature reports, or "vgg" for VGG16.

    Returns:
        (b,) from 0, which equal images have, upwards.

    Raises:
        ElsfaceError: the pair cannot be measured, see `check_pair`; it is smaller than the network's field; another
            net; its pretrained trunk is not to be had.
    """
    if net not in ("alex", "vgg"):
        raise ElsfaceError(f'the net of LPIPS is "alex" or "vgg", not {net!r}.')
    sr, hr = check_pair(sr, hr)
    if min(sr.shape[-2:]) < 32:
        raise ElsfaceError(f"LPIPS needs 32x32 pixels or more: {sr.shape[-2]}x{sr.shape[-1]} is too small.")
    # The network was made for [-1, 1]; [0, 1] would give scores that only look right.
    return in_chunks(lpips_network(net, sr.device), 2 * sr - 1, 2 * hr - 1).flatten()


def embed(faces: Pictures) -> Tensor:
    """The identity of faces, as dlib's recognition network sees it.

    Args:
        faces: (b, 3, h, h) RGB in [0, 1], aligned as CelebA's 128x128 faces are (eyes at (46.6, 48.4), (81.4, 48.4)).

    Returns:
        (b, 128).

    Raises:
        ElsfaceError: the faces are not square; the network is not installed; see also `as_batch`.
    """
    faces = as_batch(faces)
    size = faces.shape[-1]
    if faces.shape[-2] != size:
        raise ElsfaceError(f"identity takes square, aligned faces, not {faces.shape[-2]}x{size}.")
    # The network wants its eyes 52.5 of 150 pixels apart, at a height of 47: that is this part of a CelebA face.
    top, left, side = (round(size * part / 128) for part in (17, 15, 99))
    chips = F.interpolate(
        faces[..., top : top + side, left : left + side], (150, 150), mode="bicubic", antialias=True
    ).clamp(0, 1)
    return in_chunks(identity_network(faces.device), chips)


def identity(sr: Pictures, hr: Pictures) -> Tensor:
    """Does the restored face still look like the same person? The distance of two face embeddings.

    Args:
        sr, hr: (b, 3, h, h) RGB in [0, 1], aligned faces, see `embed`.

    Returns:
        (b,); dlib takes two faces below 0.6 for one person.

    Raises:
        ElsfaceError: the pair cannot be measured, see `check_pair` and `embed`.
    """
    sr, hr = check_pair(sr, hr)
    return (embed(sr) - embed(hr)).norm(dim=1)
