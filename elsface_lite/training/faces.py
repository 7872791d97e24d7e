"""The pairs of a run: its folders, who is held out, and how LR faces are made."""

from pathlib import Path

import torch
from torch.utils.data import Dataset, Subset

from ..data.cache import DecodedFaces, FaceArray
from ..data.degradation import generator
from ..data.folders import PairedFolders
from ..data.named import degradation_named
from ..data.pairs import FacePairs, split_by_person
from ..data.people import people_of
from ..data.sources import faces_in
from ..errors import ElsfaceError
from .batches import Pair
from .fit import processes
from .run_config import DataConfig, RunConfig


def people_in(folder: str, table: str) -> tuple[list[Path], list[str]]:
    """The pictures of a folder, and who is on each; without a table, each is a person of its own."""
    paths = faces_in(folder)
    if not table:
        return paths, [path.relative_to(folder).as_posix() for path in paths]
    return paths, people_of(paths, table, folder)


def split_faces(data: DataConfig) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, at most `at_most` for training: the same ones for every `train.seed`.

    Raises:
        ElsfaceError: see `_all_faces`.
    """
    training, validation = _all_faces(data)
    if 0 < data.at_most < len(training):  # of two runs, the one with fewer faces has none that the other has not
        drawn = torch.randperm(len(training), generator=generator(0))[: data.at_most]
        training = [training[i] for i in sorted(drawn.tolist())]
    return training, validation


def _all_faces(data: DataConfig) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, with `held_out` people in validation.

    Raises:
        ElsfaceError: no folder is named, it has no picture, or the people cannot be told apart or split.
    """
    if not data.faces:
        raise ElsfaceError("there is nothing to train on: name the folder of faces with --faces.")
    tables = data.people if len(data.people) == len(data.faces) else (data.people or ("",)) * len(data.faces)
    found = [people_in(folder, table) for folder, table in zip(data.faces, tables, strict=True)]
    paths, people = ([entry for part in parts for entry in part] for parts in zip(*found, strict=True))
    if data.validation:
        held_out = [path for folder in data.validation for path in faces_in(folder)]
        there = {path.resolve() for path in held_out}
        return [path for path in paths if path.resolve() not in there], held_out
    training, validation = _split(people, data.held_out)
    return [paths[i] for i in training], [paths[i] for i in validation]


def _split(people: list[str], held_out: int) -> tuple[list[int], list[int]]:
    try:
        return split_by_person(people, held_out, seed=0)
    except ElsfaceError as error:
        raise ElsfaceError(f"{error} It is set by --set data.held_out=N.") from error


def pairs_of(config: RunConfig, folder: Path | None) -> tuple[Dataset[Pair], Dataset[Pair]]:
    """Pairs for training and for validation.

    Args:
        config: of the run.
        folder: of the run; decoded faces are kept beside it, for all runs there. None decodes none.

    Raises:
        ElsfaceError: see `split_faces`; pictures that cannot be read, or are smaller than the HR size.
    """
    data, scale = config.data, config.model.scale
    if data.lr:
        paired = PairedFolders(data.lr, *data.faces)
        training, validation = _split(list(paired.names), data.held_out)
        return Subset(paired, training), Subset(paired, validation)
    options = dict(scale=scale, degradation=degradation_named(data.degradation, scale))
    parts = split_faces(data)
    if folder is None:
        made = [FacePairs(paths, size=data.size, enlarge=data.enlarge, **options) for paths in parts]  # type: ignore[arg-type]
        return made[0], made[1]
    with processes().main_process_first():  # one decodes while the others wait
        decoded = DecodedFaces([*parts[0], *parts[1]], folder.resolve().parent / ".faces", data.size, data.enlarge)
    place = {path: index for index, path in enumerate(decoded.paths)}
    chosen = [[place[path] for path in paths if path in place] for paths in parts]
    if not all(chosen):
        raise ElsfaceError(
            "no picture that is held out can be read." if chosen[0] else "no training picture can be read."
        )
    pairs = [FaceArray(decoded, indices=indices, **options) for indices in chosen]  # type: ignore[arg-type]
    return pairs[0], pairs[1]
