"""Mirror symmetry: weights by which a mirrored face gives the mirrored result (chapter 06).

Every channel gets a partner, half of the channels away, that looks at the face in a mirror: its kernels are the
mirrored kernels of the other, with partners exchanged. A face and its mirror image are equally likely, so the best
network has this symmetry anyway; one that starts with it, and whose gradients keep it, need not learn half of its
weights. The principle is that of group-equivariant convolutions (Cohen, Welling, ICML 2016), for the group of the
mirror.

A module declares who is whose partner in it: ours do in `DECLARED`, one of your own by a method `mirror`. It is told
the `Partners` of the features that come in, and says for each layer who they are along each axis of its weight:

.. code-block:: python

    class Fusion(nn.Module):  # of two streams of one width
        def __init__(self, channels):
            super().__init__()
            self.conv = conv(2 * channels, channels)
            self.block = ResidualBlock(channels)

        def forward(self, x):
            return self.block(self.conv(torch.cat([x, x.square()], 1)))

        def mirror(self, seen):
            return {"conv": (seen, Partners(2)), "block": seen}

A subclass of ours that computes otherwise, but has its base's partners, returns DECLARED[Base](self, seen).
"""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ElsfaceError
from ..network.blocks import ResidualBlock
from ..network.cnn import CNNStream
from ..network.elsface import ELSFace
from ..network.hfeb import HFEB, HighPass
from ..network.modules import kind, unwrapped
from ..network.style import FeaturePreparation, LatentStyleEncoder
from ..network.transformer import RSTB, SwinLayer, TransformerStream, WindowAttention

ADVICE = "or set train.symmetric=false"
LAYERS = (nn.Conv2d, nn.Linear, nn.LayerNorm)
TOLERANCE = 1e-4  # of what a mirrored face changes in a network without symmetry, may be left in one that has it


class Partners(NamedTuple):
    """Which of the channels along an axis are mirror images of each other.

    Args:
        groups: the halves of each of so many groups of channels are exchanged; 0 exchanges nothing, as for colours.
        side: each channel is a square of pixels, side x side one after the other, as before a pixel shuffle and after
            a flattening: left and right change places in each.
    """

    groups: int = 1
    side: int = 1

    def places(self, count: int) -> Tensor:
        """Where the partner of each of `count` channels is: (count,), int64.

        Raises:
            ValueError: the channels do not come in pairs.
        """
        squares = torch.arange(count).view(-1, self.side, self.side).flip(-1)
        if self.groups:
            squares = squares.view(self.groups, 2, -1, self.side, self.side).flip(1)
        return squares.flatten()


FEATURES, COLOURS = Partners(), Partners(0)
# The partners along each axis of a layer's weight, or of a parameter; or what a module is told that declares itself.
Declaration = dict[str, tuple[Partners, ...] | Partners]


def _elsface(model: Any, _: Partners) -> Declaration:
    enlarged = Partners(side=model.upsample[1].upscale_factor)
    parts = {name: FEATURES for name in ("prepare", "cnn", "transformer", "hfebs") if getattr(model, name) is not None}
    return {**parts, "upsample.0": (enlarged, FEATURES), "upsample.2": (COLOURS, FEATURES)}


def _preparation(stage: Any, seen: Partners) -> Declaration:
    wide = Partners(stage.streams)
    encoder: Declaration = {} if stage.encoder is None else {"encoder": seen}
    return {"head.0": (wide, COLOURS), **_numbered("head", stage.head, wide), **encoder}


