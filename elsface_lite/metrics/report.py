"""`elsface-lite evaluate`: restored faces against the true ones, as a table, CSV, JSON and a contact sheet."""

import argparse
import csv
import json
import math
import platform
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .data import FacePairs, split_by_person
from .degradation import downscale, upscale
from .errors import ElsfaceError
from .files import whole_file
from .images import find_images, is_folder, read_image, write_png
from .metrics import DEFAULT_METRICS, IMAGE_METRICS, SET_METRICS, Evaluator, Row
from .sources import people_of

PACKAGES = ("torch", "torchvision", "torchmetrics", "lpips", "numpy", "pillow")
BATCH = 16


class Pairs(Protocol):
    """What is evaluated: SR and HR images by number, and what there is to say about them."""

    names: list[str]
    notes: list[str]

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The SR and HR image of each index, (3, h, w) each."""


class FolderPairs:
    """SR and HR files of two folders, paired by their stems ("0001.png" with "0001.jpg").

    Args:
        sr, hr: the folders, searched with all below them.

    Raises:
        ElsfaceError: a folder without images, a stem twice in one folder, no pair, a file that is not readable, or a
            pair of two sizes.
    """

    def __init__(self, sr: str | Path, hr: str | Path) -> None:
        sr_files, hr_files = by_stem(sr), by_stem(hr)
        paired = sr_files.keys() & hr_files.keys()
        if not paired:
            raise ElsfaceError(f"no file of {sr} has the stem of a file of {hr}: name them alike, as 1.png and 1.jpg.")
        self.names = sorted(paired)
        self.files = [(sr_files[name], hr_files[name]) for name in self.names]
        alone = [files[stem].as_posix() for files in (sr_files, hr_files) for stem in sorted(files.keys() - paired)]
        self.notes = [f"without a partner, left out: {name}" for name in alone]
        if any(file.suffix.lower() in (".jpg", ".jpeg") for file, _ in self.files):
            self.notes.append("SR was measured from JPEG files, which changes every value: save PNG instead.")
        for index in range(len(self.names)):  # before the work of minutes begins, not in its midst
            self._check(*self.load([index])[0], self.names[index])

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        return [(read_image(self.files[i][0]), read_image(self.files[i][1])) for i in indices]

    @staticmethod
    def _check(sr: Tensor, hr: Tensor, name: str) -> None:
        if sr.shape != hr.shape:
            (sr_height, sr_width), (height, width) = sr.shape[-2:], hr.shape[-2:]
            raise ElsfaceError(
                f"{name}: SR is {sr_width}x{sr_height} pixels and HR {width}x{height}; they must be of one size."
            )


class RestoredFaces:
    """HR faces, and what a network makes of their LR faces.

    Args:
        network: (b, 3, h, w) LR to (b, 3, scale h, scale w); its output is clamped to [0, 1].
        faces: picture files, cropped to the centre and brought to 128x128.
        scale: LR pixels are this many HR pixels wide.
    """

    def __init__(self, network: nn.Module, faces: Sequence[Path], scale: int) -> None:
        self.pairs = FacePairs(faces, scale)
        self.names = [Path(path).stem for path in self.pairs.paths]
        self.notes: list[str] = []
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.eval().to(self.device)

    @torch.no_grad()
    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        lr, hr = (torch.stack(images).to(self.device) for images in zip(*(self.pairs[i] for i in indices), strict=True))
        return list(zip(self.network(lr).clamp(0, 1), hr, strict=True))


class Bicubic(nn.Module):
    """The baseline, where a network is expected."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return upscale(lr, self.scale)


def by_stem(folder: str | Path) -> dict[str, Path]:
    """The images of a folder by stem.

    Raises:
        ElsfaceError: it has none, or two of one stem.
    """
    if not is_folder(folder):
        raise ElsfaceError(f"there is no folder {folder}: give a folder of pictures.")
    files: dict[str, Path] = {}
    for file in find_images([folder]):
        if other := files.get(file.stem):
            raise ElsfaceError(f"{other} and {file} have one stem, so their partner is not clear: rename one.")
        files[file.stem] = file
    return files


