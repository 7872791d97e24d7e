"""Trained weights in one file: safetensors, whose metadata say what network they are of (chapter 00)."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..config import Config
from ..errors import ElsfaceError, did_you_mean
from ..files import whole_file
from . import hub
from .modules import unwrapped

WEIGHTS = Path(__file__).parent.parent / "weights"
FORMAT = 2
KEY = "elsface_lite"  # of the metadata: a card as JSON
AGAIN = "get it again"


class OtherThanConfig(ElsfaceError):
    """A network is not the one that its config builds."""


class Pretrained(nn.Module):
    """A network that is built from its config alone, and so can be written to one file and built from it.

    `config_class` is the class of its config; the constructor takes one such, and keeps it as `config`.
    """

    config_class: ClassVar[type[Config]] = Config
    config: Any

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str]) -> Self:
        """A trained network of this class, ready to restore faces.

        Args:
            name: one of `pretrained_names()`, a .safetensors file, a folder with one, or a repository of the Hugging
                Face hub, "owner/name" (needs the extra `train`; the variable HF_ENDPOINT names another hub).

        Returns:
            The network in evaluation mode, on the CPU, in float32.

        Raises:
            ElsfaceError: no such weights; or they are damaged, of another class than this and its bases, or do not fit
                their own config. The message names the file and says what to do.
        """
        path = find_weights(name)
        with _opened(path) as file:
            card = _card(file, path)
            classes = [base.__name__ for base in cls.__mro__]
            if card["class"] not in classes:
                raise ElsfaceError(
                    f"{path} holds a {card['class']}, not a {cls.__name__}: load it by {card['class']}.from_pretrained."
                )
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dictionary)
            if _checksum(card, state) != card["sha256"]:
                raise ElsfaceError(f"{path} is damaged (checksum): {AGAIN}.")
            try:
                return _build(cls, card["config"], state).eval()
            except (ValueError, RuntimeError, TypeError, AttributeError, LookupError) as error:
                raise ElsfaceError(f"{path} does not fit its own config: {_one_line(error)} {AGAIN}.") from error

    def save_pretrained(self, path: str | os.PathLike[str], dtype: torch.dtype = torch.float32, **facts: Any) -> Path:
        """Writes the network into one file, from which `from_pretrained` builds it; see the function of this name."""
        return save_pretrained(self, path, dtype, **facts)

    def push_to_hub(
        self, repository: str, *, private: bool = False, token: str | None = None,
        dtype: torch.dtype = torch.float32, **facts: Any,
    ) -> None:  # fmt: skip
        """Puts the network into a repository of the Hugging Face hub, as `from_pretrained(repository)` finds it.

        Args:
            repository: "owner/name"; it is made if there is none.
            private: whether a new repository is for its owner alone.
            token: of the hub; None takes the one of `hf auth login`.
            dtype, facts: see `save_pretrained`.

        Raises:
            ElsfaceError: the extra `train` is missing, the hub does not take it, or see `save_pretrained`.
        """
        with tempfile.TemporaryDirectory() as folder:
            hub.upload(save_pretrained(self, folder, dtype, **facts), repository, private, token)


def pretrained_names() -> list[str]:
    """The weights that come with the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))


def find_weights(name: str | os.PathLike[str]) -> Path:
    """The file that weights are in; see `Pretrained.from_pretrained`.

    Raises:
        ElsfaceError: there are none of this name, or a folder does not have one such file.
    """
    if str(name) in pretrained_names():
        return WEIGHTS / f"{name}.safetensors"
    path = Path(name)
    if path.suffix == ".safetensors" and not path.is_dir():
        return path
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise ElsfaceError(f"the folder {path} holds {len(files)} .safetensors files: name one of them, not it.")
        return files[0]
    # What seems to be in a folder that is here, but is not, is not looked for elsewhere.
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", str(name)) and not path.parent.is_dir():
        return hub.download(str(name))
    known = ", ".join(pretrained_names()) or "none is installed"
    meant = did_you_mean(str(name), pretrained_names())
    raise ElsfaceError(
        f"there are no weights {str(name)!r}{meant}: name one of {known}, a .safetensors file, a folder with one, or a "
        "repository of the Hugging Face hub, owner/name."
    )


def read_card(name: str | os.PathLike[str]) -> dict[str, Any]:
    """What weights say about themselves.

    Args:
        name: see `Pretrained.from_pretrained`.

    Returns:
        `class` and `config` of the network, `scale`, `format`, `sha256` of all the rest and the tensors, and whatever
        else `save_pretrained` was told.

    Raises:
        ElsfaceError: there are no such weights, or they say nothing that can be understood.
    """
    path = find_weights(name)
    with _opened(path) as file:
        return _card(file, path)