def _encoder(encoder: Any, seen: Partners) -> Declaration:
    channels = encoder.to_styles.out_features // encoder.streams
    pixels = math.isqrt(encoder.to_styles.in_features // channels)
    body: Declaration = {f"body.{i}": (seen, COLOURS if i == 0 else seen) for i in range(0, len(encoder.body), 2)}
    return {**body, "to_styles": (Partners(encoder.streams), Partners(side=pixels))}


def _numbered(name: str, layers: nn.Sequential, seen: Partners) -> Declaration:
    """All modules of a Sequential but the first."""
    return {f"{name}.{i}": seen for i in range(1, len(layers))}


def _attention(attention: Any, seen: Partners) -> Declaration:
    offsets = Partners(0, side=math.isqrt(len(attention.bias_table)))  # down and to the right
    return {"bias_table": (offsets, FEATURES), "qkv": (Partners(3), seen), "proj": (seen, FEATURES)}


DECLARED: dict[type[nn.Module], Callable[[Any, Partners], Declaration]] = {
    ELSFace: _elsface,
    FeaturePreparation: _preparation,
    LatentStyleEncoder: _encoder,
    nn.Sequential: lambda layers, seen: {name: seen for name, _ in layers.named_children()},
    ResidualBlock: lambda _, seen: {"body.0": (seen, seen), "body.2": (seen, seen)},
    CNNStream: lambda stream, seen: {"body.0": (seen, seen), **_numbered("body", stream.body, seen)},
    TransformerStream: lambda _, seen: {"norm_in": (seen,), "rstb": seen, "norm_out": (seen,), "conv": (seen, seen)},
    RSTB: lambda _, seen: {"layers": seen, "conv": (seen, seen)},
    SwinLayer: lambda _, seen: {
        "norm1": (seen,), "attention": seen, "norm2": (seen,), "mlp.0": (FEATURES, seen), "mlp.2": (seen, FEATURES),
    },
    WindowAttention: _attention,
    HighPass: lambda _, seen: {
        "body.0": (seen, seen), "body.2": (seen, seen), "upsample.0": (seen._replace(side=2), seen),
    },
    HFEB: lambda _, seen: {"high_pass": seen, "blocks": seen},
}  # fmt: skip


def _declaration(module: nn.Module) -> Callable[[Any, Partners], Declaration] | None:
    """What a module's own class declares, or ours about it; None if nobody does."""
    return getattr(type(module), "mirror", None) or DECLARED.get(kind(module))


def _declared(module: nn.Module, seen: Partners, path: str = "") -> Iterator[tuple[str, tuple[Partners, ...]]]:
    """Every parameter in a module, by name, with the partners along its axes."""
    if not any(True for _ in module.parameters()):
        return
    declare = _declaration(module)
    if declare is None:
        return  # its parameters will be missing
    for name, partners in declare(module, seen).items():
        owner, _, last = name.rpartition(".")
        part = getattr(module.get_submodule(owner), last)
        if isinstance(partners, Partners):
            yield from _declared(part, partners, f"{path}{name}.")
        elif isinstance(part, nn.Parameter):
            yield f"{path}{name}", partners
        elif type(part) in LAYERS:
            yield f"{path}{name}.weight", partners
            yield f"{path}{name}.bias", partners[:1]


def _places(name: str, weight: Tensor, partners: tuple[Partners, ...]) -> Tensor:
    """Where the mirror image of each entry of a parameter is, as numbers into it, flattened."""
    numbers = torch.arange(weight.numel()).view(weight.shape)
    try:
        for axis, partner in enumerate(partners):
            numbers = numbers.index_select(axis, partner.places(weight.shape[axis]))
    except (RuntimeError, IndexError) as error:
        shape = " x ".join(map(str, weight.shape))
        raise ElsfaceError(
            f"{name} is {shape}, but symmetric weights come in pairs: make it even, {ADVICE}."
        ) from error
    return (numbers.flip(-1) if weight.ndim == 4 else numbers).flatten()


class MirrorSymmetry:
    """What every parameter of a network turns into if the network is seen in a mirror.

    Exact but for the strided convolutions of the style encoder, whose grid of positions has no mirror image in itself.

    Args:
        model: any network of modules that declare their partners: (b, 3, h, w) -> (b, 3, H, W). It is not changed. A
            copy with symmetric weights is tried: whether a mirrored input gives the mirrored result.

    Raises:
        ElsfaceError: a module does not declare itself, and which; a number of channels or heads is odd, so that one has
            no partner; or what is declared does not make the network symmetric.
    """

    def __init__(self, model: nn.Module) -> None:
        model = unwrapped(model)
        declared = dict(_declared(model, FEATURES))
        # For each parameter, the place of every entry's mirror image; and for those with a gradient in a row.
        self.places = {
            name: _places(name, weight, declared.get(name) or _unknown(model, name))
            for name, weight in model.named_parameters()
        }
        self.names: list[str] = []
        self.row = torch.empty(0, dtype=torch.int64)
        _try(model, self)

    def mirrored(self, name: str, weight: Tensor) -> Tensor:
        """A parameter of this name, or its gradient, seen in the mirror: the same shape."""
        places = self.places[name] = self.places[name].to(weight.device)
        return weight.flatten()[places].view(weight.shape)

    @torch.no_grad()
    def start(self, model: nn.Module) -> None:
        """Makes random weights symmetric, and keeps their spread: a mean of two would be smaller by sqrt(2)."""
        for name, weight in unwrapped(model).named_parameters():
            both = weight + self.mirrored(name, weight)
            weight.copy_(both / (2**0.5 if weight.ndim > 1 else 2))

    @torch.no_grad()
    def keep(self, model: nn.Module) -> None:
        """Makes the gradients symmetric, so that a step keeps the weights so: as if each face came mirrored as well."""
        named = {name: weight.grad for name, weight in unwrapped(model).named_parameters() if weight.grad is not None}
        gradients = list(named.values())
        if not gradients:
            return
        if self.names != list(named):
            self.names, starts = list(named), torch.tensor([0] + [g.numel() for g in gradients]).cumsum(0).tolist()
            self.row = torch.cat([self.places[n].cpu() + at for n, at in zip(named, starts, strict=False)])
        row = torch.cat([gradient.flatten() for gradient in gradients])
        self.row = self.row.to(row.device)
        halves = (row + row[self.row]).div_(2).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [half.view_as(g) for half, g in zip(halves, gradients, strict=True)])

    @torch.no_grad()
    def broken(self, model: nn.Module) -> float:
        """How far the weights are from symmetric: the norm of what is not, over that of all, 0 to 1."""
        named = unwrapped(model).named_parameters()
        pairs = [(weight - self.mirrored(name, weight), weight) for name, weight in named]
        odd, whole = (sum(part.square().sum().item() for part in parts) for parts in zip(*pairs, strict=True))
        return (odd / 4 / whole) ** 0.5


