"""Draws what the benchmarks have measured, and compares it with what was asked: `python benchmarks/page.py`.

Reads the tables beside it, writes goals.csv and the pictures of README.md, into which docs/tables.py puts the tables.
"""

import csv
import operator
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from timing import write_rows

from elsface_lite.course.plots import COLORS, STYLE
from elsface_lite.files import whole_file
from elsface_lite.network.weights import WEIGHTS, read_card

HERE = Path(__file__).parent
Row = dict[str, str]
PARTS = {
    "prepare": "Feature Preparation", "cnn": "CNN stream", "transformer": "Transformer stream", "hfebs": "HFEBs",
    "upsample": "upsampling", "rest": "rest",
}  # fmt: skip
# Where the names of dots that lie close together stand, in points, and on which side they begin.
NAMES = {
    "ELSFace lite": (-10, -8, "right"),
    "ELSFace lite, symmetric": (-8, 8, "right"),
    "ELSFace, one HFEB": (-4, -36, "left"),
    "ELSFace, two HFEBs": (0, 16, "left"),
    "EDSR-baseline": (9, -4, "left"),
    "EDSR (10 blocks)": (6, -20, "left"),
}
FLOAT32 = ("optimize float32", "torch.compile float32")
BFLOAT16 = ("optimize bfloat16", "torch.compile bfloat16")
EXPORTED = ("ONNX float32", "ONNX int8", "torch.compile float32", "torch.compile bfloat16")
PALETTE = [COLORS["lr"], COLORS["other"], COLORS["bicubic"], COLORS["sr"], "#CC79A7", "#999999"]


@cache
def table(name: str) -> list[Row]:
    """The rows of a table of this folder, or at another place seen from it."""
    with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows(name: str, **wanted: str) -> list[Row]:
    """Those of them that have the wanted values."""
    return [row for row in table(name) if all(row[column] == value for column, value in wanted.items())]


def value(column: str, table_: str, **wanted: str) -> float:
    """A number of the only row with the wanted values."""
    (row,) = rows(table_, **wanted)
    return float(row[column])


def inference(column: str, network: str, form: str, batch: int = 1) -> float:
    return value(column, "inference", network=network, form=form, batch=str(batch))


def fastest(network: str, batch: int, forms: Sequence[str]) -> Row:
    """The fastest of some forms of a network; `torch.compile` is not in every table, as it takes a compiler."""
    found = [row for row in rows("inference", network=network, batch=str(batch)) if row["form"] in forms]
    return min(found, key=lambda row: float(row["milliseconds a face"]))


def goal(question: str, compare: Callable[[float, float], bool], bound: float, *measured: float) -> dict[str, str]:
    """A row of goals.csv."""
    sign = {operator.ge: "at least", operator.le: "at most"}[compare]
    enough = all(compare(number, bound) for number in measured)
    texts = " and ".join(f"{number:.3g}" for number in measured)
    return {"what": question, "asked": f"{sign} {bound:g}", "measured": texts, "": "✓" if enough else "✗"}


def goals_of_paper() -> list[dict[str, str]]:
    """What was asked of the paper's network."""
    float32 = [fastest("paper", batch, FLOAT32) for batch in (1, 8)]
    share, plain = ([float(row[column]) for row in float32] for column in ("share", "times plain"))
    half = [float(fastest("paper", batch, BFLOAT16)["times plain"]) for batch in (1, 8)]
    name = f"paper's network, {' and '.join(dict.fromkeys(row['form'] for row in float32))}, batch 1 and 8"
    return [
        goal(f"{name}: share of the ceiling", operator.ge, 0.75, *share),
        goal("the same, times as fast as plain float32", operator.ge, 1.35, *plain),
        goal("the same in bfloat16, times as fast as plain float32", operator.ge, 2.4, *half),
    ]


