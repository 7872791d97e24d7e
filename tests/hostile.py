"""Files as an attacker or a bad disk makes them: traps for loaders of pickles, bits flipped, ends cut."""

import io
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


class Trap:
    """Makes a file when it is unpickled, by a function that is named in `by`."""

    def __init__(self, path: Path, by: Callable) -> None:
        self.path, self.by = path, by

    def __reduce__(self) -> tuple:
        words = {eval: f"open({str(self.path)!r}, 'w')", subprocess.call: ["touch", str(self.path)]}
        return self.by, (words.get(self.by, self.path),)


def pickles(path: Path) -> list[bytes]:
    """Malicious files, in each form that a loader might fall for."""
    traps = [Trap(path, by) for by in (Path.touch, eval, subprocess.call)]
    contents = [pickle.dumps(trap, protocol) for trap in traps for protocol in (2, 4)]
    for trap in traps:
        for content in (trap, {"format": 3, "model": trap}, [trap]):
            for zipped in (True, False):
                file = io.BytesIO()
                torch.save(content, file, _use_new_zipfile_serialization=zipped)
                contents.append(file.getvalue())
    return contents


def flipped(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Copies with one bit flipped, spread over the whole length."""
    random, copies = np.random.default_rng(seed), []
    for place in np.linspace(0, len(data) - 1, count).astype(int):
        copy = bytearray(data)
        copy[place] ^= 1 << int(random.integers(8))
        copies.append(bytes(copy))
    return copies


def truncated(data: bytes) -> list[bytes]:
    return [data[: len(data) * part // 20] for part in range(20)]