def _unknown(model: nn.Module, name: str) -> tuple[Partners, ...]:
    """Raises the error that names a parameter whose partners nobody declared, and the module to blame."""
    steps = name.split(".")[:-1]
    paths = [".".join(steps[:depth]) for depth in range(len(steps) + 1)]
    within = [(path, model.get_submodule(path)) for path in paths]
    within = [(path, module) for path, module in within if not path or type(module) not in (*LAYERS, nn.Sequential)]
    path, module = next((found for found in within if _declaration(found[1]) is None), within[-1])
    whose = type(module).__name__
    raise ElsfaceError(
        f"how {name} is seen in a mirror is not known: give {whose}{path and f', here {path},'} a method `mirror` that "
        f"declares it (elsface_lite/training/symmetry.py says how), {ADVICE}."
    )


@torch.no_grad()
def _try(model: nn.Module, symmetry: MirrorSymmetry) -> None:
    """Measures what symmetric weights leave of the difference that a mirrored input makes: next to nothing.

    With random weights, since those of a fresh network are partly zeros, and in float32 on the CPU. The style encoder
    is tried with convolutions that leave out no position.
    """
    random = torch.Generator().manual_seed(0)
    copied = copy.deepcopy(model).cpu().float().eval()
    for weight in copied.parameters():
        noise = torch.randn(weight.shape, generator=random)
        weight.copy_(noise / weight[0].numel() ** 0.5 if weight.ndim > 1 else weight + noise / 10)
    for encoder in copied.modules():
        for layer in encoder.body if type(encoder) is LatentStyleEncoder else ():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
    windows = [module.window for module in copied.modules() if isinstance(module, TransformerStream)]
    side = 2 * math.lcm(*windows) if windows else 16
    face = torch.rand(1, 3, side, side, generator=random)
    try:
        before = (copied(face.flip(-1)).flip(-1) - copied(face)).abs().max().item()
        symmetry.start(copied)
        after = (copied(face.flip(-1)).flip(-1) - copied(face)).abs().max().item()
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ElsfaceError(
            f"the mirror symmetry of {type(model).__name__} cannot be tried on a face of {side}x{side} pixels "
            f"({reason}): mend its forward pass, {ADVICE}."
        ) from error
    if not after <= TOLERANCE * before:
        raise ElsfaceError(
            f"{type(model).__name__} is not mirror-symmetric with the weights that its modules declare so: a mirrored "
            f"face leaves {after / before:.1g} of the difference. Mend a `mirror`, {ADVICE}."
        )
