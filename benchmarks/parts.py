"""Where does the time of one face go: which part of the network takes how much, and how much arithmetic is that?

    OMP_NUM_THREADS=2 python benchmarks/parts.py    # writes parts.csv; on a quiet machine

A part is timed by hooks around it, while the whole network runs; `rest` is what happens between the parts.
"""

import statistics
import time
from collections import defaultdict
from typing import Any

import torch
from timing import write_table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from elsface_lite.inference.optimize import optimize
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained

PARTS = ("prepare", "cnn", "transformer", "hfebs", "upsample")
ROUNDS, WARM_UP = 30, 3


def watch(model: nn.Module) -> dict[str, list[float]]:
    """Lists that get the seconds of each pass through each part."""
    times: dict[str, list[float]] = defaultdict(list)
    started: dict[str, float] = {}
    for name in PARTS:
        part = model.get_submodule(name)
        # The first hook of a part starts its clock, before what `optimize` has hung there; its last one stops it.
        part.register_forward_pre_hook(lambda *_, name=name: started.update({name: time.perf_counter()}), prepend=True)
        part.register_forward_hook(lambda *_, name=name: times[name].append(time.perf_counter() - started[name]))
    return times


def gmac(model: nn.Module, lr: torch.Tensor) -> dict[str, float]:
    """Multiply-adds of each part and of all, in 1e9."""
    with FlopCounterMode(display=False) as counter:
        model(lr)
    counts = {name: sum(flops.values()) / 2e9 for name, flops in counter.get_flop_counts().items()}
    kind = type(model).__name__
    return {"all": counts["Global"]} | {name: counts.get(f"{kind}.{name}", 0.0) for name in PARTS}


@torch.inference_mode()
def rows_of(name: str, model: ELSFace, dtype: torch.dtype) -> list[dict[str, Any]]:
    """One row for each part, and for the whole."""
    lr = torch.rand(1, 3, 128 // model.config.scale, 128 // model.config.scale)
    work = gmac(model, lr)
    fast = optimize(model, dtype)
    times = watch(fast)
    for _ in range(WARM_UP + ROUNDS):
        started = time.perf_counter()
        fast(lr)
        times["all"].append(time.perf_counter() - started)
    medians = {part: 1000 * statistics.median(values[WARM_UP:]) for part, values in times.items()}
    rest = {"rest": medians["all"] - sum(medians[part] for part in PARTS)}
    return [
        {"network": name, "precision": str(dtype)[6:], "part": part, "milliseconds": milliseconds}
        | {"share": milliseconds / medians["all"], "gmac": work.get(part, 0.0)}
        for part, milliseconds in (medians | rest).items()
    ]


def main() -> None:
    torch.manual_seed(0)
    networks = {"paper": ELSFace(ELSFaceConfig.paper()).eval()}
    networks |= {name: load_pretrained(name) for name in ("lite-x4", "lite-x8")}
    precisions = (torch.float32, torch.bfloat16)
    rows = [row for name, model in networks.items() for dtype in precisions for row in rows_of(name, model, dtype)]
    write_table(__file__, rows, torch.get_num_threads())


if __name__ == "__main__":
    main()
