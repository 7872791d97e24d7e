"""Pictures among files and folders, each with its place below the folder that was named."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import ElsfaceError
from .decode import SUFFIXES, is_picture


class Found(NamedTuple):
    """A picture file: its path, and the same below the folder that was searched; its name, if it was named itself."""

    path: Path
    below: Path


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder of this name.

    Raises:
        ElsfaceError: the system will not look, since the name is too long or the place is closed to us.
    """
    try:
        return Path(path).is_dir()
    except OSError as error:
        raise ElsfaceError(f"cannot look for {path}: {error.strerror}.") from error


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files among files and folders.

    Args:
        inputs: a file is taken as it is; a folder is searched with all below it, links followed, sorted, hidden ones
            passed over. In it those are taken that are named like an image (`SUFFIXES`), and those that begin like
            one. What is neither may be a pattern such as `*.jpg`, which some shells leave to the program.

    Returns:
        Each file once, in the order given.

    Raises:
        ElsfaceError: an input does not exist, or a folder holds no image.
    """
    return list(dict.fromkeys(found.path for path in inputs for found in search(path)[0]))


def search(path: str | os.PathLike[str]) -> tuple[list[Found], Counter[str]]:
    """The images in a file, a folder or a pattern, as `find_images` takes them, and what a folder holds beside them.

    Returns:
        The images, in order, and how many other files there are, by suffix; hidden ones are not counted.

    Raises:
        ElsfaceError: it does not exist, or holds no image.
    """
    path = Path(path)
    if is_folder(path):
        found, others = _in_folder(path)
        if not found:
            passed = f"; passed over: {counted(others)}" if others else ""
            raise ElsfaceError(f"{path} holds no image (looked for names in {', '.join(SUFFIXES)}{passed}).")
        return [Found(file, file.relative_to(path)) for file in found], others
    if path.exists():
        return [Found(path, Path(path.name))], Counter()
    if matches := sorted(glob.glob(str(path))):  # noqa: PTH207 (of absolute paths, too)
        results = [search(match) for match in matches]
        return [one for found, _ in results for one in found], sum((others for _, others in results), Counter())
    raise ElsfaceError(f"{path} does not exist: check the name.")


def counted(others: Counter[str]) -> str:
    """Files by suffix, in words: "3 .txt, 1 without suffix"."""
    return ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in others.most_common())


def _in_folder(folder: Path) -> tuple[list[Path], Counter[str]]:
    found: list[Path] = []
    others: Counter[str] = Counter()
    for file in _files(folder, set()):
        if file.suffix.lower() in SUFFIXES or is_picture(file):
            found.append(file)
        else:
            others[file.suffix.lower()] += 1
    return found, others


def _files(folder: Path, seen: set[Path]) -> list[Path]:
    """All files below a folder; `seen` are the folders behind us, so that links in a circle end."""
    real = folder.resolve()
    if real in seen:
        return []
    seen.add(real)
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ElsfaceError(f"cannot look into {folder}: {error.strerror or error}.") from error
    return [file for entry in entries for file in (_files(entry, seen) if is_folder(entry) else [entry])]
