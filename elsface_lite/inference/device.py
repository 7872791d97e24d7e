"""What this machine computes on."""

import os
import platform
from pathlib import Path

import torch


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


def best_device() -> torch.device:
    """The accelerator that torch finds, or else the CPU."""
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")  # type: ignore[return-value]
