"""The widget of chapter 03: which part of a face one position of the CNN stream sees, and how well."""

from functools import lru_cache

import ipywidgets
import matplotlib as mpl
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.degradation import downscale
from ...errors import ElsfaceError
from ...network.cnn import CNNStream
from ...network.elsface import ELSFace, ELSFaceConfig
from .live import WIDE, Panel, Picture, move
from .pictures import picture_html, row_html

PROBES = 4  # random signs over the output channels, which the gradient energy is averaged over
WIDTH = 16  # channels of the random stream: enough for its receptive field, and quick at 7x7
SHARE = 0.9  # of the gradient energy, in the inner square
ORANGE, WHITE = (0.902, 0.624, 0.0), (1.0, 1.0, 1.0)


def receptive_field_explorer(model: ELSFace, face: Tensor) -> ipywidgets.VBox:
    """Shows which part of a face a position of the CNN stream can see, and which part it does look at.

    Args:
        model: a network with a CNN stream; its number of residual blocks, and its weights as one of two choices.
        face: (1, 3, h, w) in [0, 1]; h and w multiples of the model's scale.

    Returns:
        A box whose `controls` are, by name, the menu `weights` ("trained" or "random"), the sliders `recursions` and
        `kernel` (of the residual blocks; the trained stream has its own), and `row` and `column` of the position that
        looks, in LR pixels (clicked in the picture); whose `picture` is the HTML that shows gradient energy and
        receptive field; and whose `values` are the numbers below it: `theory` and `effective`, sides in LR pixels of
        the square that can be seen and of the one with 90 % of the energy, `theory_share` and `effective_share` of the
        face that these cover, `centre`, the share of the energy in the position itself, `parameters`, and
        `multiply_adds` (of a stream as wide as the model's, for this face).

    Raises:
        ElsfaceError: the model has no CNN stream, or face is not one picture that its scale divides.
    """
    config = model.config
    if model.cnn is None:
        raise ElsfaceError("this network has no CNN stream: choose one with streams 'both' or 'cnn'.")
    if face.ndim != 4 or face.shape[:2] != (1, 3) or face.shape[-2] % config.scale or face.shape[-1] % config.scale:
        raise ElsfaceError(f"face is {tuple(face.shape)}: give one, (1, 3, h, w), h and w multiples of {config.scale}.")
    lr = downscale(face, config.scale)
    controls = _controls(config, *lr.shape[-2:])
    box = Panel()
    box.controls, box.picture = controls, Picture(lambda place: move(controls, place))
    passed = lru_cache(maxsize=16)(lambda weights, kernel, recursions: _passed(model, lr, weights, kernel, recursions))

    def draw(change: object = None) -> None:
        state = {name: control.value for name, control in controls.items()}
        trained = state["weights"] == "trained"
        kernel = config.cnn_kernel if trained else state["kernel"]
        controls["kernel"].disabled = trained
        place = config.grid * state["row"], config.grid * state["column"]
        energy = _gradient_energy(*passed(state["weights"], kernel, state["recursions"]), *place)
        reach = state["recursions"] * (1 + config.cnn_blocks * (kernel - 1))
        box.values = _measured(energy, place, reach, config, kernel, state["recursions"])
        box.picture.value = _html(face, lr, energy, place, reach, box.values, config)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [*(controls[name] for name in ("weights", "recursions", "kernel")), box.picture]
    return box


