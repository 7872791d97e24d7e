"""Files appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from .errors import ElsfaceError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PART = "[0-9a-f]" * 32  # what `whole_file` calls a file that is not whole yet, as a pattern


def unwritable(path: str | os.PathLike[str], error: OSError) -> ElsfaceError:
    """The error that says why the system does not let us write there."""
    advice = "Make room, and try again." if error.errno in FULL else "Choose another place."
    return ElsfaceError(f"cannot write {path}: {error.strerror or error}. {advice}")


def remove_parts(folder: Path) -> None:
    """Removes what `whole_file` left in a folder when its process was killed. No other process may be writing there."""
    for part in folder.glob(f".{PART}.part*"):
        with suppress(OSError):
            part.unlink()


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path to write to, beside the final one, and moves it there when the block ends without an error.

    Args:
        path: the final name; missing folders are made, an existing file is replaced.

    Yields:
        The name to write under: the same folder and suffix. Whatever stops the block, it does not stay behind.

    Raises:
        ElsfaceError: the folder or the file cannot be written, with the system's reason.
    """
    path = Path(path)
    beside = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        # After the move there is nothing left to remove; after an error or an interruption there may be.
        with suppress(OSError):
            beside.unlink(missing_ok=True)
