"""What does a GPU make of the networks, and how near do they come to what the card can do?

    python benchmarks/gpu.py    # writes gpu.csv; needs one CUDA GPU, of which nothing else makes use

Times of inference are medians by CUDA events, of forms that take turns; a step of training is timed by the clock, with
choosing, shifting and shrinking the faces in it (they are noise, which takes as long). `share` compares arithmetic
with what the card reached in this run in a single convolution of 64 channels at the same precision (3x3 or 5x5, batch
64, whichever is faster). float32 is meant: TF32, which PyTorch allows convolutions by default, has a line of its own.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference import gflop, plain
from timing import write_rows
from torch import Tensor, nn

from elsface_lite.data.cache import FaceArray
from elsface_lite.inference.optimize import optimize
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained, pretrained_names
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.symmetry import MirrorSymmetry
from elsface_lite.training.trainer import Trainer

BATCHES = (1, 8, 64)
LEAST = 0.02  # s of a timed turn
ROUNDS = 7
TRAINED = {"paper": (ELSFaceConfig.paper(), (16, 64)), "lite-x4": (ELSFaceConfig.lite(), (16, 64, 256))}
Row = dict[str, Any]


def milliseconds(functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median time on the card of one call of each function; they take turns."""
    calls, times = {}, {name: [] for name in functions}
    for name, function in functions.items():
        for _ in range(3):
            function()
        calls[name] = max(1, round(1000 * LEAST / _passed(function, 1)))
    for _ in range(ROUNDS):
        for name, function in functions.items():
            times[name].append(_passed(function, calls[name]) / calls[name])
    return {name: statistics.median(values) for name, values in times.items()}


def _passed(function: Callable[[], Any], calls: int) -> float:
    """Milliseconds between two events with so many calls between them."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def allow_tf32(allowed: bool) -> None:
    """Whether float32 convolutions and products may round their inputs to TF32."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def with_tf32(function: Callable[[], Any]) -> Any:
    """Calls a function with TF32 allowed."""
    allow_tf32(True)
    result = function()
    allow_tf32(False)
    return result


