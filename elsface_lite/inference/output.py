"""Restored pictures in files: the tree of the input again, no two inputs in one file, and a record of what is done."""

import json
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.formats import WRITTEN, kind_named, kind_of
from ..errors import ElsfaceError
from ..files import unwritable
from .task import Task

RECORD = ".elsface-lite.jsonl"
LONGEST = 200  # bytes of a name's stem: what may follow it has to fit into 255 as well


class Output:
    """The folder that results go to.

    A line of its record says of an input (its path, size and time) which files were made of it, and how. By this a
    later call knows what is done, and gives the same input the same name, and no other the name of it.

    Args:
        folder: made if it is not there.
        kind: of the files, a key of `WRITTEN`; None for each input's own.
        quality: of JPEG, WebP, AVIF and HEIC, 1 to 100; None for the usual.
        how: what else the results depend on; what was done otherwise is not done.

    Raises:
        ElsfaceError: the folder cannot be made or written to.
    """

    def __init__(
        self, folder: str | os.PathLike[str], kind: str | None = None, quality: int | None = None, how: str = ""
    ) -> None:
        self.folder, self.kind, self.quality, self.how = Path(folder), kind, quality, how
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise ElsfaceError(f"cannot write into {folder}: {error.strerror}. Choose another folder.") from error
        self.record = _read(self.folder / RECORD)
        self.owners = {_key(file): source for source, entry in self.record.items() for file in entry["files"]}
        self.originals: set[str] = set()
        self.lock = threading.Lock()

    def is_result(self, path: Path) -> bool:
        """Whether an earlier call has written this file."""
        try:
            below = Path(os.path.realpath(path)).relative_to(os.path.realpath(self.folder))
        except ValueError:
            return False
        return _key(below.as_posix()) in self.owners

    def keep(self, task: Task) -> bool:
        """Whether an earlier call has done this task, which is noted."""
        done = self.record.get(_source(task))
        if not done or not isinstance(task.picture, Path):
            return False
        if (_stamp(task.picture), self.how) != ((done["size"], done["time"]), done["how"]):
            return False
        files = [self.folder / file for file in done["files"]]
        if not files or not all(file.is_file() for file in files):
            return False
        task.picture, task.result.kept, task.result.files = None, True, files
        return True

    def claim(self, tasks: Sequence[Task]) -> None:
        """Gives each task its name, in order, before any is written; one whose file is gone keeps the error."""
        # Not Path.resolve, which raises for links in a circle.
        self.originals = {os.path.realpath(task.picture) for task in tasks if isinstance(task.picture, Path)}
        for task in tasks:
            if task.result.error:
                continue
            try:
                task.below = self._free(_source(task), _shortened(task.below), self._suffix(task))
            except ElsfaceError as error:
                task.fail(error)

    def _suffix(self, task: Task) -> str:
        """Of its results: the input's own, where that is the name of their kind."""
        kind = self.kind or (kind_of(task.picture) if isinstance(task.picture, Path) else "PNG")
        return task.below.suffix if kind_named(task.below) == kind else WRITTEN[kind].suffix

    def _free(self, source: str, below: Path, suffix: str) -> Path:
        """The name with this suffix, or name-2, name-3, ... if it is another input's."""
        stem, number = below.stem if below.suffix else below.name, 1
        while True:
            name = below.with_name(f"{stem}{f'-{number}' if number > 1 else ''}{suffix}")
            if self.owners.setdefault(_key(name.as_posix()), source) == source:
                return name
            number += 1

    def write(self, task: Task) -> None:
        """Writes what is to be written of a task as name, name-face2, ..., and then a line into the record.

        Raises:
            ElsfaceError: a file cannot be written, or would replace an input.
        """
        source, stamp = _source(task), _stamp(task.picture)
        names = [task.below]
        for number in range(2, len(task.written) + 1):
            face = task.below.with_stem(f"{task.below.stem}-face{number}")
            names.append(self._free(source, face, face.suffix))
        paths = [self.folder / name for name in names[: len(task.written)]]
        for path in paths:
            if os.path.realpath(path) in self.originals:
                raise ElsfaceError(f"{path} is itself an input and would be lost: choose another output folder.")
        if task.written:
            lost = task.written[0].lost(kind_of(paths[0]))
            task.result.note = "; ".join(filter(None, (task.result.note, lost))) or None
        for photo, path in zip(task.written, paths, strict=True):
            photo.write(path, kind_of(path), self.quality)
        task.result.files, task.result.images, task.written = paths, [], []
        if stamp and paths:
            files = [name.as_posix() for name in names[: len(paths)]]
            self._note({"input": source, "size": stamp[0], "time": stamp[1], "files": files, "how": self.how})

    def _note(self, entry: dict[str, Any]) -> None:
        path = self.folder / RECORD
        try:
            with self.lock, path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise unwritable(path, error) from error


def _read(path: Path) -> dict[str, Any]:
    """The last line about each input; a line that was cut off by a kill, or is none, is passed over."""
    found: dict[str, Any] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
            known = {name: entry[name] for name in ("size", "time", "how")}
            found[entry["input"]] = known | {"files": list(entry["files"])}
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _source(task: Task) -> str:
    """What the record calls an input."""
    return os.path.abspath(task.picture) if isinstance(task.picture, Path) else task.result.source  # noqa: PTH100


def _stamp(picture: object) -> tuple[int, int] | None:
    """Size and time of a file, by which it is seen to have changed; None for what is none."""
    if not isinstance(picture, Path):
        return None
    try:
        facts = picture.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _key(name: str) -> str:
    """Some file systems hold A and a for the same."""
    return name.casefold()


def _shortened(below: Path) -> Path:
    """A name that a file system takes, with what may follow it."""
    stem = os.fsencode(below.stem)
    if len(stem) <= LONGEST:
        return below
    return below.with_name(stem[:LONGEST].decode("utf-8", errors="ignore") + below.suffix)
