"""Measures the page in Chromium, on one processor core and on two, and prints the table of docs/web.md.

    python web/measure.py build/docs/web

The astronaut of scikit-image is shrunk until her face is so wide; the first row is the first face after the page was
loaded, while what it runs is still being compiled. Seconds are by the clock, and of processor time of all processes of
the browser, which other work on the machine disturbs less.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import psutil
from browsers import chromium, served

from elsface_lite import write_png
from elsface_lite.data.degradation import resize
from elsface_lite.data.sources import portraits
from elsface_lite.inference.device import machine

SIDES = (32, 32, 64, 96, 128)
CORES = (1, 2)
ALL_CORES = sorted(os.sched_getaffinity(0))
FACE = 158.5  # pixels of the face in the photograph


def now() -> tuple[float, float]:
    """The clock, and the processor time that the browser and all that it has started have used."""
    used = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return time.perf_counter(), sum(times.user + times.system for times in used)


def since(started: tuple[float, float]) -> list[str]:
    return [f"{after - before:.1f}" for before, after in zip(started, now(), strict=True)]


def photograph(side: int, folder: str) -> Path:
    """With a face so wide."""
    whole, path = portraits()["astronaut"], Path(folder, f"{side}.png")
    write_png(resize(whole, *(round(side / FACE * length) for length in whole.shape[-2:])), path)
    return path


def measure(folder: Path, cores: int) -> dict[str, list[str]]:
    """Seconds by the clock and of processor time, of loading and of each face."""
    os.sched_setaffinity(0, ALL_CORES[:cores])
    rows = {}
    with served(folder) as address, chromium() as browser, tempfile.TemporaryDirectory() as pictures:
        page = browser.new_page(reduced_motion="reduce")  # without a graphics card, animations cost seconds
        started = now()
        page.goto(f"{address}?runtime=wasm")
        page.locator("body[data-runtime]").wait_for(timeout=600_000)
        rows["(loading)"] = since(started)
        for number, side in enumerate(SIDES):
            path = photograph(side, pictures)
            started = now()
            page.set_input_files("#file", path)
            page.locator("#status", has_text="restored in").wait_for(timeout=600_000)
            rows[f"{side}, the first" if number == 0 else str(side)] = since(started)
    return rows


def main(folder: Path) -> None:
    columns = [measure(folder, cores) for cores in CORES]
    heads = [f"{what}, {cores} core{'s' * (cores > 1)}" for cores in CORES for what in ("seconds", "processor")]
    print(f"{machine()}\n\n| face, pixels wide | {' | '.join(heads)} |\n|{'---|' * (1 + len(heads))}")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(value for column in columns for value in column[name])} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