def load_network(name: str, scale: int) -> nn.Module:
    """The shipped weights of this name, or "bicubic" for the baseline.

    Raises:
        ElsfaceError: there are no such weights, or they are for another scale.
    """
    if name == "bicubic":
        return Bicubic(scale)
    from .weights import load_pretrained

    network = load_pretrained(name)
    if network.config.scale != scale:
        raise ElsfaceError(
            f"{name} enlarges x{network.config.scale}, not x{scale}: say --scale {network.config.scale}."
        )
    return network


def measure_pairs(pairs: Pairs, metrics: Sequence[str]) -> Evaluator:
    """Runs every metric over every pair, with a progress bar on stderr."""
    from tqdm import tqdm

    evaluator = Evaluator(metrics)
    with tqdm(total=len(pairs.names), unit=" faces", leave=False) as progress:
        for start in range(0, len(pairs.names), BATCH):
            images = pairs.load(range(start, min(start + BATCH, len(pairs.names))))
            for _, group in groupby(images, key=lambda pair: pair[0].shape):  # a batch has one size
                sr, hr = zip(*group, strict=True)
                evaluator.update(torch.stack(sr), torch.stack(hr))
                progress.update(len(sr))
    return evaluator


def render_table(rows: Sequence[Row]) -> str:
    """The table as text, with the convention of every metric."""
    known = IMAGE_METRICS | SET_METRICS
    lines = [f"{'metric':<10}{'mean':>10}{'spread':>9}  {'95 % interval':<20}{'N':>6}  convention"]
    for row in rows:
        digits = 3 if known[row.metric].unit else 4
        spread, interval = "-", "-"
        if row.spread is not None:
            spread, interval = f"{row.spread:.{digits}f}", f"{row.low:.{digits}f} to {row.high:.{digits}f}"
        text = f"{row.metric:<10}{row.mean:>10.{digits}f}{spread:>9}  {interval:<20}{row.n:>6}  "
        lines.append(text + ", ".join(filter(None, [known[row.metric].unit, known[row.metric].convention])))
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """What was measured with: package -> version."""
    from . import __version__

    own = {"elsface-lite": __version__, "python": platform.python_version()}
    return own | {package: version(package) for package in PACKAGES}


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """The table, one line a metric, with unit, convention and versions in every line.

    Raises:
        ElsfaceError: the file cannot be written.
    """
    known = IMAGE_METRICS | SET_METRICS
    tools = ", ".join(f"{name} {number}" for name, number in versions().items())
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*Row._fields, "unit", "convention", "versions"])
        table.writerows([*row, known[row.metric].unit, known[row.metric].convention, tools] for row in rows)


