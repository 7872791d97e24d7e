"""Trained weights by name (chapter 00), and those between two of them (chapter 09)."""

import os
from pathlib import Path

import torch

from ..errors import ElsfaceError
from .elsface import ELSFace
from .pretrained import WEIGHTS as WEIGHTS
from .pretrained import find_weights
from .pretrained import pretrained_names as pretrained_names
from .pretrained import read_card as read_card
from .pretrained import save_pretrained as save_pretrained

SHARP = "-gan"  # weights of this ending begin with those without it, and were trained for sharpness


def load_pretrained(name: str | os.PathLike[str], sharpness: float = 0.0) -> ELSFace:
    """A trained network, ready to restore faces: `ELSFace.from_pretrained`.

    Args:
        name: one of `pretrained_names()`, a .safetensors file, a folder with one, or a repository of the Hugging Face
            hub, "owner/name".
        sharpness: 0 for these weights, which were trained to be close to the truth, 1 for those of the name with "-gan"
            behind it, which were trained from there to look sharp; between the two, every weight is on the line between
            its two values (Wang et al., ESRGAN, ECCVW 2018, section 3.4).

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        ElsfaceError: see `ELSFace.from_pretrained`; sharpness is not 0 to 1, or there are no such weights.
    """
    if not 0 <= sharpness <= 1:
        raise ElsfaceError(f"sharpness goes from 0 (faithful) to 1 (sharp), not to {sharpness:g}.")
    network = ELSFace.from_pretrained(name)
    if sharpness:
        toward(network, ELSFace.from_pretrained(_sharp(name)), sharpness)
    return network


def _sharp(name: str | os.PathLike[str]) -> str | Path:
    """The weights for sharpness that belong to weights."""
    path = find_weights(name)
    sharp = path.with_stem(path.stem + SHARP)
    if not sharp.is_file():
        raise ElsfaceError(f"{name} has no weights for sharpness: there is no {sharp.name} beside it.")
    return sharp


@torch.no_grad()
def toward(network: ELSFace, other: ELSFace, share: float) -> None:
    """Moves a network's weights a share of the way, 0 to 1, to those of another.

    Raises:
        ElsfaceError: the two are not of one config.
    """
    if network.config != other.config:
        raise ElsfaceError("between networks of two configs there are no weights: they would not fit.")
    torch._foreach_lerp_(list(network.parameters()), list(other.parameters()), share)
