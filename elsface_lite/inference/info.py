"""What is installed here and whether it is whole: a text for a bug report, without the name of who runs it."""

import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from . import __version__
from .errors import ElsfaceError
from .metric_weights import FILES, find_file
from .restore import best_device
from .sources import orl_faces, portraits
from .weights import load_pretrained, pretrained_names

PACKAGES = (
    "torchvision", "torchmetrics", "lpips", "numpy", "pillow", "scikit-image", "matplotlib", "einops", "safetensors",
    "accelerate", "ipywidgets", "jupyterlab", "nbval",
)  # fmt: skip


def report() -> str:
    """Versions, machine, weights and data found: one line each, and the home folder as ~."""
    text = "\n".join(f"{name:15} {value}" for name, value in _lines())
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises where there is none)
    return text.replace(home, "~") if len(home) > 1 else text


def machine() -> str:
    """Processor, cores and PyTorch in one line, to be named beside a measured time."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        flags = next(line.partition(":")[2].split() for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):  # not Linux, or not x86
        processor, flags = platform.processor() or platform.machine(), []
    bfloat16 = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    instructions = " ".join([torch.backends.cpu.get_cpu_capability(), *bfloat16])
    return f"{processor}, {instructions}, {os.cpu_count()} cores, torch {torch.__version__}"


def _lines() -> Iterator[tuple[str, str]]:
    yield "elsface-lite", __version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "machine", machine()
    for package in PACKAGES:
        yield package, _version(package)
    yield "device", _device()
    yield "threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    for name in pretrained_names():
        yield "weights", f"{name}: {_check(load_pretrained, name)}"
    for name, file in FILES.items():
        yield "network", f"{file.use}, {name}: {_check(find_file, name)}"
    yield "ORL faces", _check(orl_faces)
    yield "portraits", _check(portraits)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device() -> str:
    device = best_device()
    return f"cuda: {torch.cuda.get_device_name()}" if device.type == "cuda" else device.type


def _check(load: Callable[..., Any], *args: str) -> str:
    try:
        load(*args)
    except ElsfaceError as error:
        return str(error)
    return "ok"
