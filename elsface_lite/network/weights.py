"""Trained weights in files: safetensors, and a JSON card beside that says what they are (chapter 00)."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import ElsfaceError
from ..files import whole_file
from .elsface import ELSFace, ELSFaceConfig

WEIGHTS = Path(__file__).parent.parent / "weights"
FORMAT = 1


def pretrained_names() -> list[str]:
    """The weights that come with the package: each has a card there, which is the only list of them."""
    return sorted(card.stem for card in WEIGHTS.glob("*.json"))


def load_pretrained(name: str | os.PathLike[str]) -> ELSFace:
    """A trained network, ready to restore faces.

    Args:
        name: one of `pretrained_names()`, or the path of a .safetensors file with its .json card beside it, as
            `save_pretrained` writes them.

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        ElsfaceError: no such weights; or the file or its card is missing, damaged, or one does not fit the other. The
            message names the file and says what to do.
    """
    path = _find(name)
    card = read_card(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ElsfaceError(f"cannot read the weights {path}: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != card["sha256"]:
        raise ElsfaceError(f"{path} is damaged, or another file than its card describes (checksum): get both again.")
    try:
        state = {key: value.float() for key, value in safetensors.torch.load(data).items()}
        return _build(card["config"], state).eval()
    except (SafetensorError, ValueError, RuntimeError, TypeError) as error:
        raise ElsfaceError(f"{path} does not fit its card: {_one_line(error)} Get both again.") from error


def _find(name: str | os.PathLike[str]) -> Path:
    if str(name) in pretrained_names():
        return WEIGHTS / f"{name}.safetensors"
    path = Path(name)
    if path.suffix != ".safetensors":
        known = ", ".join(pretrained_names()) or "none is installed"
        raise ElsfaceError(f"there are no weights {str(name)!r}: name one of {known}, or a .safetensors file.")
    return path


def read_card(path: Path) -> dict[str, Any]:
    """The card of a weights file.

    Args:
        path: the .safetensors file; its card has the same name with .json.

    Returns:
        `format`, `config` (the fields of ELSFaceConfig), `scale`, `sha256` of the weights file, and whatever else
        `save_pretrained` was told.

    Raises:
        ElsfaceError: there is no card, or it lacks what it must have.
    """
    path = path.with_suffix(".json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ElsfaceError(f"cannot read the card {path}, which weights need: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ElsfaceError(f"the card {path} is damaged: get it again, with its weights.") from error
    if not isinstance(card, dict) or not isinstance(card.get("config"), dict) or "sha256" not in card:
        raise ElsfaceError(f"the card {path} lacks `config` or `sha256`: get it again, with its weights.")
    if card.get("format") != FORMAT:
        raise ElsfaceError(f"the card {path} is of format {card.get('format')}, not {FORMAT}: update elsface-lite.")
    return card


class _Hollow(TorchFunctionMode):
    """Within it, layers have shapes but no memory: they all begin as torch.empty."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return func(*args, **((kwargs or {}) | ({"device": "meta"} if func is torch.empty else {})))


def _hollow(config: ELSFaceConfig) -> ELSFace:
    """A network that has shapes only."""
    with _Hollow():
        return ELSFace(config)


def _misfits(model: ELSFace, state: dict[str, Tensor]) -> list[str]:
    """The names of tensors that are missing in a state, too many, or of another shape than the network's."""
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    return sorted(
        key for key in shapes.keys() | state.keys() if key not in state or shapes.get(key) != state[key].shape
    )


def _build(config: dict[str, Any], state: dict[str, Tensor]) -> ELSFace:
    """The network with these weights. A config that the weights cannot fill is refused before memory goes to it."""
    checked = ELSFaceConfig.from_dict(config)
    if checked.window > 32 or any(type(value) is int and value > 1024 for value in config.values()):
        raise ValueError("its config asks for a network of absurd size.")
    blocks = checked.hfebs * max(1, checked.hfeb_blocks) + checked.head_blocks + checked.cnn_blocks + checked.depth
    if blocks > len(state):
        raise ValueError(f"its config has {blocks} blocks, and the weights only {len(state)} tensors.")
    model = _hollow(checked)
    if wrong := _misfits(model, state):
        raise ValueError(f"{len(wrong)} tensors are missing, too many or of another shape, the first is {wrong[0]}.")
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("some weights are not finite.")
    model.load_state_dict(state, assign=True)
    return model


def save_pretrained(
    model: ELSFace, path: str | os.PathLike[str], dtype: torch.dtype = torch.float32, **facts: Any
) -> None:
    """Writes a network's weights and their card, both whole or neither.

    Args:
        model: the network.
        path: the .safetensors file; the card goes beside it. Missing folders are made.
        dtype: torch.float16 halves the file; `load_pretrained` gives float32 again.
        facts: what else the card should say, for JSON: training data, steps, PSNR.

    Raises:
        ElsfaceError: the files cannot be written, or the network is one of `optimize`, with other shapes.
        ValueError: the path does not end in .safetensors.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"weights go to a .safetensors file, not {path.name}.")
    state = {key: value.detach().to("cpu", dtype).contiguous() for key, value in model.state_dict().items()}
    if _misfits(_hollow(model.config), state):
        raise ElsfaceError("these weights are not those of the network's config: save it as it was before `optimize`.")
    data = safetensors.torch.save(state)
    config = model.config
    card = {"format": FORMAT, "scale": config.scale, "config": config.to_dict(), **facts}
    card["sha256"] = hashlib.sha256(data).hexdigest()
    with whole_file(path) as weights_beside, whole_file(path.with_suffix(".json")) as card_beside:
        weights_beside.write_bytes(data)
        card_beside.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
