"""What the frozen configs of network and training have in common: checked types, and dicts in and out."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, ParamSpec, Self, TypeVar, get_args, get_type_hints

from .errors import did_you_mean

Strings = tuple[str, ...]
Fields = ParamSpec("Fields")
AnyConfig = TypeVar("AnyConfig")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the frozen configs. Fields are bool, int, float, str, a Literal of strings, or a tuple of strings.

    An int serves as a float, and a list or a single string as a tuple.

    Raises:
        ValueError: a value of another type, one that is not among the choices, or a number that is not finite, or
            beyond 64 bits.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name, value in asdict(self).items():
            if hints[name] == Strings:
                value = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
                object.__setattr__(self, name, value)
                if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
                    raise ValueError(f"{name} must be a list of strings, not {value!r}.")
                continue
            choices = get_args(hints[name])
            if choices and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}.")
            if hints[name] is float and type(value) is int:
                object.__setattr__(self, name, float(value))
            elif not choices and type(value) is not hints[name]:
                raise ValueError(f"{name} must be of type {hints[name].__name__}, not {value!r}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value}.")
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError(f"{name} must lie between -2^63 and 2^63, not {value}.")
        self.check()

    def check(self) -> None:
        """What a config demands of its values beyond their types: raises ValueError with the reason."""

    def check_least(self, least: float, *names: str) -> None:
        """Raises ValueError for the first named field that is below `least` (or is no number)."""
        for name in names:
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; fields that are left out take their defaults.

        Raises:
            ValueError: a key that is no field, by name, or a value that cannot be.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(values.keys() - set(known))
        if unknown:
            meant = {name: did_you_mean(name, known) for name in unknown}
            named = ", ".join(name + hint for name, hint in meant.items())
            others = "" if all(meant.values()) else f"; it has {', '.join(known)}"
            raise ValueError(f"{cls.__name__} has no field {named}{others}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, for JSON or TOML."""
        return asdict(self)


def preset(
    config: Callable[Fields, AnyConfig], values: dict[str, Any], *none: Fields.args, **changes: Fields.kwargs
) -> AnyConfig:
    """A config of these values, with changes if any are named. Type checkers know the names.

    Raises:
        TypeError: a value without a name.
        ValueError: see `Config.from_dict`.
    """
    if none:
        raise TypeError(f"the fields of a config are named, as in channels=48: not {none[0]!r}.")
    return config.from_dict(values | changes)  # type: ignore[attr-defined]
