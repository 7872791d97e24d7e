"""Where faces are, in a JSON file: what another detector has found, and what ours has."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ElsfaceError
from ..files import whole_file
from .box import Box, around_face, fit_box
from .task import Restored

FORM = 'a picture\'s path or name, and for each face {"x", "y", "side", "angle"}, {"box": [left, top, right, bottom]}'


def read_faces(path: str | os.PathLike[str]) -> dict[str, list[Box]]:
    """Reads a list of faces, for `restore`.

    Args:
        path: JSON, an object whose keys are the paths or names of pictures, and whose values are lists of faces. A face
            is what `write_faces` writes (x, y, side, and angle in radians); or `box`, the tight rectangle of another
            detector, of an upright face; or `landmarks`, [x, y] of the eyes, the nose if it is there, and the corners
            of the mouth, which say how it is turned, too. All in pixels of the picture as a viewer shows it.

    Raises:
        ElsfaceError: the file cannot be read, or holds something else.
    """
    try:
        listed = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: [_box(face) for face in faces] for name, faces in listed.items()}
    except OSError as error:
        raise ElsfaceError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ElsfaceError(f"{path} is no list of faces ({error!r}): it should have {FORM}.") from error


def _box(face: dict[str, Any]) -> Box:
    if "landmarks" in face:
        points = [complex(*point) for point in face["landmarks"]]
        box, _ = fit_box(points[:2] + points[3:] if len(points) == 5 else points)
    elif "box" in face:
        box = around_face(*map(float, face["box"]))
    else:
        box = Box(float(face["x"]), float(face["y"]), float(face["side"]), float(face.get("angle", 0)))
    if not (1 <= box.side < 1e6 and abs(box.x) < 1e6 and abs(box.y) < 1e6):
        raise ValueError(f"a face of {box.side:g} pixels at {box.x:g}, {box.y:g}")
    return box


def write_faces(path: str | os.PathLike[str], results: Iterable[Restored]) -> None:
    """Writes where the faces of each picture are, whole or not at all: what `read_faces` reads.

    Raises:
        ElsfaceError: the place cannot be written.
    """
    found = {
        result.source: [face.box._asdict() | {"score": round(face.score, 4)} for face in result.faces]
        for result in results
        if result.faces
    }
    with whole_file(path) as beside:
        beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
