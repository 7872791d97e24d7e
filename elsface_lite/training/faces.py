"""The faces of a run: split by person, and decoded once into files that are mapped into memory."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.pairs import HR_SIZE, load_face, split_by_person
from ..data.sources import faces_in, people_of
from ..errors import ElsfaceError
from ..files import whole_file
from .run_config import RunConfig

UNREADABLE_SHARE = 0.01


def decode_faces(parts: Mapping[Path, Sequence[Path]]) -> None:
    """Decodes every face once into a file that `read_faces` maps into memory: it may be larger than the memory.

    Args:
        parts: for each file, the pictures that it gets, as 3 x 128 x 128 bytes each; those that cannot be read are
            skipped, each with a line on stderr.

    Raises:
        ElsfaceError: more than 1 % of all pictures, or all of one file, cannot be read: then no file appears.
    """
    with ExitStack() as stack:
        unreadable = []
        for file, paths in parts.items():
            lost = _decode(paths, stack.enter_context(whole_file(file)))
            if len(lost) == len(paths):
                raise ElsfaceError(f"none of the {len(paths)} pictures for {file.name} can be read, such as: {lost[0]}")
            unreadable += lost
        pictures = sum(map(len, parts.values()))
        if len(unreadable) > UNREADABLE_SHARE * pictures:
            raise ElsfaceError(f"{len(unreadable)} of {pictures} pictures cannot be read, such as: {unreadable[0]}")
    for message in unreadable:
        print(f"skipped: {message}", file=sys.stderr)


def _decode(paths: Sequence[Path], file: Path) -> list[str]:
    """Decodes pictures into a file; returns a message for each that cannot be read."""
    unreadable = []
    # Not through a memory map: a disk that is full would end the process by a signal, without a word.
    with file.open("wb") as faces:
        for path in tqdm(paths, "decoding", unit=" faces", leave=False, disable=None):
            try:
                faces.write(load_face(path, HR_SIZE).numpy().tobytes())
            except ElsfaceError as error:
                unreadable.append(str(error))
    return unreadable


def read_faces(file: Path) -> np.ndarray:
    """The faces of a file of `decode_faces`, mapped into memory: (n, 3, 128, 128) uint8.

    Raises:
        OSError, ValueError: there is no such file, or it does not hold a whole number of faces.
    """
    return np.memmap(file, np.uint8, "r").reshape(-1, 3, HR_SIZE, HR_SIZE)


def split_faces(config: RunConfig) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, with `held_out` people in validation: the same ones for every `train.seed`.

    Without a table of people every picture counts as a person of its own.

    Raises:
        ElsfaceError: no folder is named, it has no picture, or the people cannot be told apart or split.
    """
    if not config.faces:
        raise ElsfaceError("there is nothing to train on: name the folder of faces with --faces.")
    paths = faces_in(config.faces)
    # By its place in the folder: s1/1.png and s2/1.png are two pictures.
    own = [path.relative_to(config.faces).as_posix() for path in paths]
    people = people_of(paths, config.people) if config.people else own
    try:
        training, validation = split_by_person(people, config.held_out, seed=0)
    except ElsfaceError as error:
        raise ElsfaceError(f"{error} It is set by --set data.held_out=N.") from error
    return [paths[i] for i in training], [paths[i] for i in validation]
