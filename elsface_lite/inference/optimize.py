"""The same network as the machine likes it: what would make a chapter's code harder to read."""

import copy
from functools import partial
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..network.cnn import CNNStream
from ..network.elsface import ELSFace
from ..network.hfeb import HFEB
from ..network.transformer import RSTB

VECTOR = 16  # float32 numbers in a register of AVX-512
CACHE = 2**22  # bytes that features may take to stay near the cores


def optimize(model: ELSFace, dtype: torch.dtype = torch.float32) -> ELSFace:
    """A copy of a network that restores faster and cannot be trained.

    Channels lie next to each other in memory (channels last), which convolutions on CPUs and on tensor cores prefer. In
    float32 the convolutions get channels of zeros up to a whole number of vectors, since 60 channels take longer than
    64, and CPUs compute a batch in parts whose features stay in the cache.

    Args:
        model: the network, which stays as it is. One that `optimize` made already is only copied, or rounded to dtype.
        dtype: what it computes in. float32 gives the same face within 1e-5. bfloat16 is faster on processors that
            compute in it, and many times slower on others; PSNR changes by less than 0.02 dB.

    Returns:
        The copy: (b, 3, h, w) -> (b, 3, scale h, scale w), float32 on either side, as before.
    """
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    if dtype == torch.float32:
        for stage in (fast.cnn, fast.hfebs):
            if stage is not None:
                _fill_up(stage, fast.config.channels)
        fast.forward = partial(_in_parts, fast)  # type: ignore[method-assign]
    fast = fast.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if dtype != torch.float32:
        # Only what lies between is rounded: the bicubic skip is added to the LR face as it came.
        fast.prepare.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype), *inputs[1:]))
        fast.register_forward_hook(lambda _, inputs, sr: sr.float())
    fast.register_forward_pre_hook(_channels_last)
    return fast


def recompute(model: ELSFace) -> None:
    """Makes a network keep less for the backward pass: each stage only its input, from which it computes again.

    The gradients are the same, with a third more arithmetic (gradient checkpointing, Chen et al. 2016).

    Args:
        model: the network, which is changed.
    """
    for module in model.modules():
        if isinstance(module, CNNStream | RSTB | HFEB):
            again = partial(checkpoint, module.forward, use_reentrant=False, preserve_rng_state=False)
            module.forward = again  # type: ignore[method-assign]


def _channels_last(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:])


def _in_parts(model: ELSFace, lr: Tensor) -> Tensor:
    """Computes a batch in equal parts, on a CPU: each layer's output is read by the next before it leaves the cache."""
    pixels = lr.shape[0] * lr.shape[2] * lr.shape[3] * model.config.grid**2
    parts = min(len(lr), ceil(pixels * model.config.channels * lr.element_size() / CACHE))
    if parts < 2 or lr.device.type != "cpu":
        return ELSFace.forward(model, lr)
    return torch.cat([ELSFace.forward(model, part) for part in lr.chunk(parts)])


def _fill_up(stage: nn.Module, channels: int) -> None:
    """Gives the convolutions of a stage channels of zeros up to a multiple of `VECTOR`; the stage keeps its shapes."""
    extra = -channels % VECTOR
    convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d) and module.bias is not None]
    if not extra or any(len(module.weight) > module.out_channels for module in convolutions):  # filled up already
        return
    for module in convolutions:
        more = extra * module.out_channels // channels  # before a pixel shuffle there are four times as many
        module.weight = nn.Parameter(F.pad(module.weight, (0, 0, 0, 0, 0, extra, 0, more)), requires_grad=False)
        module.bias = nn.Parameter(F.pad(module.bias, (0, more)), requires_grad=False)  # type: ignore[arg-type]
    stage.register_forward_pre_hook(lambda _, inputs: F.pad(inputs[0], (0, 0, 0, 0, 0, extra)))
    stage.register_forward_hook(lambda _, inputs, outputs: outputs[:, :channels])
