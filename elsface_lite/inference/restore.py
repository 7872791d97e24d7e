"""From one picture, or ten thousand, to restored faces (chapter 00)."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..data.degradation import quantize, upscale
from ..data.images import read_image
from ..data.search import find_images
from ..errors import ElsfaceError
from ..network.modules import evaluating
from ..network.weights import load_pretrained
from .device import best_device
from .faces import Box, crop_face, cut_around, find_faces, paste_face
from .optimize import optimize
from .output import Output
from .super_resolve import super_resolve
from .task import Restored, Task

Picture = str | os.PathLike[str] | Tensor
LR_SIDES = (8, 512)  # of an LR face: from that of x16 to what still fits into memory
LANES = 8  # batches of LR faces at a time, where there are as many cores
PASTED_PIXELS = 50_000_000


def restore(
    inputs: Picture | Iterable[Picture],
    *,
    weights: str | os.PathLike[str] | nn.Module = "lite-x4",
    out: str | os.PathLike[str] | None = None,
    lr: bool = False,
    paste: bool = False,
    size: int | None = None,
    device: str | None = None,
    batch_size: int = 16,
    resume: bool = False,
) -> list[Restored]:
    """Restores the faces in pictures; one that fails does not stop the others.

    In a photograph the faces are found, and each is restored at the size that it has there, from the photograph's own
    pixels; what comes out is turned upright. To bring a large face down to the LR size that the network was trained on
    (32x32 at x4) loses more than the network gives back, unless the face is very noisy: for that there is `size`.

    Args:
        inputs: paths of files and folders, and pictures (3, h, w), RGB in [0, 1]: one, or any number.
        weights: a name or a path for `load_pretrained`, or a network: an ELSFace, or an `export.OnnxModel`.
        out: the folder for the results, PNG files named after their inputs; None keeps them in memory.
        lr: the pictures are LR faces: nothing is searched, cut out or resized.
        paste: put the faces back into the photograph, enlarged by the network's scale, or by less if that would be
            more than 50 megapixels.
        size: bring every face to this many LR pixels first, 8 to 512; None leaves it at its own size, up to 512.
        device: "cpu", "cuda" and so on; None takes the best there is, or the network's own.
        batch_size: LR faces that go through the network at a time; with `lr` so many on each core.
        resume: do only those inputs whose result is not in `out` yet, as after an interruption. Everything else should
            be as in the call before; False does all again, and replaces files.

    Returns:
        One result for each file or picture, in order. What failed has an `error`; so has a path that does not exist
        and a folder without images.

    Raises:
        ElsfaceError: the weights, the device or the folder for the results cannot be used, or `lr` is combined with
            what needs a photograph.
    """
    if resume and out is None:
        raise ElsfaceError("to resume there must be a folder that an earlier call has written to: name it by out.")
    if lr and (paste or size):
        raise ElsfaceError("an LR face has no photograph around it: give lr alone, or paste and size without lr.")
    if size is not None and not LR_SIDES[0] <= size <= LR_SIDES[1]:
        raise ElsfaceError(f"the size of an LR face is {LR_SIDES[0]} to {LR_SIDES[1]} pixels, not {size}.")
    if batch_size < 1:
        raise ElsfaceError(f"the batch size is at least 1, not {batch_size}.")
    tasks = [Task(Restored(name), picture) for name, picture in _sources(inputs)]
    work = _Work(_on_device(weights, device), lr, paste, size, batch_size)
    output = Output(out, tasks) if out is not None else None
    left = [task for task in tasks if not (resume and output and output.keep(task))]
    # LR faces go through by the batch. A photograph has a batch of its own, since only one fits into any memory.
    lanes = min(torch.get_num_threads(), LANES) if lr else 1
    rounds = max(1, ceil(len(left) / (lanes * batch_size)))  # each lane has as many batches as the others
    step = max(1, ceil(len(left) / (lanes * rounds))) if lr else 1
    chunks = [left[start : start + step] for start in range(0, len(left), step)]

    def do(chunk: list[Task]) -> int:
        work.read(chunk)
        work.restore(chunk)
        for task in chunk:
            _finish(task, output)
        return len(chunk)

    # Closed at once if it is interrupted, so that no lane goes on.
    bar = tqdm(total=len(left), unit="picture", disable=None)
    with evaluating(work.model), bar, closing(_in_lanes(do, chunks, lanes)) as done:
        for count in done:
            bar.update(count)
    return [task.result for task in tasks]


def _in_lanes(do: Callable[[list[Task]], int], chunks: list[list[Task]], lanes: int) -> Generator[int]:
    """Does the chunks in some threads at once, which share PyTorch's threads, and yields what each gives, in order.

    Two cores that each compute a batch are faster than two that share one: none of them waits for the other at the end
    of every layer, nor for files. Decoding, encoding and the network leave Python to other threads.
    """
    threads, lanes = torch.get_num_threads(), max(1, min(lanes, len(chunks)))
    if lanes == 1:
        yield from map(do, chunks)
        return
    try:
        with ThreadPoolExecutor(lanes, initializer=partial(torch.set_num_threads, threads // lanes)) as pool:
            yield from pool.map(do, chunks)
    finally:
        torch.set_num_threads(threads)  # threads that are made later take over what was set last


def _sources(inputs: Picture | Iterable[Picture]) -> Iterator[tuple[str, Tensor | Path | ElsfaceError]]:
    """Every picture to do and its name; a folder gives many, and an input that cannot be used gives its error."""
    single = isinstance(inputs, str | os.PathLike) or (isinstance(inputs, Tensor) and inputs.ndim == 3)
    for number, entry in enumerate([inputs] if single else inputs, 1):  # type: ignore[arg-type]
        if isinstance(entry, Tensor):
            yield f"picture {number}", entry
            continue
        try:
            yield from ((str(path), path) for path in find_images([entry]))
        except ElsfaceError as error:
            yield str(entry), error


def _on_device(weights: str | os.PathLike[str] | nn.Module, device: str | None) -> nn.Module:
    model = weights if isinstance(weights, nn.Module) else optimize(load_pretrained(weights))
    if device is None and isinstance(weights, nn.Module):
        return model
    try:
        return model.to(device or best_device())
    except (RuntimeError, AssertionError) as error:
        raise ElsfaceError(f"the device {device!r} cannot be used here: leave it out, or say 'cpu'.") from error


def _finish(task: Task, output: Output | None) -> None:
    """Writes the images, if there is a folder for them, and lets go of what is no longer needed."""
    task.picture, task.faces = None, []
    try:
        if output is not None and task.result.error is None:
            output.write(task)
    except ElsfaceError as error:
        task.fail(error)


class _Work:
    """What happens to a picture between its file and its result."""

    model: Any  # an ELSFace or an OnnxModel, which have a config

    def __init__(self, model: nn.Module, lr: bool, paste: bool, size: int | None, batch_size: int) -> None:
        self.model, self.lr, self.paste, self.size, self.batch_size = model, lr, paste, size, batch_size

    def read(self, tasks: list[Task]) -> None:
        """Reads pictures and makes LR faces of them; a task that fails keeps its error."""
        for task in tasks:
            try:
                self.read_one(task)
            except ElsfaceError as error:
                task.fail(error)

    def read_one(self, task: Task) -> None:
        """Makes LR faces of a picture."""
        if isinstance(task.picture, ElsfaceError):
            raise task.picture
        name = task.result.source
        image = task.picture if isinstance(task.picture, Tensor) else read_image(task.picture)  # type: ignore[arg-type]
        image = task.picture = _checked(image, name)
        height, width = image.shape[-2:]
        if not self.lr:
            task.result.boxes = _faces_in(image, name)
            for box in task.result.boxes:
                face, place = self.lr_face(image, box)
                task.faces.append(face)
                task.places.append(place)
        elif LR_SIDES[0] <= min(height, width) and max(height, width) <= LR_SIDES[1]:
            task.faces = [image]
        else:
            raise ElsfaceError(
                f"{name} is {width}x{height}, and an LR face has sides of {LR_SIDES[0]} to {LR_SIDES[1]} pixels: "
                "resize it, or have its faces found as in a photograph, without lr."
            )

    def lr_face(self, image: Tensor, box: Box) -> tuple[Tensor, Box]:
        """A face of a photograph as the network takes it, (3, h, w), and where in this it is.

        Not turned: to read LR pixels at places between them blurs them, which costs most of the gain (chapter 09).
        """
        if self.size or box.side > LR_SIDES[1]:
            size = self.size or LR_SIDES[1]
            return quantize(crop_face(image, box, size)), Box(size / 2, size / 2, size)
        return cut_around(image, box)

    def upright(self, sr: Tensor, place: Box) -> Tensor:
        """Cuts the face out of what the network made of `lr_face`: (3, scale h, scale w) -> (3, s, s)."""
        scale = self.model.config.scale
        return crop_face(sr, place.scaled(scale), scale * round(place.side))

    def restore(self, tasks: list[Task]) -> None:
        """Fills the results. Where the tasks together are too much for the memory, each half of them may not be."""
        tasks = [task for task in tasks if task.faces]
        try:
            images = iter(super_resolve([face for task in tasks for face in task.faces], self.model, self.batch_size))
            for task in tasks:
                task.result.images = [next(images) for _ in task.faces]
                if not self.lr:
                    task.result.images = list(map(self.upright, task.result.images, task.places))
                if self.paste:
                    task.result.images = [_pasted(task, self.model.config.scale)]
        except (torch.OutOfMemoryError, MemoryError):
            half = len(tasks) // 2
            for part in (tasks[:half], tasks[half:]) if half else ():
                self.restore(part)
            if not half:
                tasks[0].fail(ElsfaceError(f"{tasks[0].result.source} does not fit into memory: use a smaller one."))


def _checked(image: Tensor, name: str) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
        raise ElsfaceError(f"{name} is {image.dtype} {tuple(image.shape)}: a picture is float, (3, height, width).")
    if not (image.min() >= 0 and image.max() <= 1):  # true for NaN too
        raise ElsfaceError(f"{name} has values outside [0, 1]: divide 8-bit values by 255.")
    return image.detach().float().cpu()


def _faces_in(image: Tensor, name: str) -> list[Box]:
    boxes = find_faces(image)
    if not boxes:
        height, width = image.shape[-2:]
        raise ElsfaceError(
            f"no face found in {name} ({width}x{height}): cut out the face yourself and restore it as an LR face (lr)."
        )
    return boxes


def _pasted(task: Task, scale: int) -> Tensor:
    """The enlarged photograph with its restored faces: (3, h, w) -> (3, factor h, factor w), factor at most scale."""
    pixels = task.picture[0].numel()  # type: ignore[index]
    factor = max([1] + [n for n in range(1, scale + 1) if n * n * pixels <= PASTED_PIXELS])
    photograph = upscale(task.picture[None], factor)[0]  # type: ignore[index]
    for box, face in zip(task.result.boxes, task.result.images, strict=True):
        paste_face(photograph, face, box.scaled(factor))
    return photograph
