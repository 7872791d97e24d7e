"""A training run by config: what `elsface-lite train` makes of a file and of its arguments."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from ..errors import ElsfaceError
from ..network.elsface import ELSFace
from ..network.weights import load_pretrained
from .faces import pairs_of
from .fit import Report, checkpoints, naming_batch_size
from .run_config import RunConfig
from .symmetry import MirrorSymmetry
from .trainer import Trainer

# What a run may be given anew when it goes on: all that changes neither its network nor its steps so far.
EXTENDABLE = ("epochs", "validate_every", "checkpoint_every", "log_every", "workers")


def new_network(config: RunConfig) -> ELSFace:
    """The network of a run before its first step, without the weights that it may start with."""
    torch.manual_seed(config.train.seed)
    network = ELSFace(config.model)
    if config.train.symmetric:
        MirrorSymmetry(network).start(network)
    return network


def take_what_fits(network: ELSFace, name: str) -> list[str]:
    """Gives a network the trained weights of this name or path that have the names and shapes of its own.

    Returns:
        The names of those of its weights that are not among them.

    Raises:
        ElsfaceError: there are no such weights, or none of them fits.
    """
    own, found = network.state_dict(), load_pretrained(name).state_dict()
    fitting = {key: value for key, value in found.items() if key in own and value.shape == own[key].shape}
    if not fitting:
        raise ElsfaceError(f"no weight of {name} fits this network: start without it.")
    network.load_state_dict(own | fitting)
    return sorted(own.keys() - fitting.keys())


class Run:
    """The folder of a run that has a config: config.toml, and what `fit` writes beside it.

    Args:
        folder: must hold a config.toml.

    Raises:
        ElsfaceError: there is no such run.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.toml").is_file():
            raise ElsfaceError(f"there is no run in {folder}: it has no config.toml. Start one with --out.")
        self.folder = folder
        self.config = RunConfig.read(folder / "config.toml")

    @classmethod
    def create(cls, folder: Path, config: RunConfig) -> Self:
        """Makes the folder of a new run.

        Raises:
            ElsfaceError: it holds a run already, or cannot be written.
        """
        if (folder / "config.toml").exists():
            raise ElsfaceError(f"{folder} holds a run already: continue it with --resume, or choose another folder.")
        config.write(folder / "config.toml")
        return cls(folder)

    def extend(self, changes: Sequence[str]) -> None:
        """Changes the config of a run that is to go on, such as by `train.epochs=80`.

        Raises:
            ElsfaceError: a field that a run keeps from its first step to its last.
        """
        config = RunConfig.read(self.folder / "config.toml", changes)
        new = {name: getattr(config.train, name) for name in EXTENDABLE}
        if replace(self.config, train=replace(self.config.train, **new)) != config:
            allowed = ", ".join(f"train.{name}" for name in EXTENDABLE)
            raise ElsfaceError(f"a run that goes on keeps its config but for {allowed}: start a new one with --out.")
        config.write(self.folder / "config.toml")
        self.config = config

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return any(file.is_file() for file in checkpoints(self.folder))

    def trainer(self) -> Trainer:
        """The trainer of this run before its first step; `fit` finds its checkpoint.

        Raises:
            ElsfaceError: what is wrong with the faces, the fields or the weights to start with.
        """
        return trainer_of(self.config, self.folder, start=not self.begun)

    def train(self, report: Report | None = None, stop_at: int | None = None) -> Trainer:
        """Trains from the last checkpoint, or from the beginning, to the end; see `fit`."""
        return self.trainer().fit(self.folder, report, stop_at)


def trainer_of(config: RunConfig, folder: Path | None, start: bool = True) -> Trainer:
    """The trainer that a config describes.

    Args:
        config: of the run.
        folder: of the run, beside which decoded faces are kept; None decodes none, to find errors early.
        start: whether the network gets the weights that the config starts with.

    Raises:
        ElsfaceError: what is wrong with the faces, the fields or the weights to start with.
    """
    network = new_network(config)
    if start and config.start:
        take_what_fits(network, config.start)
    training, validation = pairs_of(config, folder)
    with naming_batch_size(config.train.batch_size):
        return Trainer(network, training, validation, config=config.train)
