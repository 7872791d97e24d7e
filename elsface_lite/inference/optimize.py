"""The same network as the machine likes it: what would make a chapter's code harder to read."""

import copy
from functools import partial
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ElsfaceError
from ..network.blocks import ResidualBlock
from ..network.cnn import CNNStream
from ..network.elsface import ELSFace
from ..network.hfeb import HFEB, HighPass
from ..network.modules import Network, kind, unwrapped
from ..network.style import FeaturePreparation, LatentStyleEncoder
from ..network.transformer import RSTB, SwinLayer, TransformerStream, WindowAttention

VECTOR = 16  # float32 numbers in a register of AVX-512
CACHE = 2**22  # bytes that features may take to stay near the cores
# What may get channels of zeros, which it leaves zeros; and, with all that follows, what takes any layout of the memory
# and computes each face of a batch by itself.
FILLED = {CNNStream, HFEB, HighPass, ResidualBlock, nn.Sequential, nn.Conv2d, nn.ReLU, nn.PixelShuffle}
KNOWN = FILLED | {
    ELSFace, FeaturePreparation, LatentStyleEncoder, TransformerStream, RSTB, SwinLayer, WindowAttention,
    nn.AdaptiveAvgPool2d, nn.GELU, nn.Identity, nn.LayerNorm, nn.LeakyReLU, nn.Linear,
}  # fmt: skip


def optimize(model: Network, dtype: torch.dtype = torch.float32) -> Network:
    """A copy of a network that restores faster and cannot be trained.

    Channels lie next to each other in memory (channels last), which convolutions on CPUs and on tensor cores prefer. In
    float32 the convolutions get channels of zeros up to a whole number of vectors, since 60 channels take longer than
    64, and CPUs compute a batch in parts whose features stay in the cache.

    All that is done to modules of ELSFace alone. A block of your own within it is left as it is, and so is a network
    of your own, an ELSFace with another `forward` too: it only gets evaluation mode and `dtype`.

    Args:
        model: any network, which stays as it is. One that `optimize` made already is only copied, or rounded to dtype;
            one that is compiled or parallel is taken out of its wrapping.
        dtype: what it computes in. float32 gives the same face within 1e-5. bfloat16 is faster on processors that
            compute in it, and many times slower on others; PSNR changes by less than 0.02 dB.

    Returns:
        The copy, which takes and gives what the network does: (b, 3, h, w) -> (b, 3, scale h, scale w), float32 on
        either side. It can be pickled.

    Raises:
        ElsfaceError: the network cannot be copied, such as one of another runtime.
    """
    try:
        fast: Any = copy.deepcopy(unwrapped(model)).eval().requires_grad_(False)
    except (TypeError, RuntimeError, ValueError, NotImplementedError) as error:
        raise ElsfaceError(f"a {type(model).__name__} cannot be copied: use it as it is, without optimize.") from error
    if is_optimized(fast):
        return fast.to(dtype)
    compute_in(dtype, fast)
    if kind(fast) is not ELSFace:
        return fast
    in_parts = dtype == torch.float32 and all(kind(module) in KNOWN for module in fast.modules())
    if dtype == torch.float32:
        _fill_up(fast)
    _lay_out(fast)
    fast.register_forward_pre_hook(_channels_last, with_kwargs=True)
    if in_parts:
        fast.forward = partial(_in_parts, fast)
    return fast


def compute_in(dtype: torch.dtype, model: Network) -> Network:
    """Rounds a network to a precision; what goes in and comes out stays float32.

    Of an ELSFace only what lies between is rounded: the bicubic enlargement is that of the LR face as it came.

    Args:
        dtype: a precision of floating point.
        model: any network, which is changed, once.

    Returns:
        The same network.
    """
    first: Any = model.prepare if kind(model) is ELSFace else model
    first.register_forward_pre_hook(_rounded, with_kwargs=True)
    model.register_forward_hook(_as_float)
    return model.to(dtype)


def is_optimized(model: nn.Module) -> bool:
    """Whether `optimize` made this network."""
    return _as_float in model._forward_hooks.values()


def recompute(model: nn.Module) -> None:
    """Makes a network keep less for the backward pass: each stage only its input, from which it computes again.

    The gradients are the same, with a third more arithmetic (gradient checkpointing, Chen et al. 2016).

    Args:
        model: the network, which is changed: each `CNNStream`, `RSTB` and `HFEB` in it.
    """
    for module in model.modules():
        if isinstance(module, CNNStream | RSTB | HFEB):
            again = partial(checkpoint, module.forward, use_reentrant=False, preserve_rng_state=False)
            module.forward = again  # type: ignore[method-assign]


