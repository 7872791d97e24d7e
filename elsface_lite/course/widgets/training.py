"""The widget of chapter 06 that shows the curves of a run, live or from its log."""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import ipywidgets

from ...errors import ElsfaceError
from ..plots import COLORS
from .live import Picture
from .panels import HEIGHT, PALE, WIDTH, Points, draw_panel
from .pictures import img_html

Record = dict[str, float]
CAPTION = {
    "step": "step {:.0f}",
    "loss": "loss {:.4f}",
    "psnr": "PSNR {:.2f} dB",
    "ssim": "SSIM {:.3f}",
    "images_per_second": "{:.1f} faces a second",
}


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
    controls = {
        "smooth": ipywidgets.SelectionSlider(options=[1, 3, 5, 10, 25, 50], description="smooth"),
        "start": ipywidgets.FloatSlider(value=0, min=0, max=0.9, step=0.05, description="leave out"),
    }
    box = ipywidgets.VBox()
    box.controls, box.picture = controls, Picture()
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
        draw_panel("loss", [(loss, PALE, 1.2), (averaged, COLORS["sr"], 2)]),
        draw_panel("PSNR of validation faces, dB", [(psnr, COLORS["sr"], 2)], line=bicubic, dots=True),
        draw_panel("learning rate", [(rate, COLORS["other"], 2)], linear=True),
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
