"""Every metric by its name, over as many pairs as come, with the interval of each mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..data.inputs import Pictures, as_batch
from ..errors import ElsfaceError, did_you_mean
from .image import check_pair, identity, lpips, mae, psnr, ssim, without_border
from .networks import missing_metrics
from .niqe import niqe
from .sets import frechet_distance, inception_features, kernel_distance

RESAMPLES = 1000  # of the bootstrap


@dataclass(frozen=True)
class Metric:
    """A metric, ours or your own, for an `Evaluator`.

    Args:
        function: what measures it, on what `takes` says.
        name: in tables.
        higher_is_better: or lower.
        unit: in tables, such as dB.
        convention: in tables, in words: all that one needs to measure the same.
        takes: "pair" for (b, 3, h, w) SR and HR, both RGB in [0, 1], to (b,); "sr" for SR alone to (b,); "features" for
            (n, 2048) and (m, 2048), what `inception_features` gives of two sets of images, to a scalar.
        smallest: side of the smallest image that it measures, in pixels.
    """

    function: Callable[..., Tensor]
    name: str
    higher_is_better: bool
    unit: str = ""
    convention: str = ""
    takes: Literal["pair", "sr", "features"] = "pair"
    smallest: int = 1


def by_name(*metrics: Metric) -> dict[str, Metric]:
    """Metrics as a table."""
    return {metric.name: metric for metric in metrics}


# One value an image, from pairs.
IMAGE_METRICS = by_name(
    Metric(psnr, "psnr", True, "dB", "RGB, 8-bit values, per image, then the mean"),
    Metric(partial(psnr, channel="y"), "psnr_y", True, "dB", "Y of BT.601 (16-235), not rounded, per image"),
    Metric(ssim, "ssim", True, "", "RGB, Gaussian window 11, sigma 1.5, windows inside the image", smallest=11),
    Metric(partial(ssim, channel="y"), "ssim_y", True, "", "Y of BT.601, otherwise as ssim", smallest=11),
    Metric(mae, "mae", False, "8-bit levels", "RGB, 8-bit values, per image, then the mean"),
    Metric(partial(mae, channel="y"), "mae_y", False, "8-bit levels", "Y of BT.601, otherwise as mae"),
    Metric(lpips, "lpips", False, "", "version 0.1, AlexNet, RGB in [-1, 1], at the size of the images", smallest=32),
    Metric(partial(lpips, net="vgg"), "lpips_vgg", False, "", "version 0.1, VGG16, otherwise as lpips", smallest=32),
    Metric(identity, "identity", False, "", "distance of dlib's embeddings of CelebA-aligned faces; 0.6: same person"),
)
# One value an image, from SR alone.
SR_METRICS = by_name(
    Metric(niqe, "niqe", False, "", "NIQE, fitted on faces: not comparable with papers", "sr"),
)
# One value for the set, from features.
SET_METRICS = by_name(
    Metric(
        frechet_distance,
        "fid",
        False,
        "",
        "Inception of 2015-12-05, clean-fid resizing; biased under some 1000s",
        "features",
    ),
    Metric(
        kernel_distance, "kid", False, "", "features of fid, cubic kernel, unbiased for independent sets", "features"
    ),
)
DEFAULT_METRICS = ("psnr", "psnr_y", "ssim", "ssim_y", "mae", "lpips", "fid", "kid")


class Row(NamedTuple):
    """A line of the table: mean and spread over the n images, and the 95 % interval of the mean.

    Values that are infinite, as the PSNR of identical images, are left out of all three; if no other is there, the mean
    is infinite. Of one value there is no spread and no interval: None. FID and KID have one value for the set.
    """

    metric: str
    mean: float
    spread: float | None
    low: float | None
    high: float | None
    n: int
    infinite: int = 0


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


def summarise(metric: Metric, values: Mapping[str, Tensor]) -> Row:
    """The row of a metric.

    Args:
        metric: one of the evaluator's.
        values: as `Evaluator.values` gives them.

    Raises:
        ElsfaceError: too few images for FID or KID.
    """
    if metric.takes == "features":
        sr, hr = (values.get(f"features of {side}", torch.empty(0, 1)) for side in ("SR", "HR"))
        return Row(metric.name, metric.function(sr, hr).item(), None, None, None, len(sr))
    column = values[metric.name].double()
    finite = column[~column.isinf()]
    n, infinite = len(column), len(column) - len(finite)
    if len(finite) < 2:
        return Row(metric.name, (finite if n > infinite else column).mean().item(), None, None, None, n, infinite)
    return Row(metric.name, finite.mean().item(), finite.std().item(), *bootstrap_interval(finite), n, infinite)


def chosen_metrics(metrics: Iterable[str | Metric]) -> dict[str, Metric]:
    """Each metric once, by name.

    Raises:
        ElsfaceError: a name that is none of ours, two metrics of one name, or no metric.
    """
    known = IMAGE_METRICS | SR_METRICS | SET_METRICS
    found: dict[str, Metric] = {}
    for given in metrics:
        if isinstance(given, str) and given not in known:
            meant = did_you_mean(given, known)
            raise ElsfaceError(f"there is no metric {given!r}{meant}: choose from {', '.join(known)}.")
        metric = known[given] if isinstance(given, str) else given
        if found.setdefault(metric.name, metric) != metric:
            raise ElsfaceError(f"two metrics are called {metric.name!r}: give one of them another name.")
    if not found:
        raise ElsfaceError(f"no metric to evaluate: choose from {', '.join(known)}.")
    return found


def one_value_each(metric: Metric, *images: Tensor) -> Tensor:
    """What a metric gives for a batch, (b,), on the CPU.

    Raises:
        ElsfaceError: it gives something else, or the batch cannot be measured.
    """
    values, count = metric.function(*images), len(images[0])
    if values.shape != (count,):
        advice = "a metric gives one value each, (b,)"
        raise ElsfaceError(f"{metric.name} gave {tuple(values.shape)} for {count} images: {advice}.")
    return values.detach().cpu()


def measure(metrics: Iterable[Metric], sr: Tensor, hr: Tensor | None, reference: bool = False) -> dict[str, Tensor]:
    """A batch by every metric.

    Args:
        metrics: what to measure.
        sr: (b, 3, h, w) RGB in [0, 1].
        hr: the same, or None where no metric takes pairs.
        reference: FID and KID do not compare with HR, but with other images.

    Returns:
        On the CPU: (b,) for each metric that has one value an image; for the others "features of SR" and, unless there
        is a reference, "features of HR", (b, 2048) each.

    Raises:
        ElsfaceError: the pair cannot be measured.
    """
    metrics = list(metrics)
    takes = {metric.takes: metric.name for metric in metrics}
    if hr is None and "pair" in takes:
        raise ElsfaceError(f"{takes['pair']} compares SR with its HR: give both.")
    sr, real = check_pair(sr, sr if hr is None else hr)
    images = {"pair": (sr, real), "sr": (sr,)}
    batch = {m.name: one_value_each(m, *images[m.takes]) for m in metrics if m.takes in images}
    if "features" in takes:
        batch["features of SR"] = inception_features(sr)
        if hr is not None and not reference:
            batch["features of HR"] = inception_features(real)
    return batch


class Evaluator:
    """Takes pairs of images as they come, and ends in a table.

    Args:
        metrics: names from IMAGE_METRICS, SR_METRICS and SET_METRICS, and metrics of your own. None for those of
            DEFAULT_METRICS that can be measured here; `notes` says of each other why it cannot.
        crop_border: so many pixels are cut from each side before anything is measured.

    Attributes:
        metrics: name -> metric, with the border in its convention.
        notes: lines for those who read the table.

    Raises:
        ElsfaceError: an unknown name, two metrics of one name, or none; a border below 0; a metric that was asked for
            by name needs what is not installed.

    Example:
        >>> evaluator = ef.Evaluator(["psnr", ef.Metric(function, name="mine", higher_is_better=False)], crop_border=4)
        >>> evaluator.update(sr, hr)
        >>> evaluator.table()
    """

    def __init__(self, metrics: Iterable[str | Metric] | None = None, crop_border: int = 0) -> None:
        if crop_border < 0:
            raise ElsfaceError(f"a border of {crop_border} pixels cannot be cut: choose 0 or more.")
        asked = list(DEFAULT_METRICS if metrics is None else metrics)
        chosen, missing = chosen_metrics(asked), missing_metrics(name for name in asked if isinstance(name, str))
        if metrics is not None and missing:
            raise ElsfaceError("; ".join(f"{name} cannot be measured: {reason}" for name, reason in missing.items()))
        self.notes = [f"{name} was left out: {reason}" for name, reason in missing.items()]
        self.crop_border, cut = crop_border, f"{crop_border} pixels cut from each side" if crop_border else ""
        self.metrics = {
            name: replace(metric, convention=", ".join(filter(None, [metric.convention, cut])))
            for name, metric in chosen.items()
            if name not in missing
        }
        self.batches: list[dict[str, Tensor]] = []
        self.reference: list[Tensor] = []

    def update(self, sr: Pictures, hr: Pictures | None = None) -> None:
        """Measures a batch; after an error it is as if the batch had not come.

        Args:
            sr: (b, 3, h, w) RGB in [0, 1], or what else `as_batch` takes. Batches may differ in size.
            hr: the same; None where no metric takes pairs.

        Raises:
            ElsfaceError: the pair cannot be measured.
        """
        sr = without_border(as_batch(sr), self.crop_border)
        hr = None if hr is None else without_border(as_batch(hr), self.crop_border)
        self.batches.append(measure(self.metrics.values(), sr, hr, reference=bool(self.reference)))

    def update_reference(self, images: Pictures) -> None:
        """Adds real images for FID and KID to compare with, in place of HR. They come first, before any pair.

        Args:
            images: (b, 3, h, w) RGB in [0, 1], in any number and of any size, or what else `as_batch` takes.

        Raises:
            ElsfaceError: the images cannot be measured.
        """
        images = without_border(as_batch(images), self.crop_border)
        self.reference.append(inception_features(check_pair(images, images)[0]))

    def values(self) -> dict[str, Tensor]:
        """Every image's values, in the order in which the images came.

        Returns:
            metric -> (n,); for FID and KID "features of SR" -> (n, 2048) and "features of HR" -> (m, 2048).

        Raises:
            ElsfaceError: no image came.
        """
        if not self.batches:
            raise ElsfaceError("nothing was measured: update the evaluator with images first.")
        values = {name: torch.cat([batch[name] for batch in self.batches]) for name in self.batches[0]}
        return values | ({"features of HR": torch.cat(self.reference)} if self.reference else {})

    def table(self) -> list[Row]:
        """One row a metric, in the order in which they were asked for.

        Raises:
            ElsfaceError: no image came, or too few for FID or KID.
        """
        values = self.values()
        return [summarise(metric, values) for metric in self.metrics.values()]
