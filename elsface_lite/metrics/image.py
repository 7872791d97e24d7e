"""What a restored face is worth: PSNR, SSIM, MAE, LPIPS, FID and KID, by the conventions of their inventors.

Every function takes SR and HR as (b, 3, h, w) RGB in [0, 1], on any device, and measures what an 8-bit file would hold.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .degradation import quantize
from .errors import ElsfaceError
from .metric_weights import full_precision, identity_network, inception_network, lpips_network

Channel = Literal["rgb", "y"]

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels (Wang et al. 2004, section III-C)
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # for values in [0, 1]
CHUNK = 4  # images that a network sees at once: Inception takes 10 % longer with 16 on a CPU, and more memory
RESAMPLES = 1000  # of the bootstrap


def check_values(name: str, image: Tensor) -> None:
    """Refuses an image, called `name` in the message, whose values are not floats in [0, 1].

    Raises:
        ElsfaceError: integers, values that are not finite or outside [0, 1].
    """
    if not image.is_floating_point():
        raise ElsfaceError(f"{name} holds {image.dtype}: convert it to float and divide 8-bit values by 255.")
    low, high = image.aminmax()
    if not (low >= 0 and high <= 1):  # true for NaN too
        raise ElsfaceError(
            f"{name} has values from {low:.4g} to {high:.4g}, not in [0, 1]: clamp a network's output, "
            "divide 8-bit values by 255."
        )


def check_pair(sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
    """Refuses what no metric could measure; returns both images with the values of an 8-bit file, float32.

    Args:
        sr, hr: (b, 3, h, w) RGB in [0, 1], of one shape.

    Raises:
        ElsfaceError: other shapes or devices, no image at all, or see `check_values`.
    """
    if sr.device != hr.device:
        raise ElsfaceError(f"SR is on {sr.device} and HR on {hr.device}: move them to one device first.")
    if sr.shape != hr.shape:
        raise ElsfaceError(f"SR is {tuple(sr.shape)} and HR {tuple(hr.shape)}: bring them to one shape first.")
    if sr.ndim != 4 or sr.shape[1] != 3 or 0 in sr.shape:
        raise ElsfaceError(f"a batch of RGB images is (b, 3, h, w), not {tuple(sr.shape)}.")
    check_values("SR", sr)
    check_values("HR", hr)
    return quantize(sr.float()), quantize(hr.float())


def luma(image: Tensor) -> Tensor:
    """Y of BT.601 as video stores it, 16 to 235 in units of 1/255, not rounded: (b, 3, h, w) -> (b, 1, h, w)."""
    weights = image.new_tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1)
    return ((weights * image).sum(1, keepdim=True) + 16) / 255


def prepare(sr: Tensor, hr: Tensor, channel: Channel) -> tuple[Tensor, Tensor]:
    """The checked pair, as RGB (b, 3, h, w) or as its Y channel (b, 1, h, w).

    Raises:
        ElsfaceError: see `check_pair`; or a channel that is neither "rgb" nor "y".
    """
    if channel not in ("rgb", "y"):
        raise ElsfaceError(f'the channel is "rgb" or "y", not {channel!r}.')
    sr, hr = check_pair(sr, hr)
    return (luma(sr), luma(hr)) if channel == "y" else (sr, hr)


def psnr(sr: Tensor, hr: Tensor, channel: Channel = "rgb") -> Tensor:
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


def mae(sr: Tensor, hr: Tensor, channel: Channel = "rgb") -> Tensor:
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


def ssim(sr: Tensor, hr: Tensor, channel: Channel = "rgb") -> Tensor:
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


def lpips(sr: Tensor, hr: Tensor, net: Literal["alex", "vgg"] = "alex") -> Tensor:
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

    return in_chunks(features, images).double().cpu()


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
    from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(sr), len(hr)) < 2:
        raise ElsfaceError("FID compares the covariances of two sets: one image has none, give two or more.")
    basis = torch.linalg.qr(torch.cat([sr, hr]).double().T).Q
    distance = FrechetInceptionDistance(given_features(basis.shape[1])).set_dtype(torch.float64)
    distance.update(sr.double() @ basis, real=False)
    distance.update(hr.double() @ basis, real=True)
    return distance.compute()


def kernel_distance(sr: Tensor, hr: Tensor) -> Tensor:
    """KID of two sets of features: the unbiased squared MMD with the kernel (x y / d + 1)^3, over the whole sets.

    Args:
        sr, hr: (n, d) features each.

    Returns:
        Scalar, float64; its expectation is 0 for independent draws of one distribution, so it may be negative. SR and
        HR of the same faces are not independent: few of them give a lower value.

    Raises:
        ElsfaceError: fewer than two images in a set.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    if min(len(sr), len(hr)) < 2:
        raise ElsfaceError("KID compares pairs within a set: one image has none, give two or more.")
    # One subset, of everything: the usual 100 random subsets only save memory, and make the result random.
    with warnings.catch_warnings(action="ignore"):  # it says that it keeps the features
        distance = KernelInceptionDistance(given_features(sr.shape[1]), subsets=1, subset_size=len(sr))
    distance.set_dtype(torch.float64)
    distance.update(sr.double(), real=False)
    distance.update(hr.double(), real=True)
    with torch.random.fork_rng(devices=[]):  # it shuffles the images with the global generator
        torch.manual_seed(0)
        return distance.compute()[0]


