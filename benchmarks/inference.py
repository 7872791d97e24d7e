"""How near does one face, or eight, come to what the machine can do? And what do precision and runtime give?

    OMP_NUM_THREADS=2 python benchmarks/inference.py    # writes inference.csv; on a quiet machine

Every ratio is of medians that were measured in turns, in this run. `share` compares the arithmetic of the network with
what this machine reaches in a single convolution at the same precision, layout and batch, the best of 3x3 and 5x5.
`dB` is what a form of the shipped weights has of PSNR more than eager float32, on a face of each of the 40 ORL people.
"""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config
from einops import rearrange
from timing import seconds, write_table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from elsface_lite.data.degradation import downscale, quantize
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.inference.export import OnnxModel, calibration_faces, export_int8, export_onnx
from elsface_lite.inference.optimize import optimize
from elsface_lite.metrics.image import psnr
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.transformer import WindowAttention
from elsface_lite.network.weights import load_pretrained

BATCHES = (1, 8)


def explicit_attention(self: WindowAttention, windows: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention as it is written in the paper: all weights are computed, kept, and multiplied."""
    q, k, v = rearrange(self.qkv(windows), "n t (three h d) -> three n h t d", three=3, h=self.heads)
    scores = q @ k.mT / q.shape[-1] ** 0.5 + self.bias()
    if mask is not None:
        scores = scores + mask.repeat(len(windows) // len(mask), 1, 1)[:, None]
    return self.proj(rearrange(scores.softmax(-1) @ v, "n h t d -> n t (h d)"))


def plain(model: ELSFace) -> ELSFace:
    """The network as one writes it first: contiguous tensors, explicit attention."""
    for module in model.modules():
        if isinstance(module, WindowAttention):
            module.forward = partial(explicit_attention, module)
        if isinstance(module, nn.Conv2d):  # windows put together again are channels last, and all that follows them
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    return model.eval()


def compiled(model: ELSFace, dtype: torch.dtype) -> dict[str, nn.Module]:
    """The optimized network by torch.compile, for one batch size: if g++ is there, which that calls for a minute."""
    if not shutil.which("g++"):
        return {}
    return {f"torch.compile {str(dtype)[6:]}": torch.compile(optimize(model, dtype), dynamic=False)}  # type: ignore[dict-item]


def gflop(model: nn.Module, lr: Tensor) -> float:
    """Arithmetic of one pass, in 1e9; two for each multiply-add."""
    with FlopCounterMode(display=False) as counter:
        model(lr)
    return counter.get_total_flops() / 1e9


def ceilings(batch: int, dtype: torch.dtype) -> dict[str, tuple[Callable[[], Any], float]]:
    """Single convolutions of 64 channels on a grid of 64x64, and the GFLOP of each."""
    found = {}
    for kernel in (3, 5):
        conv = nn.Conv2d(64, 64, kernel, padding=kernel // 2).to(dtype=dtype, memory_format=torch.channels_last)
        x = torch.rand(batch, 64, 64, 64, dtype=dtype).contiguous(memory_format=torch.channels_last)
        found[f"conv {kernel}x{kernel} {str(dtype)[6:]}"] = partial(conv, x), gflop(conv, x)
    return found


@torch.inference_mode()
def rows_of_paper(batch: int) -> list[dict[str, Any]]:
    """The paper's network: its share of the ceiling, and what layout, fused attention and bfloat16 give."""
    torch.manual_seed(0)
    torch._dynamo.reset()  # another batch would count as the same network with other shapes
    model = ELSFace(ELSFaceConfig.paper()).eval()
    lr = torch.rand(batch, 3, 32, 32)
    networks: dict[str, nn.Module] = {
        "plain": plain(ELSFace(ELSFaceConfig.paper())),
        "eager": model,
        "optimize float32": optimize(model),
        "optimize bfloat16": optimize(model, torch.bfloat16),
    } | compiled(model, torch.float32)
    singles = ceilings(batch, torch.float32) | ceilings(batch, torch.bfloat16)
    functions = {name: partial(network, lr) for name, network in networks.items()}
    functions |= {name: function for name, (function, _) in singles.items()}
    times = seconds(functions, rounds=9 if batch == 1 else 5)
    rates = {name: flops / times[name] for name, (_, flops) in singles.items()}
    work = gflop(model, lr)
    rows = []
    for name in networks:
        precision = "bfloat16" if "bfloat16" in name else "float32"
        ceiling = max(rate for single, rate in rates.items() if single.endswith(precision))
        rows.append(
            {
                "network": "paper", "form": name, "batch": batch, "milliseconds a face": 1000 * times[name] / batch,
                "times plain": times["plain"] / times[name], "GFLOP/s": work / times[name],
                "share": work / times[name] / ceiling,
            }
        )  # fmt: skip
    return rows


def quality(network: nn.Module, scale: int, batch: int) -> float:
    """Mean PSNR in dB of one face of each of the ORL people, none of which int8 has learned its ranges from."""
    hr = load_faces(orl_faces().paths[1::10], 128, enlarge=True).float() / 255
    sr = torch.cat([network(lr) for lr in downscale(hr, scale).split(batch)])
    return psnr(quantize(sr), hr).mean().item()


@torch.inference_mode()
def rows_of_lite(name: str, batch: int, folder: Path) -> list[dict[str, Any]]:
    """Shipped weights in every form, against eager float32; and, for x4, against the paper's network."""
    torch._dynamo.reset()
    model = load_pretrained(name)
    side = 128 // model.config.scale
    lr = torch.rand(batch, 3, side, side)
    networks: dict[str, nn.Module] = {
        "eager": model,
        "optimize float32": optimize(model),
        "optimize bfloat16": optimize(model, torch.bfloat16),
        "ONNX float32": OnnxModel(folder / f"{name}.onnx"),
        "ONNX int8": OnnxModel(folder / f"{name}-int8.onnx"),
    }
    networks |= compiled(model, torch.float32) | compiled(model, torch.bfloat16)
    times = seconds({form: partial(network, lr) for form, network in networks.items()}, rounds=11)
    work, whole = gflop(model, lr), quality(model, model.config.scale, batch)
    return [
        {
            "network": name, "form": form, "batch": batch, "milliseconds a face": 1000 * times[form] / batch,
            "times eager": times["eager"] / times[form], "GFLOP/s": work / times[form],
            "dB": quality(networks[form], model.config.scale, batch) - whole,
        }
        for form in networks
    ]  # fmt: skip


def main() -> None:
    torch._inductor.config.freezing = True  # torch.compile may lay the weights out once, as they do not change
    rows = [row for batch in BATCHES for row in rows_of_paper(batch)]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("lite-x4", "lite-x8"):
            model = load_pretrained(name)
            export_onnx(model, Path(folder, f"{name}.onnx"))
            export_int8(model, Path(folder, f"{name}-int8.onnx"), calibration_faces())
            rows += [row for batch in BATCHES for row in rows_of_lite(name, batch, Path(folder))]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_table(
        __file__, [{column: row.get(column, "") for column in columns} for row in rows], torch.get_num_threads()
    )


if __name__ == "__main__":
    main()
