"""Degradations by name, for a config file or a command line."""

from collections.abc import Callable

from ..errors import ElsfaceError, did_you_mean
from .blind import Blind
from .degradation import Bicubic, Degradation

# name -> what makes it for a scale
DEGRADATIONS: dict[str, Callable[[int], Degradation]] = {"bicubic": Bicubic, "blind": Blind}


def degradation_named(name: str, scale: int) -> Degradation:
    """The degradation of this name.

    Args:
        name: "bicubic" or "blind".
        scale: LR pixels are this many HR pixels wide.

    Raises:
        ElsfaceError: there is none of this name; the message lists them.
    """
    if name not in DEGRADATIONS:
        meant = did_you_mean(name, DEGRADATIONS)
        raise ElsfaceError(f"there is no degradation {name!r}{meant}: choose {', '.join(DEGRADATIONS)}.")
    return DEGRADATIONS[name](scale)
