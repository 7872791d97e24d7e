"""Mirror symmetry: weights by which a mirrored face gives the mirrored result (chapter 06).

Every channel gets a partner, half of the channels away, that looks at the face in a mirror: its kernels are the
mirrored kernels of the other, with partners exchanged. A face and its mirror image are equally likely, so the best
network has this symmetry anyway; one that starts with it, and whose gradients keep it, need not learn half of its
weights. The principle is that of group-equivariant convolutions (Cohen, Welling, ICML 2016), for the group of the
mirror.
"""

import itertools

import torch
from torch import Tensor, nn

from ..errors import ElsfaceError
from ..network.elsface import ELSFace


def swapped(count: int, groups: int = 1) -> Tensor:
    """Where the partners of channels are: (count,), int64. The halves of each group are exchanged."""
    return torch.arange(count).view(groups, 2, -1).flip(1).flatten()


def swapped_before_shuffle(count: int, channels: int) -> Tensor:
    """The same for the channels that a pixel shuffle turns into pixels: these change places from left to right."""
    side = round((count / channels) ** 0.5)
    return torch.arange(count).view(channels, side, side)[swapped(channels)].flip(-1).flatten()


class MirrorSymmetry:
    """What every parameter of a network turns into if the network is seen in a mirror.

    Exact but for the strided convolutions of the style encoder, whose grid of positions has no mirror image in itself.

    Args:
        model: the network; only its shapes matter.

    Raises:
        ElsfaceError: a number of channels or heads is odd, so that one has no partner.
    """

    def __init__(self, model: ELSFace) -> None:
        config = model.config
        for name in ("heads", "out_channels"):
            if getattr(config, name) % 2:
                raise ElsfaceError(
                    f"{name} is {getattr(config, name)}, but symmetric weights come in pairs: make it even, or set "
                    "train.symmetric=false."
                )
        self.streams = 2 if config.streams == "both" else 1
        self.channels, self.out_channels = config.channels, config.out_channels
        # For each parameter, the place of every entry's mirror image; and for all of them in a row.
        self.places = {name: self._places(name, weight) for name, weight in model.named_parameters()}
        starts = itertools.accumulate((len(places) for places in self.places.values()), initial=0)
        self.row = torch.cat([start + places for start, places in zip(starts, self.places.values(), strict=False)])

    def _places(self, name: str, weight: Tensor) -> Tensor:
        numbers = torch.arange(weight.numel()).view(weight.shape)
        if name.endswith("bias_table"):  # (offsets down and to the right, heads)
            side = round(len(weight) ** 0.5)
            offsets = torch.arange(len(weight)).view(side, side).flip(1).flatten()
            return numbers[offsets][:, swapped(weight.shape[1])].flatten()
        numbers = numbers[self._outputs(name, len(weight))]
        if weight.ndim > 1:
            numbers = numbers[:, self._inputs(name, weight.shape[1])]
        return (numbers.flip(-1) if weight.ndim == 4 else numbers).flatten()

    def _outputs(self, name: str, count: int) -> Tensor:
        if count == 3:  # colours have no partners
            return torch.arange(3)
        if name.startswith("upsample.0"):
            return swapped_before_shuffle(count, self.out_channels)
        if "high_pass.upsample" in name:
            return swapped_before_shuffle(count, self.channels)
        of_all_streams = name.startswith("prepare.head") or "to_styles" in name
        return swapped(count, self.streams if of_all_streams else 3 if "qkv" in name else 1)

    def _inputs(self, name: str, count: int) -> Tensor:
        if count == 3:
            return torch.arange(3)
        if "to_styles" in name:  # reads 4x4 pixels of every channel
            return swapped_before_shuffle(count, self.channels)
        return swapped(count, self.streams if name.startswith("prepare.head") else 1)

    def mirrored(self, name: str, weight: Tensor) -> Tensor:
        """A parameter of this name, or its gradient, seen in the mirror: the same shape."""
        places = self.places[name] = self.places[name].to(weight.device)
        return weight.flatten()[places].view(weight.shape)

    @torch.no_grad()
    def start(self, model: nn.Module) -> None:
        """Makes random weights symmetric, and keeps their spread: a mean of two would be smaller by sqrt(2)."""
        for name, weight in model.named_parameters():
            both = weight + self.mirrored(name, weight)
            weight.copy_(both / (2**0.5 if weight.ndim > 1 else 2))

    @torch.no_grad()
    def keep(self, model: nn.Module) -> None:
        """Makes the gradients symmetric, so that a step keeps the weights so: as if each face came mirrored as well."""
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]  # all have one
        row = torch.cat([gradient.flatten() for gradient in gradients])
        self.row = self.row.to(row.device)
        halves = (row + row[self.row]).div_(2).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [half.view_as(g) for half, g in zip(halves, gradients, strict=True)])

    def broken(self, model: nn.Module) -> float:
        """How far the weights are from symmetric: the norm of what is not, over that of all, 0 to 1."""
        pairs = [(weight - self.mirrored(name, weight), weight) for name, weight in model.named_parameters()]
        odd, whole = (sum(part.square().sum().item() for part in parts) for parts in zip(*pairs, strict=True))
        return (odd / 4 / whole) ** 0.5
