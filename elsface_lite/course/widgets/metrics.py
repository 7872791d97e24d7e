"""The widget of chapter 07: a face is distorted, and all metrics answer."""

from collections.abc import Mapping
from io import BytesIO
from math import ceil

import ipywidgets
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...data.degradation import downscale, quantize, upscale
from ...metrics.evaluator import IMAGE_METRICS, Evaluator
from ...training.losses import gaussian_blur
from ..plots import faces_html
from .live import WIDE, Panel, Picture


def distort(face: Tensor, blur: float = 0, noise: float = 0, shift: int = 0, quality: int = 100) -> Tensor:
    """Does to a face what cameras and programs do: blur, then noise, then a shift to the right, then JPEG.

    Args:
        face: (1, 3, h, w) in [0, 1].
        blur: sigma of a Gaussian, in pixels.
        noise: standard deviation of white noise, the same at every call; 0.1 is a tenth of the whole range.
        shift: in pixels; what comes in from the left repeats the border.
        quality: of Pillow's JPEG; 100 leaves it out.

    Returns:
        (1, 3, h, w) with 8-bit values.
    """
    if blur:
        taps = torch.arange(-ceil(3 * blur), ceil(3 * blur) + 1)
        face = gaussian_blur(face, torch.softmax(-(taps**2) / (2 * blur**2), dim=0))
    face = face + noise * torch.randn(face.shape, generator=torch.Generator().manual_seed(0)).to(face)
    if shift:
        face = F.pad(face, (shift, 0, 0, 0), mode="replicate")[..., :-shift]
    face = quantize(face)
    return face if quality == 100 else through_jpeg(face, quality)


def through_jpeg(face: Tensor, quality: int) -> Tensor:
    """What is left of (1, 3, h, w) after a JPEG file of this quality, colour at half the resolution (4:2:0)."""
    file = BytesIO()
    pixels = (255 * face[0].clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].to(face) / 255


def metric_explorer(face: Tensor, scale: int = 4) -> ipywidgets.VBox:
    """Distorts a face, and shows what every metric of one image says, beside what it says of bicubic.

    Args:
        face: (1, 3, h, w) in [0, 1], on the CPU; h and w multiples of scale.
        scale: of the bicubic baseline.

    Returns:
        A box whose `controls` are, by name, the sliders `blur`, `noise`, `shift` and `quality` of `distort`; whose
        `picture` is the HTML that shows HR, the distorted face and a table; and whose `values` are the numbers in it.

    Raises:
        ElsfaceError: the network of LPIPS is not installed.
    """
    controls = {
        "blur": ipywidgets.FloatSlider(min=0, max=4, step=0.5, description="blur, pixels", **WIDE),
        "noise": ipywidgets.FloatSlider(min=0, max=0.15, step=0.005, readout_format=".3f", description="noise", **WIDE),
        "shift": ipywidgets.IntSlider(min=0, max=4, description="shift, pixels", **WIDE),
        "quality": ipywidgets.SelectionSlider(options=[100, 95, 75, 40, 20, 10, 5], description="JPEG quality", **WIDE),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()
    bicubic = _measured(upscale(downscale(face, scale), scale), face)

    def draw(change: object = None) -> None:
        distorted = distort(face, **{name: control.value for name, control in controls.items()})
        box.values = _measured(distorted, face)
        pair = faces_html(
            {"HR": face[0], "distorted": distorted[0]}, "The HR face, and what the sliders made of it", 256
        )
        table = _metrics_html(box.values, bicubic, f"bicubic x{scale}")
        box.picture.value = f'<div style="display:flex;flex-wrap:wrap;gap:16px">{pair}{table}</div>'

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [*controls.values(), box.picture]
    return box


def _measured(sr: Tensor, hr: Tensor) -> dict[str, float]:
    evaluator = Evaluator(["psnr", "psnr_y", "ssim", "ssim_y", "mae", "lpips"])
    evaluator.update(sr, hr)
    return {name: values.item() for name, values in evaluator.values().items()}


def _metrics_html(values: Mapping[str, float], baseline: Mapping[str, float], label: str) -> str:
    """A table with a line for each metric: its value, the baseline's, and which is better."""
    lines = [f"<tr><th>metric</th><th>this face</th><th>{label}</th><th>this face is</th></tr>"]
    for name, value in values.items():
        other, metric = baseline[name], IMAGE_METRICS[name]
        verdict = "equal" if value == other else "better" if (value > other) == metric.higher_is_better else "worse"
        digits = 2 if metric.unit else 4
        numbers = "".join(f'<td style="text-align:right">{n:.{digits}f} {metric.unit}</td>' for n in (value, other))
        lines.append(f"<tr><td>{name}</td>{numbers}<td>{verdict}</td></tr>")
    return f'<table style="align-self:flex-start">{"".join(lines)}</table>'
