"""Does the cost grow with the work and no faster: batches, pictures, folders? And does the network wait for files?

    OMP_NUM_THREADS=2 python benchmarks/scaling.py    # writes scaling.csv; on a quiet machine, some minutes

`of linear` is the time for one unit of work (an LR pixel, a face), divided by that of the middle row of its kind. For
folders up to 1,000, `restore` takes turns with the network alone: the same faces, decoded before, in the same batches,
as many at once, with nothing encoded. Memory is read from /proc: on Linux only.
"""

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timing import seconds, seconds_of, write_table

from elsface_lite.data.degradation import downscale
from elsface_lite.data.images import write_png
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.inference.optimize import optimize
from elsface_lite.inference.restore import restore
from elsface_lite.network.weights import load_pretrained

BATCHES, SIDES, FOLDERS = (1, 2, 4, 8, 16, 32), (16, 32, 64, 128), (10, 100, 1000, 10_000)
# A process of its own for every folder, since the peak of its memory is asked for; the first face is not counted.
RESTORE = """
import re, sys, time
from pathlib import Path
from elsface_lite import load_pretrained, optimize, restore
model, lr, out = optimize(load_pretrained("lite-x4")), *sys.argv[1:]
restore(next(Path(lr).iterdir()), weights=model, lr=True)
started = time.perf_counter()
restore(lr, weights=model, lr=True, out=out)
print(time.perf_counter() - started)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@torch.inference_mode()
def sizes() -> list[dict[str, Any]]:
    """Batches of 32x32, and single faces of other sizes."""
    model = optimize(load_pretrained("lite-x4"))
    shapes = {("batch", batch): (batch, 3, 32, 32) for batch in BATCHES}
    shapes |= {("side of LR", side): (1, 3, side, side) for side in SIDES}
    times = seconds({shape: partial(model, torch.rand(shape)) for shape in shapes.values()}, rounds=15)
    pixels = {key: shape[0] * shape[2] * shape[3] for key, shape in shapes.items()}
    middle = {"batch": ("batch", 8), "side of LR": ("side of LR", 32)}
    unit = {key: times[shape] / pixels[key] for key, shape in shapes.items()}
    return [
        {"grows": key[0], "work": key[1], "seconds": times[shapes[key]], "of linear": unit[key] / unit[middle[key[0]]]}
        for key in shapes
    ]


def restored(folder: str) -> tuple[float, float]:
    """Seconds that `restore` takes for the LR faces of a folder, and the peak of its process's memory in MiB."""
    words = [sys.executable, "-c", RESTORE, f"{folder}/lr", f"{folder}/sr"]
    passed, peak = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(passed), int(peak) / 2**10


def folders() -> list[dict[str, Any]]:
    """`restore` on folders of LR faces: time, that of the network alone on as many, and memory."""
    lr = downscale(load_faces(orl_faces().paths[:100], 128, enlarge=True).float() / 255, 4)
    model = optimize(load_pretrained("lite-x4"))

    def network(count: int) -> None:
        restore([lr[number % 100] for number in range(count)], weights=model, lr=True)

    rows = []
    for count in FOLDERS:
        runs, alone = [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                write_png(lr[number % 100], Path(folder, "lr", f"{number:05d}.png"))
            for _ in range(2 if count < FOLDERS[-1] else 1):
                runs.append(restored(folder))
                alone += [seconds_of(partial(network, count))] if count < FOLDERS[-1] else []
        passed = statistics.median(seconds for seconds, _ in runs)
        row = {"grows": "folder", "work": count, "seconds": passed, "peak memory, MiB": max(peak for _, peak in runs)}
        rows.append(row | ({"of the network alone": passed / statistics.median(alone)} if alone else {}))
    unit = {row["work"]: row["seconds"] / row["work"] for row in rows}
    return [row | {"of linear": unit[row["work"]] / unit[1000]} for row in rows]


def main() -> None:
    rows = sizes() + folders()
    columns = dict.fromkeys((column for row in rows for column in row), "")
    write_table(__file__, [columns | row for row in rows], torch.get_num_threads())


if __name__ == "__main__":
    main()
