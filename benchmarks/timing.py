"""How this folder measures: everything that is compared takes turns in one process, and medians are compared."""

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from elsface_lite.files import whole_file
from elsface_lite.inference.device import machine

# Threads of PyTorch and of ONNX Runtime look for work for some milliseconds after a call, and keep others from a core.
IDLE = 0.1  # s
LEAST = 0.1  # s; what is faster is called so often in a row


def seconds(functions: dict[Any, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[Any, float]:
    """Median wall-clock time of each function.

    Args:
        functions: what to time. They take turns, so that a slow moment of the machine meets all of them.
        rounds: timed calls of each.
        warm_up: calls before that, which do not count: memory is allocated and kernels are chosen then.
    """
    times: dict[Any, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + rounds):
        for name, function in functions.items():
            time.sleep(IDLE)
            function()  # wakes the threads, and brings its data near
            passed = seconds_of(function)
            if turn >= warm_up:
                times[name].append(passed)
    return {name: statistics.median(values) for name, values in times.items()}


def seconds_of(function: Callable[[], Any]) -> float:
    """Mean wall-clock time of the calls of a function that fit into `LEAST`, and of one at least."""
    started, calls, passed = time.perf_counter(), 0, 0.0
    while passed < LEAST:
        function()
        calls += 1
        passed = time.perf_counter() - started
    return passed / calls


def write_table(program: str, rows: Sequence[dict[str, Any]], threads: int) -> None:
    """Prints the rows, and writes them beside the program as CSV, with threads and machine: whole or not at all."""
    named = [row | {"threads": threads, "machine": machine()} for row in rows]
    for row in rows:
        print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    path = Path(program).with_suffix(".csv")
    write_rows(path, named)
    print(f"{path.name}: {threads} threads, {machine()}")


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows as CSV, numbers with four digits."""
    with whole_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
