"""Measures the page in Chromium on one thread, and prints the table of docs/web.md.

    python web/measure.py build/docs/web

The astronaut of scikit-image is shrunk until her face is so wide. Seconds
are of processor time, of all processes of the browser: other work on the machine disturbs them less than a clock.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import psutil
from browsers import chromium, served

from elsface_lite import write_png
from elsface_lite.data.degradation import resize
from elsface_lite.data.sources import portraits
from elsface_lite.inference.device import machine

SIDES = (32, 64, 96, 128)
FACE = 158.5  # pixels of the face in the photograph


def processor_seconds() -> float:
    """Of the browser and all that it has started."""
    used = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(times.user + times.system for times in used)


def measure(folder: Path) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with served(folder) as address, chromium() as browser, tempfile.TemporaryDirectory() as pictures:
        page = browser.new_page(reduced_motion="reduce")  # without a graphics card, animations cost seconds
        started = processor_seconds()
        page.goto(f"{address}?runtime=wasm")
        page.locator("body[data-runtime]").wait_for(timeout=600_000)
        print(f"{machine()}; one thread; {browser.version}")
        print(f"loading: {processor_seconds() - started:.1f} s\n\n| face, pixels wide | seconds |\n|---|---|")
        for side in (SIDES[0], *SIDES):  # the first once more: what comes first is compiled
            photograph = portraits()["astronaut"]
            height, width = (round(side / FACE * whole) for whole in photograph.shape[-2:])
            path = Path(pictures, f"{side}.png")
            write_png(resize(photograph, height, width), path)
            started = processor_seconds()
            page.set_input_files("#file", path)
            page.locator("#status", has_text="restored in").wait_for(timeout=600_000)
            print(f"| {side} | {processor_seconds() - started:.1f} |")


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
