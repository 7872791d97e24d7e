"""Trained weights by name (chapter 00)."""

import os

from .elsface import ELSFace
from .pretrained import WEIGHTS as WEIGHTS
from .pretrained import pretrained_names as pretrained_names
from .pretrained import read_card as read_card
from .pretrained import save_pretrained as save_pretrained


def load_pretrained(name: str | os.PathLike[str]) -> ELSFace:
    """A trained network, ready to restore faces: `ELSFace.from_pretrained`.

    Args:
        name: one of `pretrained_names()`, a .safetensors file, a folder with one, or a repository of the Hugging Face
            hub, "owner/name".

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        ElsfaceError: see `ELSFace.from_pretrained`.
    """
    return ELSFace.from_pretrained(name)