def goals_of_lite() -> list[dict[str, str]]:
    """What was asked of lite-x4, batch 1."""
    float32, half = (fastest("lite-x4", 1, forms) for forms in (FLOAT32, BFLOAT16))
    paper = fastest("paper", 1, FLOAT32)
    export = fastest("lite-x4", 1, EXPORTED)
    lost = -inference("dB", "lite-x4", "optimize bfloat16")
    eager = float(export["times eager"])
    times = float(paper["milliseconds a face"]) / float(float32["milliseconds a face"])
    name = f"lite-x4, {float32['form']}, times as fast as the paper's network in"
    return [
        goal(f"lite-x4, {export['form']}, times as fast as eager float32", operator.ge, 1.5, eager),
        goal("the same, PSNR lost in dB", operator.le, 0.05, -float(export["dB"])),
        goal("lite-x4, optimize bfloat16, PSNR lost in dB", operator.le, 0.02, lost),
        goal(f"{name} {paper['form']}", operator.ge, 10, times),
        goal("the same, milliseconds a face", operator.le, 20, float(float32["milliseconds a face"])),
        goal(f"lite-x4, {half['form']}, milliseconds a face", operator.le, 20, float(half["milliseconds a face"])),
    ]


def goals_of_training() -> list[dict[str, str]]:
    """What was asked of a training step of 16 faces."""
    training = {row["form"]: row for row in table("training")}
    times = float(training["trainer bfloat16"]["times plain"])
    plain, ours, frugal = (
        float(training[form]["memory of the step, GiB"])
        for form in ("plain float32", "trainer float32", "trainer float32, recompute")
    )
    return [
        goal("training step of 16, bfloat16, times as fast as plain float32", operator.ge, 2.5, times),
        goal("its memory in float32, of plain", operator.le, 1, ours / plain),
        goal("the same with recompute, of without", operator.le, 0.5, frugal / ours),
    ]


def goals_of_growth() -> list[dict[str, str]]:
    """What was asked of the import, and of the cost as work grows."""
    (imports,) = table("imports")
    found = [goal("import elsface_lite, of import torch", operator.le, 1.2, float(imports["ratio"]))]
    for grows in dict.fromkeys(row["grows"] for row in table("scaling")):
        most = max(float(row["of linear"]) for row in rows("scaling", grows=grows))
        found.append(goal(f"cost as work grows ({grows}), of linear", operator.le, 1.15, most))
    memory = [value("peak memory, MiB", "scaling", grows="folder", work=work) for work in ("10000", "1000")]
    network = value("of the network alone", "scaling", grows="folder", work="1000")
    found.append(goal("memory for a folder of 10,000 faces, of one of 1,000", operator.le, 1.05, memory[0] / memory[1]))
    found.append(goal("restore on 1,000 LR faces, of the network's own time", operator.le, 1.2, network))
    return found


def goals() -> list[dict[str, str]]:
    """What was asked, what was measured, and whether that is enough."""
    return [*goals_of_paper(), *goals_of_lite(), *goals_of_training(), *goals_of_growth()]


def draw_forms() -> Figure:
    """Milliseconds a face of every form of every network, batch 1 and 8."""
    networks = list(dict.fromkeys(row["network"] for row in table("inference")))
    figure, axes = plt.subplots(1, len(networks), figsize=(11, 3.4), layout="constrained")
    for axis, network in zip(axes, networks, strict=True):
        for offset, batch, color in ((-0.2, "1", COLORS["sr"]), (0.2, "8", COLORS["bicubic"])):
            found = rows("inference", network=network, batch=batch)
            places = [place + offset for place in range(len(found))]
            numbers = [float(row["milliseconds a face"]) for row in found]
            bars = axis.barh(places, numbers, 0.36, color=color, label=f"batch {batch}")
            axis.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
        axis.set_yticks(range(len(found)), [row["form"] for row in found])
        axis.invert_yaxis()
        axis.margins(x=0.15)
        axis.set(title=network, xlabel="milliseconds a face")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_parts() -> Figure:
    """Shares of the time and of the arithmetic that the parts of each network have, one face."""
    names = list(dict.fromkeys((row["network"], row["precision"]) for row in table("parts")))
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    labels, bars = [], []
    for network, precision in names:
        found = {row["part"]: row for row in rows("parts", network=network, precision=precision)}
        if precision == "float32":
            labels.append(f"{network}: {float(found['all']['gmac']):.3g} G multiply-adds")
            bars.append({part: float(found[part]["gmac"]) / float(found["all"]["gmac"]) for part in PARTS})
        labels.append(f"{network}, {precision}: {float(found['all']['milliseconds']):.3g} ms")
        bars.append({part: float(found[part]["share"]) for part in PARTS})
    start = [0.0] * len(bars)
    for part, color in zip(PARTS, PALETTE, strict=True):
        shares = [100 * bar[part] for bar in bars]
        axis.barh(labels, shares, 0.75, left=start, color=color, label=PARTS[part], edgecolor="white")
        start = [before + share for before, share in zip(start, shares, strict=True)]
    axis.invert_yaxis()
    axis.set(xlabel="share, %", xlim=(0, 100))
    axis.legend(frameon=False, ncols=6, loc="lower center", bbox_to_anchor=(0.3, 1), fontsize=9)
    return figure


