"""Measures what each chapter takes, and writes minutes.csv: `make minutes`, which puts it into minutes.md as well.

Threads are PyTorch's own choice, or OMP_NUM_THREADS.
"""

import csv
import json
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from elsface_lite.files import whole_file
from elsface_lite.inference.device import machine

ROOT = Path(__file__).parent.parent
# Asked of the kernel itself, after the last cell. ru_maxrss is in kilobytes, on macOS in bytes.
QUESTION = """
import json, resource, sys, torch
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({
    "threads": torch.get_num_threads(),
    "processor": sum(usage.ru_utime + usage.ru_stime for usage in (own, children)),
    "peak": max(own.ru_maxrss, children.ru_maxrss) / (2**20 if sys.platform == "darwin" else 2**10),
}))
"""


def measure(path: Path) -> dict[str, str]:
    """Runs a chapter and returns its row of the table."""
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    notebook.cells.append(nbformat.v4.new_code_cell(QUESTION))
    start = time.perf_counter()
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}}).execute()
    seconds = time.perf_counter() - start
    answer = json.loads(notebook.cells[-1].outputs[0].text)
    return {
        "chapter": title,
        "seconds": f"{seconds:.0f}",
        "processor seconds": f"{answer['processor']:.0f}",
        "peak memory, MB": f"{answer['peak']:.0f}",
        "threads": str(answer["threads"]),
        "machine": machine(),
    }


def main() -> None:
    rows = [measure(path) for path in tqdm(sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))]
    with whole_file(ROOT / "docs" / "minutes.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