def _controls(config: ELSFaceConfig, height: int, width: int) -> dict[str, ipywidgets.Widget]:
    return {
        "weights": ipywidgets.Dropdown(options=["trained", "random"], description="weights"),
        "recursions": ipywidgets.IntSlider(
            value=config.cnn_recursions, min=1, max=max(4, config.cnn_recursions), description="recursions", **WIDE
        ),
        "kernel": ipywidgets.SelectionSlider(
            options=sorted({1, 3, 5, 7, config.cnn_kernel}), value=config.cnn_kernel, description="kernel", **WIDE
        ),
        "row": ipywidgets.BoundedIntText(value=3 * height // 8, min=0, max=height - 1, description="row"),
        "column": ipywidgets.BoundedIntText(value=3 * width // 8, min=0, max=width - 1, description="column"),
    }


def _passed(model: ELSFace, lr: Tensor, weights: str, kernel: int, recursions: int) -> tuple[Tensor, Tensor]:
    """Input and output of the stream, (PROBES, c, h, w) both, with the graph between them."""
    config = model.config
    with torch.no_grad():
        x = model.prepare(lr)[:, 0]
    body = model.cnn.body
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            body = CNNStream(WIDTH, config.cnn_blocks, kernel).to(x).body
            x = torch.randn(1, WIDTH, *x.shape[-2:]).to(x)
    x = x.expand(PROBES, -1, -1, -1).clone().requires_grad_()
    y = x
    for _ in range(recursions):
        y = body(y)
    return x, y


def _gradient_energy(x: Tensor, y: Tensor, row: int, column: int) -> Tensor:
    """Squared gradients of the output at one position by the input, summed over channels: (h, w), adding up to 1.

    With random signs over the output channels, one gradient per probe has the energy of all channels on average.
    """
    signs = torch.randint(0, 2, y.shape[:2], generator=torch.Generator().manual_seed(0)).to(y) * 2 - 1
    (gradient,) = torch.autograd.grad((signs * y[:, :, row, column]).sum(), x, retain_graph=True)
    energy = gradient.square().sum(1).mean(0).cpu()
    return energy / energy.sum().clamp(min=torch.finfo(energy.dtype).tiny)


def _square(shape: torch.Size, place: tuple[int, int], reach: int) -> tuple[slice, slice]:
    """Rows and columns of the square around a place, cut off at the border."""
    rows, columns = (slice(max(at - reach, 0), min(at + reach + 1, n)) for at, n in zip(place, shape, strict=True))
    return rows, columns


def _measured(
    energy: Tensor, place: tuple[int, int], reach: int, config: ELSFaceConfig, kernel: int, recursions: int
) -> dict[str, float]:
    """The numbers that `receptive_field_explorer` gives as values; squares are counted within the face."""
    shape, c = energy.shape, config.channels
    # A little less than the share, so that rounding in the sums does not make a square larger.
    inner = next(r for r in range(max(shape)) if energy[_square(shape, place, r)].sum() >= SHARE - 1e-6)
    weights = 9 * c**2 + 2 * config.cnn_blocks * kernel**2 * c**2
    covered = [energy[_square(shape, place, r)].numel() / energy.numel() for r in (reach, inner)]
    return {
        "theory": (2 * reach + 1) / config.grid,
        "theory_share": covered[0],
        "effective": (2 * inner + 1) / config.grid,
        "effective_share": covered[1],
        "centre": energy[place].item(),
        "parameters": weights + (1 + 2 * config.cnn_blocks) * c,
        "multiply_adds": recursions * weights * energy.numel(),
    }


def _html(
    face: Tensor,
    lr: Tensor,
    energy: Tensor,
    place: tuple[int, int],
    reach: int,
    values: dict[str, float],
    config: ELSFaceConfig,
) -> str:
    """The face under its heat map, the LR face with what cannot be seen in grey, and the numbers."""
    shape, step = energy.shape, 2 * config.scale // config.grid
    grey = F.interpolate(face.mean(1, keepdim=True).cpu(), scale_factor=2.0)[0]
    heat = torch.from_numpy(mpl.colormaps["inferno"]((energy / energy.max()).sqrt().numpy())[..., :3]).permute(2, 0, 1)
    heat = heat.float().repeat_interleave(step, -2).repeat_interleave(step, -1)
    outer = _square(shape, place, reach)
    inner = _square(shape, place, round((values["effective"] * config.grid - 1) / 2))
    within = torch.zeros(shape)
    within[outer] = 1
    within = within.repeat_interleave(step, -2).repeat_interleave(step, -1)
    shown = torch.where(within > 0, 0.4 * grey + 0.6 * heat, 0.2 + 0.6 * grey)
    for square, colour in ((outer, WHITE), (inner, ORANGE)):
        _frame(shown, square, step, colour)
    seen = F.interpolate(within[None, None], lr.shape[-2:], mode="area")[0]
    row, column = (at // config.grid for at in place)
    where, grid = f"row {row}, column {column}", (lr.shape[-2:], (row, column))
    heat_alt = f"Heat map over the face: what the position at {where} sees, most of it in a square of "
    heat_alt += f"{values['effective']:g} LR pixels inside the receptive field of {values['theory']:g}"
    lr_alt = f"The LR face within the receptive field of the position at {where}; the rest is grey"
    figures = [
        picture_html(shown, heat_alt, "white: receptive field; orange: 90 % of the gradient energy", 384, grid),
        picture_html(seen * lr[0].cpu() + (1 - seen) * 0.6, lr_alt, "what the stream can see from there", 192),
        _table(values, where),
    ]
    return row_html(figures)


def _frame(picture: Tensor, square: tuple[slice, slice], step: int, colour: tuple[float, float, float]) -> None:
    """Draws the border of a square of positions into (3, h, w), two pixels wide, inside it."""
    top, bottom, left, right = (step * edge for part in square for edge in (part.start, part.stop))
    ink = torch.tensor(colour)[:, None, None]
    for rows, columns in (
        (slice(top, top + 2), slice(left, right)),
        (slice(bottom - 2, bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + 2)),
        (slice(top, bottom), slice(right - 2, right)),
    ):
        picture[:, rows, columns] = ink


def _table(values: dict[str, float], where: str) -> str:
    lines = [
        ("the position that looks", where),
        ("receptive field", f"{values['theory']:g} × {values['theory']:g} LR pixels"),
        ("it covers", f"{values['theory_share']:.1%} of the face"),
        ("90 % of the gradient energy", f"{values['effective']:g} × {values['effective']:g} LR pixels"),
        ("they cover", f"{values['effective_share']:.1%} of the face"),
        ("in the position itself", f"{values['centre']:.1%} of the energy"),
        ("parameters of the stream", f"{values['parameters']:,}"),
        ("multiply-adds for this face", f"{values['multiply_adds'] / 1e6:,.1f} million"),
    ]
    rows = "".join(f'<tr><td>{name}</td><td style="text-align:right">{value}</td></tr>' for name, value in lines)
    return f'<table style="align-self:flex-start">{rows}</table>'