def draw_scaling() -> Figure:
    """Time for one unit of work, of that in the middle of its kind."""
    kinds = {"batch": "LR faces in a batch", "side of LR": "side of the LR face, pixels", "folder": "faces in a folder"}
    figure, axes = plt.subplots(1, len(kinds), figsize=(11, 2.8), sharey=True, layout="constrained")
    for axis, (grows, label) in zip(axes, kinds.items(), strict=True):
        found = rows("scaling", grows=grows)
        work = [int(row["work"]) for row in found]
        axis.axhspan(0, 1.15, color="#EEEEEE")
        axis.plot(work, [float(row["of linear"]) for row in found], "o-", color=COLORS["sr"])
        axis.set_xscale("log", base=10 if grows == "folder" else 2)
        if grows != "folder":
            axis.set_xticks(work, work)
        axis.set(xlabel=label)
    axes[0].set_ylim(0, 1.1 * max(float(row["of linear"]) for row in table("scaling")))
    axes[0].set_ylabel("time a unit, of linear")
    return figure


def draw_quality() -> Figure:
    """PSNR on held-out faces against the time for one, for lite and its peers after equal training."""
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    card = read_card(WEIGHTS / "lite-x4.safetensors")
    for row in table("peers"):
        ours = row["network"].startswith("ELSFace")
        time, psnr = float(row["milliseconds"]), float(row["psnr"])
        axis.scatter(time, psnr, 30 + 40 * float(row["parameters"]) / 1e6, color=COLORS["sr" if ours else "other"])
        x, y, side = NAMES.get(row["network"], (9, -4, "left"))
        axis.annotate(row["network"], (time, psnr), (x, y), textcoords="offset points", ha=side)
    axis.axhline(card["held_out_psnr_bicubic"], color=COLORS["bicubic"], label="bicubic")
    axis.axhline(card["held_out_psnr"], color=COLORS["sr"], linestyle="--", label="lite-x4, as shipped")
    axis.set_xscale("log")
    axis.set_xticks([10, 20, 50, 100, 200], [10, 20, 50, 100, 200])
    axis.set_xlim(9, 300)
    axis.minorticks_off()
    axis.set(xlabel="milliseconds a face, one thread, float32, batch 1", ylabel="PSNR, dB, faces never trained on")
    axis.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.9))
    return figure


def draw_sharpness() -> Figure:
    """What a slider from faithful to sharp changes: four metrics over it, with the intervals that have one."""
    labels = {"psnr": "PSNR, dB", "lpips": "LPIPS-Alex", "fid": "FID", "identity": "identity distance"}
    figure, axes = plt.subplots(1, len(labels), figsize=(11, 2.6), layout="constrained")
    for axis, (metric, label) in zip(axes, labels.items(), strict=True):
        found = rows("../data/sharpness", metric=metric)
        places, means = ([float(row[column]) for row in found] for column in ("sharpness", "mean"))
        axis.plot(places, means, "o-", color=COLORS["sr"])
        if all(row["low"] for row in found):
            ends = [[float(row[end]) for row in found] for end in ("low", "high")]
            axis.fill_between(places, *ends, color=COLORS["sr"], alpha=0.2, linewidth=0)
        axis.set(xlabel="sharpness", ylabel=f"{label}, n = {found[0]['n']}")
    return figure


FIGURES = {"forms": draw_forms, "parts": draw_parts, "scaling": draw_scaling, "quality": draw_quality}
if (HERE / "../data/sharpness.csv").is_file():  # by perception.py, from faces that may not be part of this repository
    FIGURES["sharpness"] = draw_sharpness


def main(folder: Path = HERE) -> None:
    write_rows(folder / "goals.csv", goals())
    # Nothing of the moment in the files: the same tables give the same bytes.
    with mpl.rc_context(STYLE | {"svg.hashsalt": "elsface-lite"}):
        for name, draw in FIGURES.items():
            with whole_file(folder / f"{name}.svg") as beside:
                draw().savefig(beside, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
