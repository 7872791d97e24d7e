"""From one picture, or ten thousand, to restored faces (chapter 00)."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from ..data.formats import WRITTEN
from ..data.inputs import Picture
from ..data.search import search
from ..errors import ElsfaceError
from ..lanes import in_lanes
from ..network.modules import evaluating
from ..network.weights import load_pretrained
from .box import Box
from .device import best_device
from .finder import SMALLEST
from .optimize import optimize
from .output import Output
from .task import Restored, Task
from .work import LR_SIDES, Work, on_device

LANES = 8  # batches of LR faces at a time, where there are as many cores


class Results(list[Restored]):
    """What became of each picture, in order.

    Attributes:
        passed_over: how many other files the folders hold, by suffix.
    """

    passed_over: Counter[str]


def restore(
    inputs: Picture | Iterable[Picture],
    *,
    weights: str | os.PathLike[str] | nn.Module | None = None,
    sharpness: float = 0.0,
    out: str | os.PathLike[str] | None = None,
    lr: bool = False,
    paste: bool = False,
    size: int | None = None,
    scale: int | None = None,
    strength: float = 1.0,
    faces: Mapping[str, Sequence[Box]] | None = None,
    smallest: float = SMALLEST,
    format: str | None = None,
    quality: int | None = None,
    device: str | None = None,
    batch_size: int = 16,
    resume: bool = False,
    progress: bool = True,
) -> Results:
    """Restores the faces in pictures; one that fails does not stop the others.

    In a photograph the faces are found, and each is restored from the photograph's own pixels, as many as its detail
    needs: one that is blurred or was enlarged is halved until it is sharp (`judge.halvings`), and what comes out of it
    is restored again while it is smaller than in the photograph, and has no more than 400 pixels (`judge.unfinished`);
    then it is turned upright. A sharp face of more than 400 pixels is left as it is, and so is one that would come out
    as it went in. What a file holds beside its pixels goes into its result.

    Args:
        inputs: paths of files, folders and patterns, and pictures in any form that `as_photograph` takes: one, or any
            number; (b, 3, h, w) is b of them.
        weights: a name or a path for `load_pretrained`, or a network: an ELSFace, or an `export.OnnxModel`. None takes
            lite-x4-blind for photographs, and lite-x4, which knows shrunk faces only, for LR faces.
        sharpness: of named weights, from 0 (faithful) to 1 (sharp), see `load_pretrained`.
        out: the folder for the results, named after their inputs, with the folders below an input folder; None keeps
            them in memory.
        lr: the pictures are LR faces: nothing is searched, cut out or resized.
        paste: put the faces back into the photograph. Where no face is, it changes by the enlargement only.
        size: bring every face to this many LR pixels first, 8 to 512, and restore it once; None as said above.
        scale: enlarge the photograph so many times, 1 to 8; None takes the network's own scale, or as much of it as
            makes no more than 50 megapixels.
        strength: of the restored face, over the one that is enlarged by bicubic interpolation, from 0 to 1.
        faces: where the faces are, by the picture's path or its file's name; None finds them.
        smallest: side of the smallest face that is searched for, in pixels; the smaller, the longer it takes.
        format: of the files, a key of `WRITTEN` such as "JPEG"; None is each input's own, PNG where there is none.
        quality: of JPEG, WebP, AVIF and HEIC, 1 to 100; None is 95.
        device: "cpu", "cuda" and so on; None takes the best there is, or the network's own.
        batch_size: LR faces that go through the network at a time; with `lr` so many on each core.
        resume: leave those inputs alone whose results an earlier call has written to `out`, by its record there, unless
            they have changed since, or were done with other arguments (of a network that is not named, its class is
            known only); False does all again.
        progress: show a bar, on a terminal.

    Returns:
        One result for each file or picture, in order. What failed has an `error`; so has a path that does not exist
        and a folder without images.

    Raises:
        ElsfaceError: the weights, the device or the folder for the results cannot be used, or an argument is out of its
            range, or does not go with another.
    """
    _check(lr, paste, size, scale, strength, smallest, format, quality, batch_size, resume and out is None)
    weights = weights or weights_for(lr)
    model = _loaded(weights, sharpness, device)
    name = type(weights).__name__ if isinstance(weights, nn.Module) else str(weights)
    how = _digest(name, sharpness, lr, paste, size, scale, strength, faces, smallest, format, quality)
    output = Output(out, format, quality, how) if out is not None else None
    work = Work(model, lr, paste, size, scale, strength, faces, smallest, batch_size, output is not None)
    results = Results()
    tasks, results.passed_over = _tasks(inputs, output)
    if output:
        output.claim(tasks)
    left = [task for task in tasks if not (task.result.error or (resume and output and output.keep(task)))]
    # LR faces go through by the batch. A photograph has a batch of its own, since only one fits into any memory.
    lanes = min(torch.get_num_threads(), LANES) if lr else 1
    rounds = max(1, ceil(len(left) / (lanes * batch_size)))  # each lane has as many batches as the others
    step = max(1, ceil(len(left) / (lanes * rounds))) if lr else 1
    chunks = [left[start : start + step] for start in range(0, len(left), step)]
    # Closed at once if it is interrupted, so that no lane goes on.
    bar = tqdm(total=len(left), unit="picture", disable=None if progress and left else True)
    with evaluating(model), bar, closing(in_lanes(partial(_do, work, output), chunks, lanes)) as done:
        for count in done:
            bar.update(count)
    results += [task.result for task in tasks]
    return results


def _digest(*arguments: object) -> str:
    return hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]


def weights_for(lr: bool) -> str:
    """The name of the weights for LR faces, which are taken to be shrunk and nothing else, or for photographs."""
    return "lite-x4" if lr else "lite-x4-blind"


def _check(
    lr: bool, paste: bool, size: int | None, scale: int | None, strength: float, smallest: float,
    format: str | None, quality: int | None, batch_size: int, nowhere: bool,
) -> None:  # fmt: skip
    """Says which argument cannot be."""
    for wrong, says in (
        (nowhere, "to resume there must be a folder that an earlier call has written to: name it by out."),
        (
            lr and (paste or size),
            "an LR face has no photograph around it: give lr alone, or paste and size without lr.",
        ),
        (scale and not paste, "the scale is that of a photograph with its faces put back: give paste as well."),
        (scale is not None and not 1 <= scale <= 8, f"the scale of a photograph is 1 to 8, not {scale}."),
        (
            size is not None and not LR_SIDES[0] <= size <= LR_SIDES[1],
            f"the size of an LR face is {LR_SIDES[0]} to {LR_SIDES[1]} pixels, not {size}.",
        ),
        (not 0 <= strength <= 1, f"the strength is 0 to 1, not {strength}."),
        (not smallest >= 10, f"the smallest face to search for has 10 pixels or more, not {smallest}."),
        (format not in (None, *WRITTEN), f"the format is one of {', '.join(WRITTEN)}, not {format!r}."),
        (quality is not None and not 1 <= quality <= 100, f"the quality is 1 to 100, not {quality}."),
        (batch_size < 1, f"the batch size is at least 1, not {batch_size}."),
    ):
        if wrong:
            raise ElsfaceError(says)


def _do(work: Work, output: Output | None, chunk: list[Task]) -> int:
    """Restores some pictures, and writes them if there is a folder for them."""
    start = time.perf_counter()
    work.read(chunk)
    work.restore(chunk)
    for task in chunk:
        try:
            if output is not None and task.result.error is None:
                output.write(task)
        except ElsfaceError as error:
            task.fail(error)
        task.picture = None  # no longer needed
        task.result.seconds = (time.perf_counter() - start) / len(chunk)
    return len(chunk)


def _tasks(inputs: Picture | Iterable[Picture], output: Output | None) -> tuple[list[Task], Counter[str]]:
    """A task for every picture, and the other files of folders; an input that cannot be used is a task with its error.

    What an earlier call has written is no input, where its folder lies within one that is searched.
    """
    tasks: list[Task] = []
    passed_over: Counter[str] = Counter()
    known: set[Path] = set()
    for number, entry in enumerate(_several(inputs), 1):
        if not isinstance(entry, str | os.PathLike):
            tasks.append(Task(Restored(f"picture {number}"), entry, Path(f"picture-{number}")))
            continue
        try:
            found, others = search(entry)
        except ElsfaceError as error:
            tasks.append(Task(Restored(str(entry), error=str(error)), error))
            continue
        passed_over += others
        for path, below in found:
            if path not in known and not (output and path != Path(entry) and output.is_result(path)):
                known.add(path)
                tasks.append(Task(Restored(str(path)), path, below))
    return tasks, passed_over


def _several(inputs: Picture | Iterable[Picture]) -> Iterator[Picture]:
    one = isinstance(inputs, str | os.PathLike | Image.Image) or hasattr(inputs, "read")
    if one or (isinstance(inputs, Tensor | np.ndarray) and inputs.ndim < 4):
        yield inputs  # type: ignore[misc]
    else:
        yield from inputs  # type: ignore[union-attr, misc]


def _loaded(weights: str | os.PathLike[str] | nn.Module, sharpness: float, device: str | None) -> nn.Module:
    if isinstance(weights, nn.Module):
        if sharpness:
            raise ElsfaceError("sharpness lies between two files of weights: name them, or load them with it.")
        return on_device(weights, device)
    if str(weights).endswith(".onnx"):
        raise ElsfaceError(
            f"{weights} is an exported network: say --runtime onnx, or give what `load_exported` returns."
        )
    return on_device(optimize(load_pretrained(weights, sharpness)), device or str(best_device()))
