"""Who is on which picture: from a table, or from folders that each hold one person's pictures."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from ..errors import ElsfaceError

COLUMNS = ("file", "identity")


def people_of(paths: Iterable[str | Path], table: str | Path, folder: str | Path | None = None) -> list[str]:
    """The person on each picture, from a table with the columns `file` and `identity`.

    Args:
        paths: picture files.
        table: a CSV file, UTF-8 or UTF-16, its columns parted by commas, semicolons or tabs. `file` is a picture's path
            relative to the folder (`p1/1.png`) or its name, with or without suffix; what names more of the path counts
            first.
        folder: what the paths in the table are relative to; without it, any folder above the picture.

    Returns:
        The identities, in the order of the paths.

    Raises:
        ElsfaceError: the table cannot be read or lacks a column (the message says which it has), does not name every
            picture, names one twice, or has one row for two pictures.
    """
    people = _read_table(Path(table))
    seen: dict[str, Path] = {}
    for path in map(Path, paths):
        row = next((name for name in _names(path, folder) if name in people), None)
        if row is None:
            raise ElsfaceError(f"{table} has no row for {path}: it needs one for every picture, such as {path.name},A.")
        if row in seen:
            advice = "name both by their path in the folder, as p1/1.png"
            raise ElsfaceError(f"{path} is not the only {row}, so {table} cannot say whose face it is: {advice}.")
        seen[row] = path
    return [people[row] for row in seen]


def _names(path: Path, folder: str | Path | None) -> Iterable[str]:
    """What a table may call a picture: its path and what is left of it from folder to folder, then without suffix."""
    parts = path.parts if folder is None else _below(path, folder).parts
    tails = [PurePosixPath(*parts[start:]) for start in range(len(parts))]
    return (str(name) for tail in tails for name in (tail, tail.with_suffix("")))


def _read_table(table: Path) -> dict[str, str]:
    """File -> identity, of the rows that have one."""
    people: dict[str, str] = {}
    try:
        text = _decoded(table.read_bytes())
        header = next(iter(text.splitlines()), "").strip()
        delimiter = max(",;\t", key=header.count)
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
        if not set(COLUMNS) <= set(rows.fieldnames):
            raise ElsfaceError(f"{table} needs the columns file,identity: it has {header[:200] or 'none'}.")
        for row in rows:
            file, identity = (row[column] and row[column].strip() for column in COLUMNS)
            if file and identity:
                name = str(PurePosixPath(file.replace("\\", "/")))
                if people.setdefault(name, identity) != identity:
                    raise ElsfaceError(f"{table} names {name} twice, as {people[name]} and {identity}: remove one row.")
    except UnicodeDecodeError as error:
        raise ElsfaceError(f"cannot read the table of identities {table}: save it as CSV in UTF-8.") from error
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ElsfaceError(f"cannot read the table of identities {table}: {reason}.") from error
    return people


def _decoded(data: bytes) -> str:
    """The text of a table: spreadsheets write a mark first, or UTF-16."""
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if utf16 else "utf-8-sig")


def people_by_folder(paths: Iterable[str | Path], folder: str | Path) -> list[str]:
    """The person on each picture, where every person has a folder: `FOLDER/p1/1.png` shows p1.

    Args:
        paths: picture files below the folder, at any depth.
        folder: its subfolders are the people.

    Returns:
        The identities, in the order of the paths.

    Raises:
        ElsfaceError: a picture lies in no person's folder.
    """
    places = [_below(Path(path), folder) for path in paths]
    for place in places:
        if len(place.parts) < 2:
            raise ElsfaceError(f"{folder}/{place} lies in no person's folder: move it to {folder}/NAME/{place}.")
    return [place.parts[0] for place in places]


def _below(path: Path, folder: str | Path) -> PurePath:
    """A picture's path relative to the folder."""
    try:
        return path.relative_to(folder)
    except ValueError:
        raise ElsfaceError(f"{path} does not lie in {folder}: name the folder that its people are told by.") from None
