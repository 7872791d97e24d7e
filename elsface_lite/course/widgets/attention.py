"""The widgets of chapter 04: whom a pixel attends to, and what each High-Frequency Enhancement Block does."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import ipywidgets
import matplotlib as mpl
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from ...data.degradation import downscale, quantize
from ...errors import ElsfaceError
from ...network.elsface import ELSFace
from ...network.transformer import SwinLayer, WindowAttention
from ..frequency import band_energy, band_psnr
from ..plots import band_name
from .pictures import img_html, picture_html, psnr_text, row_html

OCTAVES = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]  # of the grid that the streams work at, in cycles per token
BANDS = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]  # of the HR face, in cycles per pixel


class _Pass(NamedTuple):
    """One use of one Swin layer: softmax weights with the bias, and of the bias alone, (windows, heads, t, t)."""

    name: str
    shift: int
    weights: Tensor
    by_place: Tensor


def attention_explorer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Pick a token of a face, a head and a layer, and see how much it takes from each token of its window.

    Args:
        model: a network with a Transformer stream.
        faces: (3, h, w) each, in [0, 1], all of one size that the scale divides; the LR face is made of it.

    Returns:
        A box whose `controls` are, by name, `face`, `row` and `column` (of the token), `head` (-1: the mean over
        heads) and `layer` (in the order in which layers are applied); whose `picture` is the HTML that shows the face
        lit by attention, and the window's weights; and whose `values` are `weights` and `by_place`, (window, window)
        each, `effective`, the number of tokens that weights as even would come from (exp of their entropy), and
        `itself`, the share that the token keeps.

    Raises:
        ElsfaceError: the model has no Transformer stream, or there is no face, or faces differ in size.
    """
    if model.transformer is None or len({face.shape for face in faces.values()}) != 1:
        raise ElsfaceError("attention is shown of a model with a Transformer stream, and of faces that have one size.")
    window = model.config.window
    seen = lru_cache(maxsize=8)(lambda face: _attend(model, downscale(faces[face][None], model.config.scale)))
    first = next(iter(faces))
    tokens, passes = seen(first)
    rows, columns = tokens.shape[-2:]
    slow = {"continuous_update": False}
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "row": ipywidgets.IntSlider(value=rows * 3 // 8, min=0, max=rows - 1, description="row", **slow),
        "column": ipywidgets.IntSlider(value=columns * 3 // 8, min=0, max=columns - 1, description="column", **slow),
        "head": ipywidgets.Dropdown(
            options=[("mean of all", -1), *((f"head {i}", i) for i in range(model.config.heads))], description="head"
        ),
        "layer": ipywidgets.Dropdown(options=[(p.name, i) for i, p in enumerate(passes)], description="layer"),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, ipywidgets.HTML()

    def draw(change: object = None) -> None:
        state = {name: control.value for name, control in controls.items()}
        tokens, passes = seen(state["face"])
        box.values, box.picture.value = _attention_html(tokens, passes[state["layer"]], window, state)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    lines = [[controls[name] for name in names] for names in (("face", "layer", "head"), ("row", "column"))]
    box.children = [*map(ipywidgets.HBox, lines), box.picture]
    return box


@torch.inference_mode()
def _attend(model: ELSFace, lr: Tensor) -> tuple[Tensor, list[_Pass]]:
    """The LR face at the streams' grid, (3, h, w), and what every layer attends to, in the order of their use."""
    depth = len(model.transformer.rstb.layers)
    found: list[_Pass] = []

    def note(layer: SwinLayer, attention: WindowAttention, inputs: tuple[Tensor, ...]) -> None:
        windows, mask = inputs[0], inputs[1] if len(inputs) > 1 else None
        q, k, _ = rearrange(
            attention.qkv(windows), "n t (three h d) -> three n h t d", three=3, h=attention.heads
        ).unbind()
        bias = attention.bias()[None]
        bias = bias.expand(len(windows), -1, -1, -1) if mask is None else bias + mask[:, None]
        name = f"pass {len(found) // depth + 1}, layer {len(found) % depth + 1}"
        shift = 0 if mask is None else layer.shift
        weights = (q @ k.mT / q.shape[-1] ** 0.5 + bias).softmax(-1)
        found.append(_Pass(name, shift, weights, bias.softmax(-1)))

    hooks = [
        layer.attention.register_forward_pre_hook(lambda attention, inputs, layer=layer: note(layer, attention, inputs))
        for layer in model.transformer.rstb.layers
    ]
    try:
        model(lr)
    finally:
        for hook in hooks:
            hook.remove()
    return repeat(lr[0], "c h w -> c (h a) (w b)", a=model.config.grid, b=model.config.grid), found


def _attention_html(
    tokens: Tensor, used: _Pass, window: int, state: Mapping[str, int]
) -> tuple[dict[str, Tensor | float], str]:
    """The numbers for one token, and their picture."""
    row, column, head = state["row"], state["column"], state["head"]
    height, width = (side + -side % window for side in tokens.shape[-2:])
    # Windows are those of the shifted image: where does the token lie there, and in which window?
    y, x = (row - used.shift) % height, (column - used.shift) % width
    at = (y // window * (width // window) + x // window, slice(None), y % window * window + x % window)
    weights, by_place = (
        (part[at].mean(0) if head < 0 else part[at][head]).view(window, window)
        for part in (used.weights, used.by_place)
    )
    top, left = y - y % window, x - x % window
    light = torch.zeros(2, height, width)
    light[:, top : top + window, left : left + window] = torch.stack(
        [weights / weights.max(), torch.ones_like(weights)]
    )
    light = light.roll((used.shift, used.shift), (1, 2))[:, : tokens.shape[-2], : tokens.shape[-1]]
    values = {
        "weights": weights,
        "by_place": by_place,
        "effective": (-(weights * weights.clamp(min=1e-12).log()).sum()).exp().item(),
        "itself": weights[y % window, x % window].item(),
    }
    where = f"row {row}, column {column}, {used.name}, {'mean of all heads' if head < 0 else f'head {head}'}"
    lit = _lit(tokens, light[0], light[1], row, column)
    figures = [
        picture_html(lit, f"The LR face, bright where the token at {where} attends", f"bright: attended. {where}", 288),
        _weights_html(weights, f"takes from {values['effective']:.1f} of {window**2} tokens"),
        _weights_html(by_place, "by place alone (the bias)"),
    ]
    return values, row_html(figures)


def _lit(tokens: Tensor, light: Tensor, inside: Tensor, row: int, column: int) -> Tensor:
    """The face, dark where no light falls, enlarged so that its token and its window can be outlined."""
    size = max(4, 256 // tokens.shape[-1])
    picture = torch.where(inside > 0, tokens * (0.15 + 0.85 * light), 0.3 * tokens)
    picture = repeat(picture, "c h w -> c (h a) (w b)", a=size, b=size).contiguous()
    top, left = row * size, column * size
    ring = torch.ones(size, size, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    picture[:, top : top + size, left : left + size][:, ring] = torch.tensor([0.90, 0.62, 0.0])[:, None]
    return picture


def _weights_html(weights: Tensor, words: str) -> str:
    """A window's weights as a map from 0 (dark) to the largest (yellow)."""
    low, high = (100 * weights.min().item(), 100 * weights.max().item())
    colors = torch.from_numpy(mpl.colormaps["viridis"]((weights / weights.max()).numpy())[..., :3]).permute(2, 0, 1)
    caption = f"{words}; {low:.2f} to {high:.2f} % each"
    return picture_html(colors, f"Weights of the window's tokens: {caption}", caption, 192)


def hfeb_explorer(model: ELSFace, faces: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Switches High-Frequency Enhancement Blocks off, or the whole Transformer stream, and shows what it changes.

    A block that is off passes its input on; a stream that is off adds nothing to the CNN stream.

    Args:
        model: a network with both streams and at least one HFEB.
        faces: (3, h, w) each, in [0, 1]; the LR face is made of it, by the network's scale.

    Returns:
        A box whose `controls` are, by name, the menu `face` and the checkboxes `transformer`, `hfeb1`, `hfeb2` ...;
        whose `picture` is the HTML that shows the restored face, its difference from the whole network's, and the
        changes by band; and whose `values` are `psnr` in dB, and the changes against the whole network in dB,
        `psnr_change` by band of the HR face and `energy_change` by octave of the fused features.

    Raises:
        ElsfaceError: the model has one stream only, or no HFEB, or there is no face.
    """
    if model.cnn is None or model.transformer is None or not len(model.hfebs) or not faces:
        raise ElsfaceError(
            "HFEBs are switched in a model with both streams and at least one HFEB, on at least one face."
        )
    blocks = [f"hfeb{i + 1}" for i in range(len(model.hfebs))]
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "transformer": ipywidgets.Checkbox(value=True, description="Transformer stream", indent=False),
        **{name: ipywidgets.Checkbox(value=True, description=name.upper(), indent=False) for name in blocks},
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, ipywidgets.HTML()

    @lru_cache(maxsize=8)
    def prepared(face: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lr = downscale(faces[face][None], model.config.scale)
        with torch.inference_mode():
            trace = model.trace(lr)
        return lr, trace["cnn"], trace["transformer"], trace["fused"]

    @lru_cache(maxsize=64)
    def run(face: str, stream: bool, on: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
        lr, cnn, x, _ = prepared(face)
        return _switched(model, lr, cnn, x, on if stream else None)

    def draw(change: object = None) -> None:
        face, on = controls["face"].value, tuple(controls[name].value for name in blocks)
        whole, chosen = run(face, True, (True,) * len(on)), run(face, controls["transformer"].value, on)
        box.values, box.picture.value = _hfeb_html(faces[face][None], whole, chosen)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [controls["face"], ipywidgets.HBox([controls[n] for n in ("transformer", *blocks)]), box.picture]
    return box


@torch.inference_mode()
def _switched(model: ELSFace, lr: Tensor, cnn: Tensor, x: Tensor, on: Sequence[bool] | None) -> tuple[Tensor, Tensor]:
    """Fused features and SR, from the CNN stream and the Transformer stream before its HFEBs (None: without it)."""
    fused = cnn
    if on is not None:
        for block, used in zip(model.hfebs, on, strict=True):
            x = block(x) if used else x
        fused = cnn + x
    sr = model.upsample(fused)
    if model.config.bicubic_skip:
        sr = sr + F.interpolate(lr, scale_factor=model.config.scale, mode="bicubic")
    return fused, quantize(sr)


def _hfeb_html(
    hr: Tensor, whole: tuple[Tensor, Tensor], chosen: tuple[Tensor, Tensor]
) -> tuple[dict[str, list[float] | float], str]:
    """The numbers for one choice of blocks, and their picture."""
    (whole_fused, whole_sr), (fused, sr) = whole, chosen
    energy = [band_energy(features, OCTAVES)[0].clamp(min=1e-12).log10() for features in (fused, whole_fused)]
    values: dict[str, Any] = {
        "psnr": -10 * (sr - hr).square().mean().log10().item(),
        "psnr_change": (band_psnr(sr, hr, BANDS) - band_psnr(whole_sr, hr, BANDS))[0].tolist(),
        "energy_change": (10 * (energy[0] - energy[1])).tolist(),
    }
    apart = 255 * (sr - whole_sr).abs().max().item()
    figures = [
        picture_html(sr[0], "The face restored by the chosen blocks", f"restored, {psnr_text(sr, hr)}"),
        picture_html(
            0.5 + 8 * (sr - whole_sr)[0],
            f"What the chosen blocks change, eightfold on grey; at most {apart:.0f} of 255",
            f"minus the whole network, ×8, at most {apart:.0f} / 255",
        ),
        _changes_html(values["psnr_change"], BANDS, "PSNR by band, change in dB", "cycles per HR pixel"),
        _changes_html(values["energy_change"], OCTAVES, "fused features' energy, change in dB", "cycles per token"),
    ]
    return values, row_html(figures)


def _changes_html(changes: Sequence[float], edges: Sequence[float], what: str, unit: str) -> str:
    """Bars up or down from zero, one a band, as an HTML figure with an SVG picture in it."""
    step, middle, tall = 58, 80, 60
    width, top = step * len(changes) + 10, max(1.0, *map(abs, changes))
    names = [band_name(*band) for band in pairwise(edges)]
    parts = [f'<rect width="{width}" height="190" fill="white"/><path d="M4 {middle}H{width - 4}" stroke="#6E6E6E"/>']
    for i, (change, name) in enumerate(zip(changes, names, strict=True)):
        length = tall * abs(change) / top
        y, color = (middle - length, "#0072B2") if change > 0 else (middle, "#D55E00")
        text = middle - length - 4 if change > 0 else middle + length + 12
        parts.append(f'<rect x="{18 + i * step}" y="{y:.1f}" width="34" height="{length:.1f}" fill="{color}"/>')
        parts.append(f'<text x="{35 + i * step}" y="{text:.1f}" text-anchor="middle">{change:+.2f}</text>')
        parts.append(f'<text x="{35 + i * step}" y="166" text-anchor="middle">{name}</text>')
    parts.append(f'<text x="{width / 2}" y="183" text-anchor="middle">{unit}</text>')
    size = f'width="{width}" height="190" font-family="sans-serif" font-size="10"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    numbers = ", ".join(f"{name}: {change:+.2f}" for name, change in zip(names, changes, strict=True))
    return img_html("svg+xml", svg.encode(), f"{what}: {numbers}", what, width)
