"""The config of a run, as config.toml and as `--set table.field=value`."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from ..config import Config, Strings
from ..data.pairs import HR_SIZE
from ..errors import ElsfaceError
from ..files import whole_file
from ..network.elsface import ELSFaceConfig
from ..network.weights import load_pretrained
from .config import TrainConfig

AnyConfig = TypeVar("AnyConfig", bound=Config)


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """The table `data` of a run.

    Args:
        faces: folders of HR faces, searched with all below them.
        lr: a folder of LR faces with the names of those HR faces; without it, LR faces are made by `degradation`.
        validation: a folder of HR faces to be measured on; without it, people of `faces` are held out.
        people: tables (file, identity) that say who is on a picture; without any, each picture is a person of its own.
        held_out: how many people are held out.
        at_most: how many of the other faces are trained on, drawn once for all runs; 0 takes all.
        size: side of the HR faces in pixels.
        degradation: how LR faces are made, by name.
        enlarge: takes pictures that are smaller than size as well.

    Raises:
        ValueError: a value that cannot be, with the reason.
    """

    faces: Strings = ()
    lr: str = ""
    validation: Strings = ()
    people: Strings = ()
    held_out: int = 60
    at_most: int = 0
    size: int = HR_SIZE
    degradation: str = "bicubic"
    enlarge: bool = False

    def check(self) -> None:
        self.check_least(1, "held_out", "size")
        self.check_least(0, "at_most")
        if self.lr and (self.validation or len(self.faces) > 1):
            raise ValueError("data.lr goes with one folder of HR faces, of which people are held out.")
        if len(self.people) > 1 and len(self.people) != len(self.faces):
            raise ValueError("data.people is one table for all folders, or one for each of them in their order.")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that defines a run: the network and the weights it starts with, the training, and the faces."""

    model: ELSFaceConfig
    start: str
    train: TrainConfig
    data: DataConfig

    @classmethod
    def from_dict(cls, tables: dict[str, dict[str, Any]]) -> Self:
        """From the tables `model`, `train` (each with an optional `preset`) and `data`, as in config.toml.

        `start` in the table model names weights, as `load_pretrained` does; fields left out there are taken from them.

        Raises:
            ElsfaceError: an unknown table or field, a value that cannot be, or no such weights, with the reason.
        """
        unknown = sorted(tables.keys() - {"model", "train", "data"})
        if unknown:
            raise ElsfaceError(f"a run has the tables model, train and data, not {', '.join(unknown)}.")
        if plain := [name for name, table in tables.items() if not isinstance(table, dict)]:
            raise ElsfaceError(f"{plain[0]} is a table: give its fields, as in [{plain[0]}] or by --set.")
        network = dict(tables.get("model", {}))
        start = str(network.pop("start", ""))
        if start and len(network) < len(fields(ELSFaceConfig)):  # a run's own config.toml names them all
            network = load_pretrained(start).config.to_dict() | network
        try:
            data = DataConfig.from_dict(tables.get("data", {}))
            model = _preset(ELSFaceConfig, network)
            train = _preset(TrainConfig, tables.get("train", {}))
        except ValueError as error:
            raise ElsfaceError(str(error)) from error
        return cls(model=model, start=start, train=train, data=data)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The tables of config.toml, with every field written out."""
        model = self.model.to_dict() | ({"start": self.start} if self.start else {})
        return {"data": self.data.to_dict(), "model": model, "train": self.train.to_dict()}

    @classmethod
    def read(cls, file: Path | None, changes: Sequence[str] = ()) -> Self:
        """From a TOML file, if one is given, with `table.field=value` changes applied over it.

        Raises:
            ElsfaceError: the file cannot be read or a change is not of that form; see also `from_dict`.
        """
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8")) if file else {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ElsfaceError(f"cannot read the config {file}: {error}.") from error
        for change in changes:
            name, equals, value = change.partition("=")
            table, dot, field = name.strip().partition(".")
            if not (equals and dot):
                raise ElsfaceError(f"--set takes table.field=value (such as train.epochs=3), not {change!r}.")
            if isinstance(fields_of_table := tables.setdefault(table, {}), dict):
                fields_of_table[field] = _toml_value(value.strip())
        return cls.from_dict(tables)

    def write(self, file: Path) -> None:
        """Writes the TOML file, whole or not at all; JSON's plain values are TOML's as well."""
        lines = []
        for table, values in self.to_dict().items():
            written = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
            lines += [f"[{table}]", *written, ""]
        with whole_file(file) as beside:
            beside.write_text("\n".join(lines), encoding="utf-8")


def _preset(kind: type[AnyConfig], values: dict[str, Any]) -> AnyConfig:
    """A config from its table; `preset` ("lite" or "paper") says what is not named."""
    values = dict(values)
    preset = values.pop("preset", "lite")
    if preset not in ("lite", "paper"):
        raise ValueError(f'preset must be "lite" or "paper", not {preset!r}.')
    return getattr(kind, preset)(**values)


def _toml_value(text: str) -> Any:
    """A value as TOML reads it; what is no TOML value is a string, so that quotes may be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