def fid(sr: Tensor, hr: Tensor) -> Tensor:
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


def kid(sr: Tensor, hr: Tensor) -> Tensor:
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


def embed(faces: Tensor) -> Tensor:
    """The identity of faces, as dlib's recognition network sees it.

    Args:
        faces: (b, 3, h, h) RGB in [0, 1], aligned as CelebA's 128x128 faces are (eyes at (46.6, 48.4), (81.4, 48.4)).

    Returns:
        (b, 128).

    Raises:
        ElsfaceError: the faces are not square; the network is not installed.
    """
    size = faces.shape[-1]
    if faces.shape[-2] != size:
        raise ElsfaceError(f"identity takes square, aligned faces, not {faces.shape[-2]}x{size}.")
    # The network wants its eyes 52.5 of 150 pixels apart, at a height of 47: that is this part of a CelebA face.
    top, left, side = (round(size * part / 128) for part in (17, 15, 99))
    chips = F.interpolate(
        faces[..., top : top + side, left : left + side], (150, 150), mode="bicubic", antialias=True
    ).clamp(0, 1)
    return in_chunks(identity_network(faces.device), chips)


def identity(sr: Tensor, hr: Tensor) -> Tensor:
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


class Metric(NamedTuple):
    """A metric: what measures it, its unit, whether more is better, and its convention in words."""

    measure: Callable[[Tensor, Tensor], Tensor]
    unit: str
    higher_is_better: bool
    convention: str


# One value an image, from images.
IMAGE_METRICS = {
    "psnr": Metric(psnr, "dB", True, "RGB, 8-bit values, per image, then the mean"),
    "psnr_y": Metric(partial(psnr, channel="y"), "dB", True, "Y of BT.601 (16-235), not rounded, per image"),
    "ssim": Metric(ssim, "", True, "RGB, Gaussian window 11, sigma 1.5, windows inside the image"),
    "ssim_y": Metric(partial(ssim, channel="y"), "", True, "Y of BT.601, otherwise as ssim"),
    "mae": Metric(mae, "8-bit levels", False, "RGB, 8-bit values, per image, then the mean"),
    "mae_y": Metric(partial(mae, channel="y"), "8-bit levels", False, "Y of BT.601, otherwise as mae"),
    "lpips": Metric(lpips, "", False, "version 0.1, AlexNet, RGB in [-1, 1], at the size of the images"),
    "lpips_vgg": Metric(partial(lpips, net="vgg"), "", False, "version 0.1, VGG16, otherwise as lpips"),
    "identity": Metric(identity, "", False, "distance of dlib's embeddings of CelebA-aligned faces; 0.6: same person"),
}
# One value for the set, from features.
SET_METRICS = {
    "fid": Metric(frechet_distance, "", False, "Inception of 2015-12-05, clean-fid resizing; biased under some 1000s"),
    "kid": Metric(kernel_distance, "", False, "features of fid, cubic kernel, unbiased for independent sets"),
}
DEFAULT_METRICS = ("psnr", "psnr_y", "ssim", "ssim_y", "mae", "lpips", "fid", "kid")


