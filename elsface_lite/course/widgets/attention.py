"""A widget of chapter 04: whom a pixel attends to."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import ipywidgets
import matplotlib as mpl
import torch
from einops import rearrange, repeat
from torch import Tensor

from ...data.degradation import downscale
from ...errors import ElsfaceError
from ...network.elsface import ELSFace
from ...network.transformer import SwinLayer, WindowAttention
from .live import Panel, Picture, chooser, move
from .pictures import img_html, picture_html, row_html

ORANGE = (0.90, 0.62, 0.0)


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
        A box whose `controls` are, by name, `face` (clicked), `row` and `column` of the token (clicked in the picture),
        `head` (-1: the mean over heads) and `layer` (in the order of use; not shown where there is only one); whose
        `picture` is the HTML that shows the face lit by attention, and the window's weights and those by place alone,
        on one scale; and whose `values` are `weights` and `by_place`, (window, window)
        each, `effective`, the number of tokens that weights as even would come from (exp of their entropy), and
        `itself`, the share that the token keeps.

    Raises:
        ElsfaceError: the model has no Transformer stream, or there is no face, or faces differ in size.
    """
    if model.transformer is None or len({face.shape for face in faces.values()}) != 1:
        raise ElsfaceError("attention is shown of a model with a Transformer stream, and of faces that have one size.")
    window = model.config.window
    seen = lru_cache(maxsize=8)(lambda face: attend(model, downscale(faces[face][None], model.config.scale)))
    first = next(iter(faces))
    tokens, passes = seen(first)
    rows, columns = tokens.shape[-2:]
    controls = {
        "face": ipywidgets.Dropdown(options=list(faces), description="face"),
        "row": ipywidgets.BoundedIntText(value=rows * 3 // 8, min=0, max=rows - 1, description="row"),
        "column": ipywidgets.BoundedIntText(value=columns * 3 // 8, min=0, max=columns - 1, description="column"),
        "head": ipywidgets.Dropdown(
            options=[("mean of all", -1), *((f"head {i}", i) for i in range(model.config.heads))], description="head"
        ),
        "layer": ipywidgets.Dropdown(options=[(p.name, i) for i, p in enumerate(passes)], description="layer"),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture(lambda place: move(controls, place))

    def draw(change: object = None) -> None:
        state = {name: control.value for name, control in controls.items()}
        tokens, passes = seen(state["face"])
        box.values, box.picture.value = _attention_html(tokens, passes[state["layer"]], window, state)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    menus = [controls[name] for name in (("layer", "head") if len(passes) > 1 else ("head",))]
    box.children = [chooser(controls["face"], faces), ipywidgets.HBox(menus), box.picture]
    return box


@torch.inference_mode()
def attend(model: ELSFace, lr: Tensor) -> tuple[Tensor, list[_Pass]]:
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
    lit, grid = _lit(tokens, light[0], light[1], row, column), (tokens.shape[-2:], (row, column))
    highest, here = max(weights.max().item(), by_place.max().item()), (y % window, x % window)
    figures = [
        picture_html(
            lit, f"The LR face, bright where the token at {where} attends", f"bright: attended. {where}", 384, grid
        ),
        _weights_html(weights, f"takes from {values['effective']:.1f} of {window**2} tokens", highest, here),
        _weights_html(by_place, "by place alone (the bias)", highest, here),
        _scale_html(highest, 1 / window**2),
    ]
    return values, row_html(figures)


def _lit(tokens: Tensor, light: Tensor, inside: Tensor, row: int, column: int) -> Tensor:
    """The face, dark where no light falls, enlarged so that its token and its window can be outlined."""
    size = max(4, 256 // tokens.shape[-1])
    picture = torch.where(inside > 0, tokens * (0.2 + 0.8 * light), 0.45 * tokens)
    return _marked(picture, row, column, size)


def _marked(picture: Tensor, row: int, column: int, size: int) -> Tensor:
    """Enlarged `size` times, with an orange ring around one of its places: (3, h, w) -> (3, h size, w size)."""
    picture = repeat(picture, "c h w -> c (h a) (w b)", a=size, b=size).contiguous()
    top, left = row * size, column * size
    ring, width = torch.ones(size, size, dtype=torch.bool), max(1, size // 8)
    ring[width:-width, width:-width] = False
    picture[:, top : top + size, left : left + size][:, ring] = torch.tensor(ORANGE).to(picture)[:, None]
    return picture


def _weights_html(weights: Tensor, words: str, highest: float, here: tuple[int, int]) -> str:
    """A window's weights as a map from 0 (dark) to the highest (yellow), with a ring around the token that asks."""
    low, high = (100 * weights.min().item(), 100 * weights.max().item())
    colors = torch.from_numpy(mpl.colormaps["viridis"]((weights / highest).numpy())[..., :3]).permute(2, 0, 1)
    caption = f"{words}; {low:.2f} to {high:.2f} % each"
    alt = f"Weights of the window's tokens, the token that asks in an orange frame: {caption}"
    return picture_html(_marked(colors, *here, 24), alt, caption, 192)


def _scale_html(highest: float, even: float) -> str:
    """The colours of both maps, from 0 to the highest weight, with a mark at what all tokens would get evenly."""
    steps = mpl.colormaps["viridis"].resampled(32)
    fills = [mpl.colors.to_hex(steps(31 - i)) for i in range(32)]
    parts = ['<rect width="104" height="192" fill="white"/>']
    parts += [f'<rect x="4" y="{8 + 5.5 * i}" width="16" height="6" fill="{fill}"/>' for i, fill in enumerate(fills)]
    marks = {0.0: "0 %", highest: f"{100 * highest:.1f} %", even: f"{100 * even:.1f} % (even)"}
    for weight, words in marks.items():
        y = 184 - 176 * weight / highest
        # An even share near either end of the scale would be written over that end.
        if weight in (0.0, highest) or 16 < y < 172:
            parts.append(f'<path d="M20 {y:.1f}h5" stroke="black"/><text x="28" y="{y + 4:.1f}">{words}</text>')
    size = 'width="104" height="192" font-family="sans-serif" font-size="11"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
    alt = f"The colours of both maps: dark is 0, yellow {100 * highest:.1f} %; even weights would be {100 * even:.1f} %"
    return img_html("svg+xml", svg.encode(), alt, "one scale for both", 104)