def write_json(evaluator: Evaluator, pairs: Pairs, source: dict[str, Any], path: str | Path) -> None:
    """The table, every image's values, and all that one needs to measure them again.

    Raises:
        ElsfaceError: the file cannot be written.
    """
    known = IMAGE_METRICS | SET_METRICS
    values = {name: column.tolist() for name, column in evaluator.values().items() if name in IMAGE_METRICS}
    images = [
        {"name": name} | {metric: _json(column[i]) for metric, column in values.items()}
        for i, name in enumerate(pairs.names)
    ]
    report = {
        "source": source,
        "versions": versions(),
        "conventions": {name: known[name].convention for name in evaluator.metrics},
        "notes": pairs.notes,
        "table": [{key: _json(value) for key, value in row._asdict().items()} for row in evaluator.table()],
        "images": images,
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
    values = {name: column for name, column in evaluator.values().items() if name in IMAGE_METRICS}
    if not values:
        raise ElsfaceError("the contact sheet needs a metric with one value a face, such as psnr or lpips.")
    metric = "lpips" if "lpips" in values else next(iter(values))
    order = values[metric].argsort(descending=IMAGE_METRICS[metric].higher_is_better, stable=True).tolist()
    places = {"best": 0, "median": len(order) // 2, "worst": -1}
    return [
        Chosen(order[place], f"{word}, {metric} {values[metric][order[place]]:.4g}") for word, place in places.items()
    ]


def write_sheet(evaluator: Evaluator, pairs: Pairs, scale: int, path: str | Path) -> None:
    """A contact sheet: best, median and worst face below each other, with LR, bicubic, SR and HR beside each other.

    Args:
        evaluator, pairs: after `measure_pairs`.
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


def sources(arguments: argparse.Namespace) -> tuple[Pairs, dict[str, Any]]:
    """What the command line asks to evaluate, and its description for the report.

    Raises:
        ElsfaceError: neither of the two forms is complete, or parts of both are given.
    """
    given = {name for name in ("sr", "hr", "weights", "faces") if getattr(arguments, name) is not None}
    if given == {"sr", "hr"}:
        return FolderPairs(arguments.sr, arguments.hr), {"sr": str(arguments.sr), "hr": str(arguments.hr)}
    if given == {"weights", "faces"}:
        network = load_network(arguments.weights, arguments.scale)
        source = {"weights": arguments.weights, "faces": str(arguments.faces), "scale": arguments.scale}
        faces = find_images([arguments.faces])
        if arguments.people:
            source["held_out"] = arguments.held_out
            _, held_out = split_by_person(people_of(faces, arguments.people), arguments.held_out, seed=0)
            faces = [faces[i] for i in held_out]
        return RestoredFaces(network, faces, arguments.scale), source
    raise ElsfaceError("give --sr DIR and --hr DIR, or --weights NAME and --faces DIR.")


def evaluate_command(arguments: argparse.Namespace) -> int:
    """Does what `elsface-lite evaluate` was asked for: 0.

    Raises:
        ElsfaceError: it cannot be done, with the reason.
    """
    Evaluator(arguments.metrics)  # an unknown name is refused before anything is read
    pairs, source = sources(arguments)
    evaluator = measure_pairs(pairs, arguments.metrics)
    print(render_table(evaluator.table()))
    print(*pairs.notes, sep="\n", end="\n" if pairs.notes else "")
    if arguments.csv:
        write_csv(evaluator.table(), arguments.csv)
    if arguments.json:
        write_json(evaluator, pairs, source, arguments.json)
    if arguments.sheet:
        write_sheet(evaluator, pairs, arguments.scale, arguments.sheet)
    return 0


def add_evaluate_command(subparsers: Any) -> None:
    """Adds `evaluate` to the subcommands of `elsface-lite`.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "evaluate",
        help="measure restored faces against the true ones",
        description="Measures SR against HR faces, as files of two folders (--sr, --hr), or as what a network makes "
        "of the LR versions of HR faces (--weights, --faces).",
    )
    parser.set_defaults(run=evaluate_command)
    option = parser.add_argument
    option("--sr", type=Path, metavar="DIR", help="restored faces, PNG, with the stems of --hr")
    option("--hr", type=Path, metavar="DIR", help="the true faces")
    option("--weights", metavar="NAME", help='shipped weights to restore --faces with, or "bicubic"')
    option("--faces", type=Path, metavar="DIR", help="HR faces, from which LR faces are made")
    option("--people", type=Path, metavar="CSV", help="table (file, identity): only the people that `train` holds out")
    option("--held-out", type=int, default=60, metavar="N", help="how many people those are (default: 60)")
    option("--scale", type=int, default=4, help="of --weights, and of the LR column of --sheet (default: 4)")
    known = ", ".join(IMAGE_METRICS | SET_METRICS)
    option("--metrics", nargs="+", default=DEFAULT_METRICS, metavar="NAME", help=f"of {known}")
    option("--csv", type=Path, metavar="FILE", help="write the table, with conventions and versions")
    option("--json", type=Path, metavar="FILE", help="the same, and the values of every face")
    option("--sheet", type=Path, metavar="FILE", help="write a PNG of the best, the median and the worst face")
