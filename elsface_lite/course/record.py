"""What a reader has solved and predicted, in a small file beside the notebooks."""

import json
import sys
from pathlib import Path
from typing import Any

from ..errors import ElsfaceError
from ..files import whole_file
from .checks import CHAPTERS

FILE = "progress.json"
_kept: dict[str, Any] = {}  # of this session; the file adds what earlier ones left


def mark(right: bool) -> str:
    """✓ or ✗, green or red where it is a notebook that shows it."""
    sign, color = ("✓", 32) if right else ("✗", 31)
    ipython = sys.modules.get("IPython")
    return f"\x1b[{color}m{sign}\x1b[0m" if ipython and hasattr(ipython.get_ipython(), "kernel") else sign


def recall(key: str) -> Any:
    """What was kept under a key such as "solved downscale", or None."""
    return _all().get(key)


def keep(key: str, value: Any) -> None:
    """Remembers a value, in words where JSON cannot hold it, beyond this session if the folder can be written."""
    _kept.update(_all())
    _kept[key] = value
    try:
        with whole_file(FILE) as beside:
            beside.write_text(json.dumps(_kept, indent=1, sort_keys=True, default=str), encoding="utf-8")
    except ElsfaceError as error:
        print(f"(kept for this session only: {error})")


def progress() -> None:
    """Prints which tasks and exercises of each chapter are solved."""
    for chapter, names in CHAPTERS.items():
        solved = [name for name in names if recall(f"solved {name}")]
        marks = ", ".join(f"{mark(True) if name in solved else '○'} {name}" for name in names)
        print(f"{chapter}  {len(solved)} of {len(names)}   {marks}")


def _all() -> dict[str, Any]:
    """This session over the file. One that is no JSON object counts as none, and the next solution replaces it."""
    try:
        found = json.loads(Path(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _kept
    return (found if isinstance(found, dict) else {}) | _kept
