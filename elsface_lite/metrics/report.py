"""An evaluation as a table, CSV, JSON and a contact sheet."""

import csv
import json
import math
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import __version__
from ..data.degradation import downscale, upscale
from ..data.images import write_png
from ..errors import ElsfaceError
from ..files import whole_file
from .evaluator import Evaluator, Row
from .pairs import Images

PACKAGES = ("torch", "torchvision", "torchmetrics", "lpips", "numpy", "pillow")
NAMED = 10  # identical pairs that a note names


def render_table(evaluator: Evaluator) -> str:
    """The table as text, and below it the convention of every metric; – stands for what one image does not have."""
    lines = [f"{'metric':<10}{'mean':>10}{'spread':>9}  {'95 % interval':<20}{'N':>6}"]
    for row in evaluator.table():
        metric = evaluator.metrics[row.metric]
        digits = 3 if metric.unit else 4
        spread, interval = "–", "–"
        if row.spread is not None:
            spread, interval = f"{row.spread:.{digits}f}", f"{row.low:.{digits}f} to {row.high:.{digits}f}"
        lines.append(f"{row.metric:<10}{row.mean:>10.{digits}f}{spread:>9}  {interval:<20}{row.n:>6}")
    conventions = {name: ", ".join(filter(None, [m.unit, m.convention])) for name, m in evaluator.metrics.items()}
    return "\n".join([*lines, "", *(f"{name}: {text}" for name, text in conventions.items() if text)])


def notes_on(evaluator: Evaluator, images: Images) -> list[str]:
    """What to know beside the table: lines on files and metrics left out, and on identical pairs, by name."""
    infinite: dict[tuple[str, ...], list[str]] = {}
    for metric, column in _of_images(evaluator).items():
        names = tuple(name for name, value in zip(images.names, column, strict=True) if math.isinf(value))
        if names:
            infinite.setdefault(names, []).append(metric)
    identical = [
        f"{', '.join(metrics)}: infinite, since SR and HR are identical, for {len(names)} of {len(images.names)} "
        f"({', '.join(names[:NAMED])}{', …' * (len(names) > NAMED)})"
        + "; the mean is that of the others"
        * (len(names) < len(images.names))
        for names, metrics in infinite.items()
    ]
    return [*images.notes, *evaluator.notes, *identical]


def _of_images(evaluator: Evaluator) -> dict[str, list[float]]:
    """The metrics that have one value an image, with these values."""
    return {name: column.tolist() for name, column in evaluator.values().items() if name in evaluator.metrics}


def versions() -> dict[str, str]:
    """What was measured with: package -> version."""
    found = {"elsface-lite": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def write_csv(evaluator: Evaluator, path: str | Path) -> None:
    """The table, one line a metric, with unit, convention and versions in every line.

    Raises:
        ElsfaceError: the file cannot be written.
    """
    tools = ", ".join(f"{name} {number}" for name, number in versions().items())
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*Row._fields, "unit", "convention", "versions"])
        for row in evaluator.table():
            metric = evaluator.metrics[row.metric]
            table.writerow([*row, metric.unit, metric.convention, tools])


def write_json(evaluator: Evaluator, images: Images, source: dict[str, Any], path: str | Path) -> None:
    """The table, every image's values, and all that one needs to measure them again.

    Raises:
        ElsfaceError: the file cannot be written.
    """
    values = _of_images(evaluator)
    report = {
        "source": source,
        "versions": versions(),
        "conventions": {name: metric.convention for name, metric in evaluator.metrics.items()},
        "notes": notes_on(evaluator, images),
        "table": [{key: _json(value) for key, value in row._asdict().items()} for row in evaluator.table()],
        "images": [
            {"name": name} | {metric: _json(column[i]) for metric, column in values.items()}
            for i, name in enumerate(images.names)
        ],
    }
    with whole_file(path) as beside:
        beside.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _json(value: Any) -> Any:
    """JSON has no infinity, which is the PSNR of equal images: it becomes the text "inf"."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class Chosen(NamedTuple):
    """A face of the contact sheet: its number, and why it is there."""

    index: int  # type: ignore[assignment]
    label: str


def choose_faces(evaluator: Evaluator) -> list[Chosen]:
    """The best, the median and the worst face, by LPIPS, or without it by the first metric that has one value an image.

    Raises:
        ElsfaceError: no such metric was measured.
    """
    values = _of_images(evaluator)
    if not values:
        raise ElsfaceError("the contact sheet needs a metric with one value a face, such as psnr or lpips.")
    metric = "lpips" if "lpips" in values else next(iter(values))
    better_first = -1 if evaluator.metrics[metric].higher_is_better else 1
    order = sorted(range(len(values[metric])), key=lambda i: better_first * values[metric][i])
    places = {"best": 0, "median": len(order) // 2, "worst": -1}
    return [
        Chosen(order[place], f"{word}, {metric} {values[metric][order[place]]:.4g}") for word, place in places.items()
    ]


def write_sheet(evaluator: Evaluator, pairs: Images, scale: int, path: str | Path) -> None:
    """A contact sheet: best, median and worst face below each other, with LR, bicubic, SR and HR beside each other.

    Args:
        evaluator: after `measure_images`.
        pairs: what was measured, SR with HR.
        scale: of the LR and bicubic columns.
        path: the PNG to write.

    Raises:
        ElsfaceError: the scale does not divide a face, or the file cannot be written.
    """
    rows = []
    for face in choose_faces(evaluator):
        sr, hr = (image[None].cpu() for image in pairs.load([face.index])[0])
        if hr.shape[-2] % scale or hr.shape[-1] % scale:
            raise ElsfaceError(f"scale {scale} does not divide {pairs.names[face.index]}: give another --scale.")
        lr = downscale(hr, scale)
        blocks = lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        rows.append((f"{face.label}: {pairs.names[face.index]}", [blocks, upscale(lr, scale), sr, hr]))
    write_png(_sheet([f"LR (1/{scale})", "bicubic", "SR", "HR"], rows), path)


def _sheet(columns: Sequence[str], rows: Sequence[tuple[str, list[Tensor]]]) -> Tensor:
    """Images (1, 3, h, w) in a grid on white, columns and rows labelled: (3, height, width) in [0, 1]."""
    import numpy as np
    from PIL import Image, ImageDraw

    gap, line = 4, 14
    width = max(images[0].shape[-1] for _, images in rows) + gap
    heights = [images[0].shape[-2] + line + gap for _, images in rows]
    page = Image.new("RGB", (max(4 * width, 320) + gap, sum(heights) + line + gap), "white")
    draw = ImageDraw.Draw(page)
    for i, column in enumerate(columns):
        draw.text((gap + i * width, 2), column, fill="black")
    top = line + gap
    for (label, images), height in zip(rows, heights, strict=True):
        draw.text((gap, top), label.encode("ascii", "replace").decode(), fill="black")
        for i, image in enumerate(images):
            pixels = (255 * image[0]).round().to(torch.uint8).permute(1, 2, 0).numpy()
            page.paste(Image.fromarray(np.ascontiguousarray(pixels)), (gap + i * width, top + line))
        top += height
    return torch.from_numpy(np.array(page)).permute(2, 0, 1) / 255
