"""What does `import elsface_lite` cost beyond `import torch`, and what does it import that nobody has asked for yet?

    OMP_NUM_THREADS=2 python benchmarks/imports.py    # writes imports.csv

Each import happens in a new process; the processes take turns.
"""

import subprocess
import sys
from functools import partial

import torch
from timing import seconds, write_table

HEAVY = ("matplotlib", "ipywidgets", "skimage", "torchvision", "scipy", "lpips", "torchmetrics", "accelerate", "onnx")


def run(code: str) -> str:
    """What a new Python prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def main() -> None:
    times = seconds({name: partial(run, f"import {name}") for name in ("torch", "elsface_lite")}, rounds=9)
    listed = run(f"import sys, elsface_lite; print(*(name for name in {HEAVY} if name in sys.modules))").strip()
    row = {
        "import torch, s": times["torch"],
        "import elsface_lite, s": times["elsface_lite"],
        "ratio": times["elsface_lite"] / times["torch"],
        "heavy modules imported": listed or "none",
    }
    write_table(__file__, [row], torch.get_num_threads())


if __name__ == "__main__":
    main()
