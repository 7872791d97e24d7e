"""Widgets of the course: each is a function that takes a face or a model and gives an ipywidget, drivable from code."""

import base64
import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .data import center_crop
from .degradation import downscale, quantize, upscale
from .errors import ElsfaceError
from .faces import crop_face, find_faces
from .frequency import band_psnr, low_pass, radius, spectrum
from .images import read_image
from .losses import gaussian_blur
from .metrics import IMAGE_METRICS, Evaluator
from .model import ELSFace
from .plots import COLORS, band_name, faces_html


def picture_html(image: Tensor, alt: str, caption: str, width: int = 192) -> str:
    """A plain picture as an HTML figure: some 5 ms, where matplotlib takes 100.

    Args:
        image: (3, h, w); values outside [0, 1] are clamped.
        alt: what one would see.
        caption: the text below.
        width: of the figure in the browser; pixels stay sharp squares.
    """
    buffer = BytesIO()
    pixels = (255 * image.detach().clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(pixels).save(buffer, format="WEBP", lossless=True)
    return _img_html("webp", buffer.getvalue(), alt, caption, width)


def _img_html(kind: str, data: bytes, alt: str, caption: str, width: int) -> str:
    return (
        f'<figure style="margin:0;width:{width}px"><img alt="{html.escape(alt, quote=True)}" '
        f'style="width:{width}px;image-rendering:pixelated;background:white" '
        f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def bars_html(values: Mapping[str, Sequence[float]], names: Sequence[str], unit: str, top: float) -> str:
    """Bars side by side as an HTML figure with an SVG picture in it.

    Args:
        values: for each label, one height per name; labels of plots.COLORS get their colour.
        names: what stands below each group of bars.
        unit: of the heights.
        top: the highest bar that is drawn; higher ones are cut there and written with their value.
    """
    step, height, width = 58, 160, 58 * len(names) + 10
    # The text is drawn in a picture of its own, on white: it needs no colours of the theme, and has alt text.
    parts = [f'<rect width="{width}" height="{height + 60}" fill="white"/>']
    for i, (label, bars) in enumerate(values.items()):
        color = COLORS.get(label, COLORS["other"])
        parts.append(f'<text x="{10 + 110 * i}" y="12" fill="{color}" font-weight="bold">{label}</text>')
        for j, bar in enumerate(bars):
            x, tall = 8 + j * step + 25 * i, height * max(min(bar, top), 0) / top
            y = height + 36 - tall
            parts.append(f'<rect x="{x}" y="{y:.1f}" width="23" height="{tall:.1f}" fill="{color}"/>')
            parts.append(f'<text x="{x + 12}" y="{y - 3:.1f}" text-anchor="middle">{_bar_label(bar, top)}</text>')
    for j, name in enumerate(names):
        parts.append(f'<text x="{32 + j * step}" y="{height + 52}" text-anchor="middle">{name}</text>')
    size = f'width="{width}" height="{height + 60}" font-family="sans-serif" font-size="10"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    alt = "; ".join(f"{label}: {', '.join(f'{bar:.1f}' for bar in bars)} {unit}" for label, bars in values.items())
    return _img_html("svg+xml", svg.encode(), alt, f"{unit} by band, in cycles per pixel", width)


def _bar_label(value: float, top: float) -> str:
    return f"{value:.0f}" if value <= top else f"&gt;{top:.0f}"


def frequency_explorer(face: Tensor, scale: int = 4) -> ipywidgets.VBox:
    """A cutoff that divides a face into its low and its high frequencies, with spectrum and PSNR by band.

    Args:
        face: (1, 3, h, w) in [0, 1]; h and w multiples of scale.
        scale: of the bicubic baseline beside it.

    Returns:
        The slider `cutoff`, in cycles per pixel, and below it an HTML that shows its state.
    """
    edges = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
    names = [band_name(*band) for band in pairwise(edges)]
    bicubic = upscale(downscale(face, scale), scale)
    bicubic_bands = band_psnr(bicubic, face, edges)[0].tolist()
    shown = spectrum(face)[0].cpu()
    shown = (shown - shown.min()) / (shown.max() - shown.min()).clamp(min=1e-6)
    colors = torch.from_numpy(mpl.colormaps["viridis"](shown.numpy())[..., :3]).permute(2, 0, 1)
    distance = torch.fft.fftshift(radius(face)).cpu()
    slider = ipywidgets.FloatSlider(
        value=0.5 / scale,
        min=0.01,
        max=0.5,
        step=0.005,
        description="cutoff",
        readout_format=".3f",
        continuous_update=False,
    )
    picture = ipywidgets.HTML()

    def draw(change: object = None) -> None:
        cutoff = slider.value
        low = low_pass(face, cutoff)
        bands = {"low-pass": band_psnr(low, face, edges)[0].tolist(), "bicubic": bicubic_bands}
        kept = colors * torch.where(distance <= cutoff, 1.0, 0.3)
        figures = [
            picture_html(kept, f"Spectrum, bright within {cutoff:.3f} cycles per pixel", "spectrum; bright: low-pass"),
            picture_html(low[0], f"Face low-passed at {cutoff:.3f} cycles per pixel", f"low-pass, {_psnr(low, face)}"),
            picture_html(
                (face - low)[0] + 0.5, f"What lies above {cutoff:.3f} cycles per pixel, on grey", "high-pass, on grey"
            ),
            bars_html(bands, names, "PSNR in dB", 60),
        ]
        picture.value = '<div style="display:flex;flex-wrap:wrap;gap:8px">' + "".join(figures) + "</div>"

    slider.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([slider, picture])


def _psnr(sr: Tensor, hr: Tensor) -> str:
    return f"{-10 * (sr - hr).square().mean().clamp(min=1e-10).log10().item():.1f} dB"


def degradation_explorer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Makes an LR face of an HR one by scale and blur, and compares bicubic with the network on a movable split.

    Args:
        model: any network; where the scale is not its own, bicubic brings its output to the HR size.
        faces: (3, h, w) each, in [0, 1], square, h a multiple of 16; the reader's own uploads are added.

    Returns:
        A box whose `controls` are, by name, the menus and sliders `face`, `scale`, `blur` (sigma in HR pixels) and
        `split` (share of bicubic), and `upload`; whose `picture` is the HTML that shows HR, LR and the split; and
        whose `message` is the HTML that says what became of an upload.
    """
    faces = dict(faces)
    slow, wide = {"continuous_update": False}, {"layout": ipywidgets.Layout(width="32em")}
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "upload": ipywidgets.FileUpload(accept="image/*", multiple=False, description="your own"),
        "scale": ipywidgets.SelectionSlider(options=[4, 8, 16], value=4, description="scale ×", **slow),
        "blur": ipywidgets.FloatSlider(value=0, min=0, max=4, step=0.5, description="blur, pixels", **slow),
        "split": ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="split", **wide),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture, box.message = controls, ipywidgets.HTML(), ipywidgets.HTML()
    compared = lru_cache(maxsize=32)(lambda face, scale, blur: _degrade_and_restore(model, faces[face], scale, blur))

    def draw(change: object = None) -> None:
        state = {name: controls[name].value for name in ("face", "scale", "blur")}
        box.picture.value = _split_html(faces[state["face"]], *compared(**state), controls["split"].value)

    def add(change: object = None) -> None:
        before = len(faces)
        box.message.value = _add_uploads(controls["upload"].value, faces)
        if len(faces) > before:
            controls["face"].options = list(faces)
            controls["face"].value = list(faces)[-1]

    for name in ("face", "scale", "blur", "split"):
        controls[name].observe(draw, names="value")
    controls["upload"].observe(add, names="value")
    draw()
    choices = ipywidgets.HBox([controls["face"], controls["upload"]])
    box.children = [choices, controls["scale"], controls["blur"], controls["split"], box.picture, box.message]
    return box


@torch.inference_mode()
def _degrade_and_restore(model: ELSFace, hr: Tensor, scale: int, blur: float) -> tuple[Tensor, Tensor, Tensor]:
    """LR (3, h / scale, w / scale), and from it bicubic and SR, both (3, h, w), with 8-bit values."""
    blurred = hr[None]
    if blur:
        # Three sigmas to either side hold all but 0.3 % of a Gaussian.
        taps = torch.arange(-ceil(3 * blur), ceil(3 * blur) + 1)
        blurred = gaussian_blur(blurred, torch.softmax(-(taps**2) / (2 * blur**2), dim=0))
    lr = downscale(blurred, scale)
    sr = model(lr)
    if sr.shape[-1] != hr.shape[-1]:
        sr = F.interpolate(sr, hr.shape[-2:], mode="bicubic", antialias=True)
    return lr[0], upscale(lr, scale)[0], quantize(sr)[0]


def _split_html(hr: Tensor, lr: Tensor, bicubic: Tensor, sr: Tensor, split: float) -> str:
    """HR, LR, and one picture that is bicubic to the left of a line and SR to the right."""
    line = round(split * hr.shape[-1])
    both = torch.cat([bicubic[..., :line], sr[..., line:]], dim=-1)
    if 0 < line < hr.shape[-1]:
        both[..., line] = 1
    sizes = [f"{image.shape[-1]}×{image.shape[-2]}" for image in (hr, lr)]
    gained = f"left bicubic, {_psnr(bicubic, hr)} | right restored, {_psnr(sr, hr)}"
    pair = faces_html({f"HR, {sizes[0]}": hr, f"LR, {sizes[1]}": lr}, "The HR face and the LR face made of it")
    alt = f"The LR face enlarged: {line} of {hr.shape[-1]} columns by bicubic, the others restored"
    split_view = faces_html({gained: both}, alt, 384)
    return f'<div style="display:flex;flex-wrap:wrap;align-items:flex-end;gap:10px">{split_view}{pair}</div>'


def uploads(value: dict[str, Any] | Sequence[dict[str, Any]]) -> list[tuple[str, bytes]]:
    """What a FileUpload holds, as (name, content): its value is a dict in ipywidgets 7 and a tuple in 8."""
    if isinstance(value, dict):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]


def uploaded_face(name: str, content: bytes) -> tuple[Tensor, str]:
    """The largest face of an uploaded picture, and where it comes from in words.

    Args:
        name: of the file, for messages.
        content: of the file.

    Returns:
        (3, 128, 128) in [0, 1]; without a face in it, the middle of the picture.

    Raises:
        ElsfaceError: the file is no picture that can be read.
    """
    with TemporaryDirectory() as folder:
        # Under its own name, so that an error names the file that the reader knows.
        path = Path(folder, Path(name).name)
        path.write_bytes(content)
        try:
            image = read_image(path)
        except ElsfaceError as error:
            raise ElsfaceError(str(error).replace(str(path), path.name)) from error
    found = find_faces(image)
    if found:
        return quantize(crop_face(image, found[0])), f"{path.name}: the largest of {len(found)} found"
    return center_crop(image, 128), f"{path.name}: no face found, so this is the middle of the picture"


def _add_uploads(value: dict[str, Any] | Sequence[dict[str, Any]], faces: dict[str, Tensor]) -> str:
    """Adds the uploaded faces by their file names; returns what there is to say, as HTML."""
    words = []
    for name, content in uploads(value):
        try:
            face, what = uploaded_face(name, content)
            faces[f"{name} ({len(faces)})"] = face
        except ElsfaceError as error:
            what = str(error)
        words.append(html.escape(what))
    return "<br>".join(words)


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
    slow = {"continuous_update": False}
    controls = {
        "blur": ipywidgets.FloatSlider(min=0, max=4, step=0.25, description="blur, pixels", **slow),
        "noise": ipywidgets.FloatSlider(min=0, max=0.15, step=0.005, readout_format=".3f", description="noise", **slow),
        "shift": ipywidgets.IntSlider(min=0, max=4, description="shift, pixels", **slow),
        "quality": ipywidgets.SelectionSlider(options=[100, 95, 75, 40, 20, 10, 5], description="JPEG quality", **slow),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, ipywidgets.HTML()
    bicubic = _measured(upscale(downscale(face, scale), scale), face)

    def draw(change: object = None) -> None:
        distorted = distort(face, **{name: control.value for name, control in controls.items()})
        box.values = _measured(distorted, face)
        pair = faces_html({"HR": face[0], "distorted": distorted[0]}, "The HR face, and what the sliders made of it")
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
