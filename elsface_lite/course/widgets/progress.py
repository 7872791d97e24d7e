"""The widget of chapter 06 that shows one face through a training."""

import os
from functools import lru_cache
from pathlib import Path

import ipywidgets
from torch import Tensor

from ...data.images import read_image
from ...errors import ElsfaceError
from ..plots import COLORS
from .live import WIDE, Panel, Picture
from .panels import HEIGHT, PALE, WIDTH, Points, draw_panel
from .pictures import img_html, picture_html, row_html

# A sample sheet of a run (torchvision's make_grid): four pictures a row, two white pixels around each.
SHEET = ("LR", "bicubic", "SR", "HR")
PADDING = 2


def progress_slider(run: str | os.PathLike[str]) -> ipywidgets.VBox:
    """One validation face through a run: restored at each validation, between bicubic and HR.

    Args:
        run: the folder of a run; reads the sheets that it saved in samples/ at each validation.

    Returns:
        A box whose `controls` are the slider `step` and, for another face, the menu `face`; whose `picture` is the
        HTML that shows LR, bicubic, SR at that step and HR, and a curve of all steps; and whose `psnr` maps each step
        to the PSNR in dB of the shown face.

    Raises:
        ElsfaceError: the run has saved no sheet yet, or one is not of a run.
    """
    folder = Path(run) / "samples"
    sheets = {int(file.stem): _cut(file) for file in sorted(folder.glob("*.png")) if file.stem.isdigit()}
    if not sheets:
        raise ElsfaceError(f"{folder} holds no sheet of samples: the run has to validate at least once.")
    steps, faces = list(sheets), range(min(len(sheet) for sheet in sheets.values()))
    controls = {
        "step": ipywidgets.SelectionSlider(options=steps, description="step", **WIDE),
        "face": ipywidgets.Dropdown(options=[(f"face {i + 1}", i) for i in faces], description="face"),
    }
    box = Panel()
    box.controls, box.picture = controls, Picture()
    figure = lru_cache(maxsize=256)(lambda name, step, face: _figure(name, sheets[step][face], step))

    def draw(change: object = None) -> None:
        step, face = controls["step"].value, controls["face"].value
        box.psnr = {at: _psnr(sheet[face, SHEET.index("SR")], sheet[face, -1]) for at, sheet in sheets.items()}
        # Only SR changes with the step: the others are drawn once a face.
        figures = [figure(name, step if name == "SR" else steps[0], face) for name in SHEET]
        before = _psnr(*sheets[step][face, [SHEET.index("bicubic"), -1]])
        box.picture.value = row_html([*figures, _progress_html(step, box.psnr, before)])

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [ipywidgets.HBox([controls["step"], controls["face"]]), box.picture]
    return box


def _cut(file: Path) -> Tensor:
    """A sheet of samples in pieces: (faces, 4, 3, h, w), in the order of SHEET."""
    sheet = read_image(file)[:, PADDING:, PADDING:]
    side = sheet.shape[-1] // len(SHEET)
    if sheet.shape[-1] % len(SHEET) or side <= PADDING or sheet.shape[-2] % side:
        raise ElsfaceError(f"{file} is no sheet of samples: four square pictures in a row are expected.")
    rows = sheet.unfold(1, side - PADDING, side).unfold(2, side - PADDING, side)  # (3, faces, 4, h, w)
    return rows.permute(1, 2, 0, 3, 4).contiguous()


def _psnr(sr: Tensor, hr: Tensor) -> float:
    return -10 * (sr - hr).square().mean().clamp(min=1e-10).log10().item()


def _figure(name: str, pictures: Tensor, step: int) -> str:
    """One of the four pictures of a face, (4, 3, h, w), with its PSNR."""
    image = pictures[SHEET.index(name)]
    alt, caption = {
        "LR": ("The LR face, each pixel a square", "LR, in squares"),
        "bicubic": ("The face, enlarged by bicubic", "bicubic"),
        "SR": (f"The face restored by the weights of step {step}", f"step {step}"),
        "HR": ("The HR face, as it is", "HR"),
    }[name]
    if name in ("bicubic", "SR"):
        caption += f", {_psnr(image, pictures[-1]):.2f} dB"
    return picture_html(image, alt, caption)


def _progress_html(step: int, psnr: dict[int, float], bicubic: float) -> str:
    """The PSNR of one face against the step, with the shown step marked."""
    curve: Points = list(psnr.items())
    curves: list[tuple[Points, str, float]] = [(curve, PALE, 2), ([(step, psnr[step])], COLORS["sr"], 2)]
    panel = draw_panel("PSNR of this face, dB", curves, bicubic, dots=True)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect {size} fill="white"/>{panel}</svg>'
    )
    ends = " and ".join(f"{value:.2f} dB at step {at}" for at, value in (curve[0], curve[-1]))
    alt = f"PSNR of the face through training: {ends}"
    return img_html("svg+xml", svg.encode(), alt, f"{len(curve)} validations, dark: step {step}", WIDTH)
