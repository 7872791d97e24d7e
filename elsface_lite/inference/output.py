"""Restored pictures in files: a name for each, none written over an input, none done twice."""

import os
import tempfile
from pathlib import Path

from ..data.images import write_png
from ..errors import ElsfaceError
from .task import Task


class Output:
    """The folder that results go to, each under a name of its own.

    Raises:
        ElsfaceError: the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], tasks: list[Task]) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise ElsfaceError(f"cannot write into {folder}: {error.strerror}. Choose another folder.") from error
        self.taken: dict[str, int] = {}
        # Not Path.resolve, which raises for links in a circle.
        self.originals = {os.path.realpath(task.picture) for task in tasks if isinstance(task.picture, Path)}
        for task in tasks:
            stem = task.picture.stem if isinstance(task.picture, Path) else task.result.source.replace(" ", "-")
            task.name = self.free(stem)

    def free(self, name: str) -> str:
        """The name, or name-2, name-3, ... if it is taken; some file systems hold A and a for the same."""
        key = name.casefold()
        number = self.taken[key] = self.taken.get(key, 0) + 1
        return name if number == 1 else self.free(f"{name}-{number}")

    def keep(self, task: Task) -> bool:
        """Whether an earlier call has done this task, which is noted."""
        path = self.folder / f"{task.name}.png"
        if isinstance(task.picture, ElsfaceError) or os.path.realpath(path) in self.originals or not path.is_file():
            return False
        task.picture, task.result.kept, task.result.files = None, True, [path]
        return True

    def write(self, task: Task) -> None:
        """Writes the images of a task as name.png, name-face2.png, ..."""
        count = len(task.result.images)
        names = [task.name, *(self.free(f"{task.name}-face{number}") for number in range(2, count + 1))]
        paths = [self.folder / f"{name}.png" for name in names[:count]]
        for path in paths:
            if os.path.realpath(path) in self.originals:
                raise ElsfaceError(f"{path} is itself an input and would be lost: choose another output folder.")
        # The first comes last: where it is, all of them are, and `keep` need not look for more.
        for image, path in reversed(list(zip(task.result.images, paths, strict=True))):
            write_png(image, path)
        task.result.files, task.result.images = paths, []
