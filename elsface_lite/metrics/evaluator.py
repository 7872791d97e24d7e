"""Every metric by its name, over as many pairs as come, with the interval of each mean."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ElsfaceError
from .image import check_pair, identity, lpips, mae, psnr, ssim
from .sets import frechet_distance, inception_features, kernel_distance

RESAMPLES = 1000  # of the bootstrap


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