def save_pretrained(
    model: nn.Module, path: str | os.PathLike[str], dtype: torch.dtype = torch.float32, **facts: Any
) -> Path:
    """Writes a network into one file, whole or not at all.

    Args:
        model: an ELSFace, or another `Pretrained`; one that is compiled or parallel is taken out of its wrapping.
        path: a .safetensors file, or a folder, which gets model.safetensors. Missing folders are made.
        dtype: torch.float16 halves the file; loading gives float32 again.
        facts: what else the file should say of itself, for JSON: training data, steps, PSNR.

    Returns:
        The file.

    Raises:
        OtherThanConfig: the network is not the one that its config builds, such as one of `optimize`.
        ElsfaceError: the file cannot be written.
    """
    model, path = unwrapped(model), Path(path)
    if not isinstance(model, Pretrained):
        raise ElsfaceError(f"what is saved is an ELSFace, not a {type(model).__name__}: build yours on ELSFace.")
    if path.suffix != ".safetensors":
        if path.suffix and not path.is_dir():
            raise ElsfaceError(f"weights go to a .safetensors file or into a folder, not to {path.name}.")
        path /= hub.FILE
    state = {key: _copied(value.detach().cpu(), dtype) for key, value in model.state_dict().items()}
    _check_shapes(model, state)
    card = {**facts, "format": FORMAT, "class": type(model).__name__, "config": model.config.to_dict()}
    if hasattr(model.config, "scale"):
        card["scale"] = model.config.scale
    try:
        card = json.loads(json.dumps(card))
    except (TypeError, ValueError) as error:
        raise ElsfaceError(f"facts are what JSON can hold: {_one_line(error)}.") from error
    card["sha256"] = _checksum(card, state)
    data = safetensors.torch.save(state, {KEY: json.dumps(card)})
    with whole_file(path) as beside:
        beside.write_bytes(data)
    return path


def _check_shapes(model: Pretrained, state: dict[str, Tensor]) -> None:
    name = type(model).__name__
    try:
        wrong = _misfits(_hollow(type(model), model.config), state)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise OtherThanConfig(f"a {name} cannot be built from its config alone: {_one_line(error)}.") from error
    if wrong:
        raise OtherThanConfig(
            f"these weights are not those of {name}(config), see {wrong[0]}: save the network as it was before "
            "`optimize`, or make your changes in the constructor of a subclass."
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        path.open("rb").close()
        with safe_open(path, "pt") as file:
            yield file
    except ElsfaceError:
        raise
    except OSError as error:
        raise ElsfaceError(f"cannot read the weights {path}: {error.strerror or _one_line(error)}.") from error
    except SafetensorError as error:
        raise ElsfaceError(f"{path} is damaged, or no safetensors file: {AGAIN}.") from error


def _card(file: Any, path: Path) -> dict[str, Any]:
    try:
        card = json.loads((file.metadata() or {}).get(KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise ElsfaceError(f"{path} is damaged in what it says of itself: {AGAIN}.") from error
    if not isinstance(card, dict):
        raise ElsfaceError(f"{path} does not say what network it is of: save it by save_pretrained.")
    if card.get("format") != FORMAT:
        raise ElsfaceError(f"{path} is of format {card.get('format')}, not {FORMAT}: update elsface-lite.")
    fields = {"class": str, "config": dict, "sha256": str}
    if lacking := [name for name, kind in fields.items() if not isinstance(card.get(name), kind)]:
        raise ElsfaceError(f"{path} is damaged in what it says of itself ({', '.join(lacking)}): {AGAIN}.")
    return card


def _checksum(card: dict[str, Any], state: dict[str, Tensor]) -> str:
    """SHA-256 of a card but for its own checksum, and of all tensors by name, type, shape and bytes."""
    text = {key: value for key, value in card.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    for key, value in sorted(state.items()):
        digest.update(f"\n{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _copied(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of its own, in another precision if these are no whole numbers."""
    return value.to(dtype if value.is_floating_point() else value.dtype, copy=True).contiguous()


class _Hollow(TorchFunctionMode):
    """Within it, layers have shapes but no memory: they all begin as torch.empty. At most `most` tensors begin."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is not torch.empty:
            return func(*args, **(kwargs or {}))
        self.left -= 1
        if self.left < 0:
            raise ValueError("its config has more layers than there are weights.")
        return func(*args, **((kwargs or {}) | {"device": "meta"}))


def _hollow(cls: type[Pretrained], config: Config, most: float = float("inf")) -> Pretrained:
    """A network that has shapes only."""
    with _Hollow(most):
        return cls(config)  # type: ignore[arg-type]


def _misfits(model: nn.Module, state: dict[str, Tensor]) -> list[str]:
    """The names of tensors that are missing in a state, too many, or of another shape than the network's."""
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    return sorted(
        key for key in shapes.keys() | state.keys() if key not in state or shapes.get(key) != state[key].shape
    )


def _build(cls: type[Any], config: dict[str, Any], state: dict[str, Tensor]) -> Any:
    """The network with these weights. A config that the weights cannot fill is refused before memory goes to it."""
    checked = cls.config_class.from_dict(config)
    model = _hollow(cls, checked, 2 * len(state) + 1000)  # a subclass may build more than it keeps
    if wrong := _misfits(model, state):
        raise ValueError(f"{len(wrong)} tensors are missing, too many or of another shape, the first is {wrong[0]}.")
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("some weights are not finite.")
    copied = {key: _copied(value, torch.float32) for key, value in state.items()}
    model.load_state_dict(copied, assign=True)
    if any(value.is_meta for value in [*model.parameters(), *model.buffers()]):  # what a file does not hold
        model = cls(checked)
        model.load_state_dict(copied)
    return model


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
