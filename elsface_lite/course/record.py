"""What a reader has solved and predicted, in a small file beside the notebooks."""

import json
from pathlib import Path
from typing import Any

from ..errors import ElsfaceError
from ..files import whole_file

FILE = "progress.json"
# What there is to solve, by chapter: tasks by the name that the reader writes, exercises by number.
ASKED = {
    "00": ("psnr", "lost", "00.1", "00.2", "00.3"),
    "01": ("downscale", "center_crop", "radial_profile", "01.1", "01.2", "01.3"),
    "02": ("modulate", "LatentStyleEncoder.forward", "02.1", "02.2", "02.3"),
    "03": ("ResidualBlock", "CNNStream.forward", "side", "03.1", "03.2", "03.3"),
}
_kept: dict[str, Any] = {}  # of this session; the file adds what earlier ones left


def recall(key: str) -> Any:
    """What was kept under a key such as "solved downscale", or None."""
    return _all().get(key)


def keep(key: str, value: Any) -> None:
    """Remembers a value that JSON can hold, beyond this session where the current folder lets us write."""
    _kept.update(_all())
    _kept[key] = value
    try:
        with whole_file(FILE) as beside:
            beside.write_text(json.dumps(_kept, indent=1, sort_keys=True), encoding="utf-8")
    except ElsfaceError as error:
        print(f"(kept for this session only: {error})")


def progress() -> None:
    """Prints which tasks and exercises of each chapter are solved."""
    for chapter, names in ASKED.items():
        solved = [name for name in names if recall(f"solved {name}")]
        marks = ", ".join(f"{'✓' if name in solved else '○'} {name}" for name in names)
        print(f"{chapter}  {len(solved)} of {len(names)}   {marks}")


def _all() -> dict[str, Any]:
    """This session over the file. One that is no JSON object counts as none, and the next solution replaces it."""
    try:
        found = json.loads(Path(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _kept
    return (found if isinstance(found, dict) else {}) | _kept
