"""What was measured in hours, and lies in the folder data/ of the repository."""

import csv
import urllib.request
from pathlib import Path

from .. import __version__
from ..errors import ElsfaceError

DATA = Path(__file__).parents[2] / "data"
ADDRESS = f"https://raw.githubusercontent.com/elsface-lite/elsface-lite/v{__version__}/data/"


def data_file(name: str) -> bytes:
    """The content of a file in data/: of this repository, or, where only the package is installed, from GitHub.

    Raises:
        ElsfaceError: it is in neither.
    """
    try:
        if (DATA / name).exists():
            return (DATA / name).read_bytes()
        with urllib.request.urlopen(ADDRESS + name, timeout=20) as answer:
            return answer.read()
    except OSError as error:
        raise ElsfaceError(f"data/{name} is not here, and GitHub cannot be reached: clone the repository.") from error


def table_of(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file in data/, by column."""
    return list(csv.DictReader(data_file(name).decode().splitlines()))
