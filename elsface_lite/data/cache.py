"""HR faces decoded once, into a file that is mapped into memory: several runs and all their workers share it."""

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ElsfaceError
from ..files import PART, unwritable, whole_file
from ..lanes import in_lanes
from ..packages import extra
from .degradation import Bicubic, Degradation
from .pairs import HR_SIZE, FacePairs, load_face

UNREADABLE_SHARE = 0.01
FORMAT = 1  # of the file: all faces that could be read, 3 x size x size bytes each, then for each path a byte 1 or 0


class DecodedFaces:
    """HR faces of picture files, (3, size, size) uint8 each, by index; they may be larger than the memory.

    The file is `KEY.faces` in the folder, where the key stands for the paths, the sizes and times of the files, and
    the arguments: a change makes another file. One process decodes while the others wait. A damaged file is replaced.

    Args:
        paths: picture files, in any size, colour mode and aspect ratio. Those that cannot be read, or are smaller than
            size, are skipped, each with a line on stderr; what is left is `paths`, the others are `skipped`.
        folder: where the decoded faces are kept; it is made if need be.
        size: side of the HR faces in pixels.
        enlarge: takes pictures that are smaller than size as well.

    Raises:
        ElsfaceError: no paths, more than 1 % of the pictures cannot be read, or the file cannot be written.
    """

    def __init__(
        self, paths: Iterable[str | Path], folder: str | Path, size: int = HR_SIZE, enlarge: bool = False
    ) -> None:
        named = list(paths)
        if not named:
            raise ElsfaceError("no face to decode: the list of files is empty.")
        self.size = size
        self.file = Path(folder) / f"{_key(named, size, enlarge)}.faces"
        read = _read_flags(self.file, len(named), size)
        if read is None:
            read = _decode_once(named, self.file, size, enlarge)
        self.paths = [path for path, flag in zip(named, read, strict=True) if flag]
        self.skipped = [path for path, flag in zip(named, read, strict=True) if not flag]
        self._map: np.ndarray | None = None

    @property
    def array(self) -> np.ndarray:
        """All faces, mapped into memory: (n, 3, size, size) uint8, not to be written to."""
        if self._map is None:  # each process opens the file by itself
            shape = (len(self.paths), 3, self.size, self.size)
            try:
                self._map = np.memmap(self.file, np.uint8, "r", shape=shape)
            except (OSError, ValueError) as error:
                raise ElsfaceError(f"{self.file} is gone or damaged since it was decoded: start again.") from error
        return self._map

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.array(self.array[range(len(self))[index]]))


class FaceArray(FacePairs):
    """Pairs of faces that are decoded already, in memory or in a memory map.

    Args:
        faces: (n, 3, size, size), uint8 RGB, HR: an array, or `DecodedFaces`.
        indices: which of them; all if None.
        scale, degradation, seed: see `FacePairs`.
    """

    def __init__(
        self,
        faces: np.ndarray | DecodedFaces,
        scale: int = 4,
        indices: Sequence[int] | None = None,
        degradation: Degradation | None = None,
        seed: int = 0,
    ) -> None:
        self.faces, self.indices = faces, range(len(faces)) if indices is None else indices
        self.scale, self.size, self.seed = scale, faces[0].shape[-1], seed
        self.degradation = Bicubic(scale) if degradation is None else degradation

    def __len__(self) -> int:
        return len(self.indices)

    def hr(self, index: int) -> Tensor:
        face = self.faces[self.indices[index]]
        return (face if isinstance(face, Tensor) else torch.tensor(face)).float() / 255


def _key(paths: Sequence[str | Path], size: int, enlarge: bool) -> str:
    """A name for the faces of these files as they are now."""
    key = hashlib.sha256(f"{FORMAT} {size} {enlarge}\n".encode())
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 (a hundred thousand of them)
            state = f"{found.st_size} {found.st_mtime_ns}"
        except (OSError, ValueError):
            state = "missing"
        key.update(f"{os.path.abspath(path)}\0{state}\n".encode(errors="surrogateescape"))  # noqa: PTH100
    return key.hexdigest()[:32]


def _read_flags(file: Path, paths: int, size: int) -> list[bool] | None:
    """For each path whether its picture is in the file; None if the file is not there, or not whole."""
    try:
        with file.open("rb") as faces:
            length = faces.seek(0, os.SEEK_END)
            faces.seek(max(0, length - paths))
            flags = faces.read()
    except OSError:
        return None
    whole = len(flags) == paths and set(flags) <= {0, 1} and length == sum(flags) * 3 * size**2 + paths
    return [flag == 1 for flag in flags] if whole and any(flags) else None


def _decode_once(paths: Sequence[str | Path], file: Path, size: int, enlarge: bool) -> list[bool]:
    """Decodes the pictures into the file, unless another process does while this one waits; flags as in the file."""
    with extra("train"):
        from filelock import FileLock
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.parent / ".faces.lock"):
            if (read := _read_flags(file, len(paths), size)) is not None:
                return read
            for part in file.parent.glob(f".{PART}.part.faces"):  # of a process that was killed
                part.unlink(missing_ok=True)
            return _decode(paths, file, size, enlarge)
    except OSError as error:
        raise unwritable(file, error) from error


def _decode(paths: Sequence[str | Path], file: Path, size: int, enlarge: bool) -> list[bool]:
    from tqdm import tqdm

    def read(path: str | Path) -> bytes | ElsfaceError:
        try:
            return load_face(path, size, enlarge).numpy().tobytes()
        except ElsfaceError as error:
            return error

    messages, flags = [], bytearray()
    decoded = in_lanes(read, paths, torch.get_num_threads())
    # Not through a memory map: a disk that is full would end the process by a signal, without a word.
    with closing(decoded), whole_file(file) as beside, beside.open("wb") as faces:
        for face in tqdm(decoded, "decoding", len(paths), unit=" faces", leave=False, disable=None):
            if isinstance(face, bytes):
                faces.write(face)
            else:
                messages.append(str(face))
            flags.append(isinstance(face, bytes))
        if len(messages) > UNREADABLE_SHARE * len(paths):
            raise ElsfaceError(f"{len(messages)} of {len(paths)} pictures cannot be read, such as: {messages[0]}")
        faces.write(flags)
    for message in messages:
        print(f"skipped: {message}", file=sys.stderr)
    return [flag == 1 for flag in flags]
