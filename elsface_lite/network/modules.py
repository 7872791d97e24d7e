"""What is asked of any module: what it is, what is in its wrapping, and to be in evaluation mode for a while."""

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from torch import nn

Network = TypeVar("Network", bound=nn.Module)

_entered: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # how many threads evaluate each network
_training: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()  # what was in training mode before
_lock = threading.Lock()


def kind(module: nn.Module) -> type[nn.Module]:
    """The class whose computation a module does, for those who know some classes and leave all others alone.

    Args:
        module: any.

    Returns:
        Its own class, or the base of it that has the forward pass, if none of the base's methods is overridden (but
        `__init__`); nn.Module, of which nobody knows anything, if the object itself was given another `forward`.
    """
    if "forward" in vars(module):
        return nn.Module
    bases = inspect.getmro(type(module))
    base = next(base for base in bases if "forward" in vars(base))
    own = {name for before in bases[: bases.index(base)] for name in vars(before)}
    methods = {name for name, value in vars(base).items() if inspect.isfunction(value)} - {"__init__"}
    return type(module) if methods & own else base


def unwrapped(model: nn.Module) -> nn.Module:
    """The network within torch.compile, DataParallel or DistributedDataParallel; any other is returned as it is."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, parallel) or "_orig_mod" in model._modules:
        model = model.module if isinstance(model, parallel) else model._orig_mod  # type: ignore[assignment]
    return model


@contextmanager
def evaluating(model: Network) -> Iterator[Network]:
    """Within it a network is in evaluation mode; then each of its modules gets its own mode back.

    Several threads may share a network: the first one in changes the modes, the last one out restores them.

    Args:
        model: any module.

    Yields:
        The same module.
    """
    with _lock:
        if not _entered.get(model):
            _training[model] = [module for module in model.modules() if module.training]
            model.eval()
        _entered[model] = _entered.get(model, 0) + 1
    try:
        yield model
    finally:
        with _lock:
            _entered[model] -= 1
            if not _entered[model]:
                for module in _training.pop(model):
                    module.training = True
