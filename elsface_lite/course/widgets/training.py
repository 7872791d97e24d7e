"""The widgets of chapter 06: the curves of a run, live or from its log, and one face's progress through it."""

import csv
import html
import math
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import ipywidgets
from torch import Tensor

from ..errors import ElsfaceError
from ..images import read_image
from ..plots import COLORS
from .pictures import img_html, picture_html, row_html

Record = dict[str, float]
Points = list[tuple[float, float]]
# A sample sheet of a run (torchvision's make_grid): four pictures a row, two white pixels around each.
SHEET = ("LR", "bicubic", "SR", "HR")
PADDING = 2
PALE = "#9ecae1"
SPREAD = 4.0  # where the largest value is this many times the smallest, an axis is logarithmic
CAPTION = {
    "step": "step {:.0f}",
    "loss": "loss {:.4f}",
    "psnr": "PSNR {:.2f} dB",
    "ssim": "SSIM {:.3f}",
    "images_per_second": "{:.1f} faces a second",
}
DRAWN = 400  # points of a curve: more do not show in a panel this wide
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 290, 220, 52, 20, 34, 40


def training_curves(log: str | os.PathLike[str] | None = None, bicubic: float | None = None) -> ipywidgets.VBox:
    """Loss, PSNR of the validation faces and learning rate against the step, redrawn at each record.

    Give `curves.report` to `Run.train(report=...)` for a live plot. A record of an earlier step than the last one
    (a resumed run does some steps again) takes the place of what was there from that step on.

    Args:
        log: the log.csv of a run, finished or not; None starts empty.
        bicubic: PSNR of bicubic enlargement on the same faces in dB, drawn as a line.

    Returns:
        A box whose `controls` are the sliders `smooth` (records that a mean of the loss takes together) and `start`
        (share of the steps left out at the beginning); whose `picture` is the HTML with the three curves; whose
        `report` takes a record (`step` and any of `loss`, `psnr`, `learning_rate`); and whose `records` are all of
        them, in order.

    Raises:
        ElsfaceError: the log cannot be read, or is no log of a run.
    """
    slow = {"continuous_update": False}
    controls = {
        "smooth": ipywidgets.SelectionSlider(options=[1, 3, 5, 10, 25, 50], description="smooth", **slow),
        "start": ipywidgets.FloatSlider(value=0, min=0, max=0.9, step=0.05, description="leave out", **slow),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, ipywidgets.HTML()
    box.records = [] if log is None else _read_log(Path(log))

    def draw(change: object = None) -> None:
        box.picture.value = _curves_html(box.records, controls["smooth"].value, controls["start"].value, bicubic)

    def report(record: Record) -> None:
        while box.records and box.records[-1]["step"] >= record["step"]:
            box.records.pop()
        box.records.append(dict(record))
        draw()

    box.report = report
    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    box.children = [ipywidgets.HBox(list(controls.values())), box.picture]
    return box


def _read_log(file: Path) -> list[Record]:
    """The rows of a log.csv as records; empty cells are left out, and so is a last row that is half written."""
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            reader = csv.DictReader(rows, restval="")
            records = [{name: _number(text) for name, text in row.items() if name and text} for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ElsfaceError(f"cannot read the log {file}: {error}.") from error
    if "step" not in columns:
        raise ElsfaceError(f"{file} is no log of a run: it has no column `step`.")
    return [record for record in records if math.isfinite(record.get("step", math.nan))]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _curves_html(records: Sequence[Record], smooth: int, start: float, bicubic: float | None) -> str:
    first = start * records[-1]["step"] if records else 0
    rows = [record for record in records if record["step"] >= first]
    loss, psnr, rate = (_points(rows, name) for name in ("loss", "psnr", "learning_rate"))
    averaged = _smoothed(loss, smooth)
    panels = [
        _panel("loss", [(loss, PALE, 1.2), (averaged, COLORS["sr"], 2)]),
        _panel("PSNR of validation faces, dB", [(psnr, COLORS["sr"], 2)], line=bicubic, dots=True),
        _panel("learning rate", [(rate, COLORS["other"], 2)], linear=True),
    ]
    parts = [f'<g transform="translate({i * WIDTH} 0)">{panel}</g>' for i, panel in enumerate(panels)]
    size = f'width="{3 * WIDTH}" height="{HEIGHT}" viewBox="0 0 {3 * WIDTH} {HEIGHT}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect width="{3 * WIDTH}" height="{HEIGHT}" fill="white"/>{"".join(parts)}</svg>'
    )
    return img_html("svg+xml", svg.encode(), _words(loss, psnr, rate, bicubic), _caption(records), 3 * WIDTH)


def _points(records: Sequence[Record], name: str) -> Points:
    """(step, value) of the records that have a finite one."""
    return [(r["step"], r[name]) for r in records if name in r and math.isfinite(r[name])]


def _smoothed(points: Points, count: int) -> Points:
    """Means of up to `count` values, each at the last step of them."""
    values = [value for _, value in points]
    means = [sum(values[max(0, i + 1 - count) : i + 1]) / min(i + 1, count) for i in range(len(values))]
    return [(step, mean) for (step, _), mean in zip(points, means, strict=True)]


def _words(loss: Points, psnr: Points, rate: Points, bicubic: float | None) -> str:
    """The curves in words, for those who cannot see them."""
    if not loss:
        return "Training curves: no record yet to draw"
    words = [f"Training curves to step {loss[-1][0]:.0f}: loss from {loss[0][1]:.4f} to {loss[-1][1]:.4f}"]
    if psnr:
        words.append(f"validation PSNR from {psnr[0][1]:.2f} to {psnr[-1][1]:.2f} dB")
    if bicubic is not None:
        words.append(f"bicubic {bicubic:.2f} dB")
    if rate:
        words.append(f"learning rate up to {max(value for _, value in rate):.2g}, {rate[-1][1]:.2g} at the end")
    return "; ".join(words)


def _caption(records: Sequence[Record]) -> str:
    """Step, loss and PSNR of the last record that has them."""
    if not records:
        return "waiting for the first record"
    last = {name: value for record in records for name, value in record.items()}
    shown = [text.format(last[name]) for name, text in CAPTION.items() if name in last]
    return ", ".join(shown)


def _panel(
    title: str,
    curves: Sequence[tuple[Points, str, float]],
    line: float | None = None,
    dots: bool = False,
    linear: bool = False,
) -> str:
    """One labelled plot of values against steps, WIDTH x HEIGHT, as SVG elements.

    Args:
        title: what is drawn, with its unit.
        curves: points, colour and width of each.
        line: a value to compare with, that of bicubic.
        dots: mark each point, where they are few.
        linear: never a logarithmic axis.
    """
    title = f'<text x="{LEFT}" y="18" font-weight="bold">{html.escape(title)}</text>'
    points = [point for curve, _, _ in curves for point in curve]
    if not points:
        return title + f'<text x="{LEFT}" y="{HEIGHT / 2}">nothing yet</text>'
    values = [value for _, value in points] + ([line] if line is not None else [])
    xs, ys = _ticks(*_ends([step for step, _ in points])), _ticks(*_ends(values))
    curved = not linear and min(values) > 0 and max(values) > SPREAD * min(values)
    if curved:
        ys = _log_ticks(min(values), max(values))
    scaled = math.log10 if curved else float
    low, high, bottom, top = xs[0], xs[-1], scaled(ys[0]), scaled(ys[-1])

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - low) / (high - low)
        up = (scaled(value) - bottom) / (top - bottom)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [title, f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>']
    for value in ys:
        y = place(low, value)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for step in xs:
        x = place(step, ys[0])[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{step:g}</text>')
    if line is not None:
        y, dashes = place(low, line)[1], f'stroke="{COLORS["bicubic"]}" stroke-dasharray="6 4" stroke-width="2"'
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" {dashes}/>')
        words = f'x="{WIDTH - RIGHT}" y="{y - 5:.1f}" text-anchor="end" fill="#8a5f00"'
        parts.append(f"<text {words}>bicubic {line:.2f}</text>")
    for curve, color, width in curves:
        drawn = [place(*point) for point in curve[:: -(-len(curve) // DRAWN)] + curve[-1:]]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{color}" stroke-width="{width}"/>')
        if dots and len(curve) <= 40:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in drawn]
    return "".join(parts)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from the last one below the range to the first one above."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**ten for ten in tens for factor in (1, 2, 5)]
    first = max(i for i, tick in enumerate(ticks) if tick <= low)
    return ticks[first : 1 + min(i for i, tick in enumerate(ticks) if tick >= high)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value, apart from each other."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers around the range, evenly apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step *= max(factor for factor in (1, 2, 5) if (high - low) / (factor * step) >= 2.5)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


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
        "step": ipywidgets.SelectionSlider(options=steps, description="step", layout=ipywidgets.Layout(width="32em")),
        "face": ipywidgets.Dropdown(options=[(f"face {i + 1}", i) for i in faces], description="face"),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, ipywidgets.HTML()
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
    return picture_html(image, alt, caption, 140)


def _progress_html(step: int, psnr: dict[int, float], bicubic: float) -> str:
    """The PSNR of one face against the step, with the shown step marked."""
    curve: Points = list(psnr.items())
    curves: list[tuple[Points, str, float]] = [(curve, PALE, 2), ([(step, psnr[step])], COLORS["sr"], 2)]
    panel = _panel("PSNR of this face, dB", curves, bicubic, dots=True)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect {size} fill="white"/>{panel}</svg>'
    )
    ends = " and ".join(f"{value:.2f} dB at step {at}" for at, value in (curve[0], curve[-1]))
    alt = f"PSNR of the face through training: {ends}"
    return img_html("svg+xml", svg.encode(), alt, f"{len(curve)} validations, dark: step {step}", WIDTH)