class Filled(nn.Module):
    """A stage whose convolutions have channels of zeros, up to a multiple of `VECTOR`; it keeps its shapes."""

    def __init__(self, stage: nn.Module, channels: int) -> None:
        super().__init__()
        self.stage, self.channels, self.extra = copy.deepcopy(stage), channels, -channels % VECTOR
        for module in self.stage.modules():
            if isinstance(module, nn.Conv2d):
                more = self.extra * module.out_channels // channels  # four times as many before a pixel shuffle
                weight = F.pad(module.weight, (0, 0, 0, 0, 0, self.extra, 0, more))
                module.weight = nn.Parameter(weight, requires_grad=False)
                if module.bias is not None:
                    module.bias = nn.Parameter(F.pad(module.bias, (0, more)), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.stage(F.pad(x, (0, 0, 0, 0, 0, self.extra)))[:, : self.channels]


def _fill_up(module: nn.Module) -> None:
    """Puts a `Filled` stage in the place of each that it computes as well, if its channels are no whole vectors."""
    for name, child in module.named_children():
        channels = _channels(child) if kind(child) in (CNNStream, HFEB) else 0
        if channels % VECTOR:
            module._modules[name] = Filled(child, channels)
        elif kind(child) is nn.Sequential:
            _fill_up(child)


def _channels(stage: nn.Module) -> int:
    """The channels of a stage all of whose layers keep zeros zeros; 0 for one with anything else inside."""
    modules = list(stage.modules())
    if not all(kind(module) in FILLED for module in modules):
        return 0
    tails = [list(module.upsample.children()) for module in modules if isinstance(module, HighPass)]
    before_shuffle, shuffles = ({tail[place] for tail in tails if tail} for place in (0, -1))
    layers = [module for module in modules if isinstance(module, nn.Conv2d)]
    channels = layers[0].in_channels if layers else 0
    keeps = all(
        (type(layer), layer.groups, layer.padding_mode, layer.in_channels) == (nn.Conv2d, 1, "zeros", channels)
        and layer.out_channels == channels * (4 if layer in before_shuffle else 1)
        for layer in layers
    )
    return channels if keeps and all(m in shuffles for m in modules if isinstance(m, nn.PixelShuffle)) else 0


def _lay_out(module: nn.Module) -> None:
    """Kernels of known modules in channels last; an unknown one gets its inputs as it would have had them."""
    if isinstance(module, Filled):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif kind(module) not in KNOWN:
        module.register_forward_pre_hook(_contiguous, with_kwargs=True)
    elif type(module) is nn.Conv2d:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        for child in module.children():
            _lay_out(child)


# Functions with names, not lambdas: a network with these hooks can be pickled.


def _rounded(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Inputs in what the module computes in."""
    dtype = next((weight.dtype for weight in module.parameters() if weight.is_floating_point()), None)
    return _each(lambda x: x.to(dtype) if dtype and x.is_floating_point() else x, args, kwargs)


def _channels_last(_: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return _each(lambda x: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x, args, kwargs)


def _contiguous(_: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return _each(Tensor.contiguous, args, kwargs)


def _each(change: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Arguments of a call, every tensor among them changed."""
    changed = {name: change(x) if isinstance(x, Tensor) else x for name, x in kwargs.items()}
    return tuple(change(x) if isinstance(x, Tensor) else x for x in args), changed


def _as_float(_: nn.Module, inputs: Any, outputs: Any) -> Any:
    return outputs.float() if isinstance(outputs, Tensor) and outputs.is_floating_point() else outputs


def _in_parts(model: ELSFace, lr: Tensor) -> Tensor:
    """Computes a batch in equal parts, on a CPU: each layer's output is read by the next before it leaves the cache."""
    forward = partial(type(model).forward, model)
    pixels = lr.shape[0] * lr.shape[2] * lr.shape[3] * model.config.grid**2
    parts = min(len(lr), ceil(pixels * model.config.channels * lr.element_size() / CACHE))
    if parts < 2 or lr.device.type != "cpu":
        return forward(lr)
    return torch.cat([forward(part) for part in lr.chunk(parts)])