def graphed(network: nn.Module, lr: Tensor) -> Callable[[], Any]:
    """One pass as a CUDA graph: the card gets all its kernels by one call."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):  # what is chosen or allocated at the first calls must be so before
        for _ in range(3):
            network(lr)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(lr)
    return graph.replay


@torch.inference_mode()
def ceilings() -> tuple[list[Row], dict[str, float]]:
    """What the card reaches: TFLOP/s of one convolution and of one product, TB/s of a copy; and the former by dtype."""
    rows, rates = [], {}
    for dtype, tf32 in ((torch.float32, False), (torch.float32, True), (torch.bfloat16, False)):
        name = "TF32" if tf32 else str(dtype)[6:]
        functions, work = {}, {}
        for kernel in (3, 5):
            conv = nn.Conv2d(64, 64, kernel, padding=kernel // 2).to("cuda", dtype, memory_format=torch.channels_last)
            x = torch.rand(64, 64, 64, 64, device="cuda", dtype=dtype).contiguous(memory_format=torch.channels_last)
            function = partial(conv, x)
            functions[f"conv {kernel}x{kernel}"] = partial(with_tf32, function) if tf32 else function
            work[f"conv {kernel}x{kernel}"] = gflop(conv, x)
        matrix = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        product = partial(torch.mm, matrix, matrix)
        functions["product of 8192"] = partial(with_tf32, product) if tf32 else product
        work["product of 8192"] = 2 * 8192**3 / 1e9
        for what, passed in milliseconds(functions).items():
            rows.append({"what": "ceiling", "network": what, "form": name, "TFLOP/s": work[what] / passed})
            if what.startswith("conv"):
                rates[name] = max(rates.get(name, 0), work[what] / passed)
    source = torch.empty(2**32, dtype=torch.uint8, device="cuda")
    passed = milliseconds({"copy": partial(torch.empty_like(source).copy_, source)})["copy"]
    rows.append({"what": "ceiling", "network": "copy of 4 GiB", "TB/s": 2 * source.numel() / passed / 1e9})
    return rows, rates


@torch.inference_mode()
def rows_of_inference(name: str, batch: int, rates: dict[str, float], compiled: bool) -> list[Row]:
    """One network in every form, or in those of torch.compile, against the plain one in float32."""
    model = (ELSFace(ELSFaceConfig.paper()) if name == "paper" else load_pretrained(name)).eval().cuda()
    side = 128 // model.config.scale
    lr = torch.rand(batch, 3, side, side, device="cuda")
    fast = optimize(model, torch.bfloat16)
    functions: dict[str, Callable[[], Any]] = {"plain float32": partial(plain(copy.deepcopy(model)), lr)}
    if compiled:
        torch._dynamo.reset()  # another batch would count as the same network with other shapes
        compiled_network = torch.compile(fast, dynamic=False)
        functions["torch.compile bfloat16"] = partial(compiled_network, lr)
        functions["torch.compile, CUDA graph bfloat16"] = graphed(compiled_network, lr)
    else:
        functions["eager float32"] = partial(model, lr)
        functions["optimize float32"] = partial(optimize(model), lr)
        functions["optimize TF32"] = partial(with_tf32, functions["optimize float32"])
        functions["optimize bfloat16"] = partial(fast, lr)
        functions["CUDA graph bfloat16"] = graphed(fast, lr)
    times = milliseconds(functions)
    work, rows = gflop(model, lr), []
    for form, passed in times.items():
        row = {"what": "inference", "network": name, "form": form, "batch": batch, "milliseconds": passed}
        row |= {"images a second": 1000 * batch / passed, "times plain": times["plain float32"] / passed}
        rows.append(row | {"TFLOP/s": work / passed, "share": work / passed / rates[form.split()[-1]]})
    return rows[1:] if compiled else rows


def rows_of_training(name: str, batch: int, steps: int = 20) -> list[Row]:
    """Steps of the trainer, against the plain one in float32."""
    faces = np.random.default_rng(0).integers(0, 256, (320, 3, 128, 128), dtype=np.uint8)
    rows: list[Row] = []
    for form in ("plain float32", "trainer float32", "trainer bfloat16"):
        config = TrainConfig.lite(batch_size=batch, precision="bf16" if "bfloat16" in form else "no")
        network = ELSFace(TRAINED[name][0])
        MirrorSymmetry(network).start(network)
        pairs = FaceArray(faces, network.config.scale), FaceArray(faces[:1], network.config.scale)
        trainer = Trainer(network, *pairs, config=config)
        if form.startswith("plain"):
            trainer.model.to(memory_format=torch.contiguous_format)
            plain(trainer.model).train()
        torch.cuda.reset_peak_memory_stats()
        seconds = []
        for _ in range(steps):
            started = time.perf_counter()
            trainer.train_step()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        step = statistics.median(seconds[5:])
        row = {"what": "training", "network": name, "form": form, "batch": batch, "milliseconds": 1000 * step}
        row |= {"images a second": batch / step, "memory, GiB": torch.cuda.max_memory_allocated() / 2**30}
        rows.append(row | {"times plain": rows[0]["milliseconds"] / (1000 * step) if rows else 1.0})
    return rows


def write(rows: list[Row], path: Path) -> None:
    """Writes the table as far as it is."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    card = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    write_rows(path, [{column: row.get(column, "") for column in columns} | {"machine": card} for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"), help="the table")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no CUDA GPU here: nothing to measure.")
    allow_tf32(False)
    rows, rates = ceilings()
    networks = ("paper", *pretrained_names())
    questions = [partial(rows_of_training, name, batch) for name in TRAINED for batch in TRAINED[name][1]]
    for compiled, batches in ((False, BATCHES), (True, BATCHES[::2])):  # torch.compile takes half a minute each time
        questions += [partial(rows_of_inference, name, n, rates, compiled) for n in batches for name in networks]
    for question in questions:
        rows += question()
        write(rows, arguments.out)
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