class Row(NamedTuple):
    """A line of the table: mean and spread over the n images, and the 95 % interval of the mean.

    FID and KID have one value for the set: mean is that value, the other three are None.
    """

    metric: str
    mean: float
    spread: float | None
    low: float | None
    high: float | None
    n: int


def bootstrap_interval(values: Tensor, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean (Efron 1979): how far another draw of faces would move it.

    Args:
        values: (n,), one an image.
        seed: of the resampling.

    Returns:
        The 2.5 % and 97.5 % points of the means of 1000 resamples.
    """
    values = values.double().sort().values  # the order of the images must not matter
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)
    means = values[draws].mean(1)
    low, high = means.quantile(means.new_tensor([0.025, 0.975]), interpolation="nearest").tolist()
    return low, high


def summarise(metric: str, values: Mapping[str, Tensor]) -> Row:
    """The row of a metric.

    Args:
        metric: a name from IMAGE_METRICS or SET_METRICS.
        values: metric -> (n,), or "features" -> (n, 2, d), as `Evaluator.values` gives them.
    """
    if metric in SET_METRICS:
        sr, hr = values["features"].unbind(1)
        return Row(metric, SET_METRICS[metric].measure(sr, hr).item(), None, None, None, len(sr))
    column = values[metric].double()
    spread = column.std().item() if len(column) > 1 else 0.0
    return Row(metric, column.mean().item(), spread, *bootstrap_interval(column), len(column))


def known_metrics(names: Iterable[str]) -> list[str]:
    """Each name once.

    Raises:
        ElsfaceError: a name that is neither in IMAGE_METRICS nor in SET_METRICS, or no name.
    """
    names, known = list(dict.fromkeys(names)), IMAGE_METRICS | SET_METRICS
    if unknown := [name for name in names if name not in known]:
        raise ElsfaceError(f"there is no metric {unknown[0]!r}: choose from {', '.join(known)}.")
    if not names:
        raise ElsfaceError(f"no metric to evaluate: choose from {', '.join(known)}.")
    return names


def measure(metrics: Iterable[str], sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
    """A batch by every metric.

    Args:
        metrics: names from IMAGE_METRICS and SET_METRICS.
        sr, hr: (b, 3, h, w) RGB in [0, 1].

    Returns:
        On the CPU: (b,) for each metric that has one value an image; for the others, once, "features" (b, 2, 2048).

    Raises:
        ElsfaceError: the pair cannot be measured.
    """
    sr, hr = check_pair(sr, hr)
    batch = {name: IMAGE_METRICS[name].measure(sr, hr).cpu() for name in metrics if name in IMAGE_METRICS}
    if any(name in SET_METRICS for name in metrics):
        batch["features"] = torch.stack([inception_features(sr), inception_features(hr)], dim=1)
    return batch


class Evaluator:
    """Takes pairs of images as they come, and ends in a table.

    Args:
        metrics: names from IMAGE_METRICS and SET_METRICS.

    Raises:
        ElsfaceError: an unknown name, or none.
    """

    def __init__(self, metrics: Iterable[str] = DEFAULT_METRICS) -> None:
        self.metrics = known_metrics(metrics)
        self.batches: list[dict[str, Tensor]] = []

    def update(self, sr: Tensor, hr: Tensor) -> None:
        """Measures a batch; after an error it is as if the batch had not come.

        Args:
            sr, hr: (b, 3, h, w) RGB in [0, 1]. Batches may differ in size.

        Raises:
            ElsfaceError: the pair cannot be measured.
        """
        self.batches.append(measure(self.metrics, sr, hr))

    def values(self) -> dict[str, Tensor]:
        """Every image's values, in the order in which the images came: metric -> (n,), "features" -> (n, 2, 2048).

        Raises:
            ElsfaceError: no image came.
        """
        if not self.batches:
            raise ElsfaceError("nothing was measured: update the evaluator with images first.")
        return {name: torch.cat([batch[name] for batch in self.batches]) for name in self.batches[0]}

    def table(self) -> list[Row]:
        """One row a metric, in the order in which they were asked for.

        Raises:
            ElsfaceError: no image came, or too few for FID or KID.
        """
        values = self.values()
        return [summarise(name, values) for name in self.metrics]
