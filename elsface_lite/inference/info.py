"""What is installed here and whether it is whole: a text for a bug report, without the name of who runs it."""

import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from .. import __version__
from ..data.sources import orl_faces, portraits
from ..errors import ElsfaceError
from ..network.weights import load_pretrained, pretrained_names
from ..packages import FILES, find_file
from .device import best_device, machine

PACKAGES = (
    "torchvision", "torchmetrics", "lpips", "numpy", "pillow", "scikit-image", "matplotlib", "einops", "safetensors",
    "accelerate", "ipywidgets", "jupyterlab", "nbval",
)  # fmt: skip


def info() -> str:
    """Versions, machine, weights and data found: one line each, and the home folder as ~."""
    text = "\n".join(f"{name:15} {value}" for name, value in _lines())
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises where there is none)
    return text.replace(home, "~") if len(home) > 1 else text


def ready() -> str:
    """The first words of the course: "Ready.", and what is optional and not here; or what is missing."""
    missing = [(name, value) for name, value in _files() if value.rpartition(": ")[2] != "ok"]
    if needed := [f"{name}: {value}" for name, value in missing if name != "network"]:
        return "\n".join(["Not ready:", *needed])
    optional = ", ".join(value.partition(",")[0] for _, value in missing)
    return f"Ready. Optional, and not installed: {optional}." if optional else "Ready."


def _lines() -> Iterator[tuple[str, str]]:
    yield "elsface-lite", __version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "machine", machine()
    for package in PACKAGES:
        yield package, _version(package)
    yield "device", _device()
    yield "threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    yield from _files()


def _files() -> Iterator[tuple[str, str]]:
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
