"""What happens to a picture between its file and its result: faces found, restored, and put back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.decode import MAX_PHOTOGRAPH
from ..data.degradation import quantize, upscale
from ..data.inputs import as_photograph
from ..data.photograph import Photograph, in_floats
from ..errors import ElsfaceError
from .box import Box, Sighting
from .faces import bounds, cut_out, paste
from .finder import search, smallest_of
from .judge import halved, halvings, judge, unchanged
from .super_resolve import super_resolve, super_resolve_again
from .task import Face, Restored, Task

LR_SIDES = (8, 512)  # of an LR face: from that of x16 to what still fits into memory
PASTED_PIXELS = 50_000_000  # of an enlarged photograph, unless its scale is given


@dataclass
class Work:
    """What `restore` was asked to do with each picture; its arguments are described there."""

    model: Any  # an ELSFace or an OnnxModel, which have a config
    lr: bool = False
    paste: bool = False
    size: int | None = None
    scale: int | None = None
    strength: float = 1.0
    faces: Mapping[str, Sequence[Box]] | None = None
    smallest: float = 20.0
    batch_size: int = 16
    in_files: bool = False

    def read(self, tasks: list[Task]) -> None:
        """Reads pictures and makes LR faces of them; a task that fails keeps its error."""
        for task in tasks:
            try:
                if isinstance(task.picture, ElsfaceError):
                    raise task.picture
                task.photo = _named_photograph(task)
                task.result.note = task.photo.note
                self.take_whole(task.photo, task) if self.lr else self.find(task.photo, task)
            except ElsfaceError as error:
                task.fail(error)

    def take_whole(self, photo: Photograph, task: Task) -> None:
        """The picture is an LR face."""
        height, width = photo.size
        if not (LR_SIDES[0] <= min(height, width) and max(height, width) <= LR_SIDES[1]):
            raise ElsfaceError(
                f"{task.result.source} is {width}x{height}, and an LR face has sides of {LR_SIDES[0]} to {LR_SIDES[1]} "
                "pixels: resize it, or have its faces found as in a photograph, without lr."
            )
        task.parts = [photo.rgb()]

    def find(self, photo: Photograph, task: Task) -> None:
        """Makes LR faces of those in the photograph that are to be restored."""
        self.factor(photo, task.result.source)
        for box, score in self.sightings(photo, task.result):
            face = Face(box, score)
            part, place = self.lr_face(photo, box)
            if reason := judge(place):
                face.judgement = reason
            else:
                task.parts.append(part)
                task.places.append(place)
            task.result.faces.append(face)

    def sightings(self, photo: Photograph, result: Restored) -> list[Sighting]:
        """The faces that were given, or are found.

        Raises:
            ElsfaceError: there is none.
        """
        name, (height, width) = result.source, photo.size
        if self.faces is not None:
            given = self.faces.get(name) or self.faces.get(name.replace("\\", "/").rpartition("/")[2])
            if not given:
                raise ElsfaceError(f"{name} has no face in the list: name it there by its path, or its file's name.")
            return [Sighting(box, 1.0) for box in sorted(given, key=lambda box: -box.side)]
        result.smallest = smallest_of(photo, self.smallest)
        if found := search(photo, self.smallest):
            return found
        raise ElsfaceError(
            f"{name}: no face found of {result.smallest:.0f} pixels or more ({width}x{height}): cut out the face "
            "yourself and restore it as an LR face (--lr)."
        )

    def lr_face(self, photo: Photograph, box: Box) -> tuple[Tensor, Box]:
        """A face of a photograph as the network takes it, (3, h, w), and where in this it is.

        Not turned: to read LR pixels at places between them blurs them, which costs most of the gain (chapter 10).
        """
        left, top, right, bottom = bounds(box, *photo.size)
        part, place = photo.rgb(slice(top, bottom), slice(left, right)), box.moved(-left, -top)
        if self.size:
            return quantize(cut_out(part, place, self.size)), Box(self.size / 2, self.size / 2, self.size)
        if times := halvings(part, place.side):
            return halved(part, times), place.scaled(0.5**times)
        return part, place

    def restore(self, tasks: list[Task]) -> None:
        """Fills the results. Where the tasks together are too much for the memory, each half of them may not be."""
        tasks = [task for task in tasks if task.photo is not None]
        try:
            images = iter(super_resolve([part for task in tasks for part in task.parts], self.model, self.batch_size))
            for task in tasks:
                self.finish(task, [next(images) for _ in task.parts])
        except (torch.OutOfMemoryError, MemoryError):
            half = len(tasks) // 2
            for part in (tasks[:half], tasks[half:]) if half else ():
                self.restore(part)
            if not half:
                tasks[0].fail(ElsfaceError(f"{tasks[0].result.source} does not fit into memory: use a smaller one."))

    def finish(self, task: Task, restored: list[Tensor]) -> None:
        """From what the network made of the LR faces to the images of the result."""
        photo: Photograph = task.photo  # type: ignore[assignment]
        scale, grey = self.model.config.scale, photo.is_grey()
        if self.lr:
            bicubic = (upscale(part, scale) for part in task.parts)
            images = [
                before.lerp(_colors(sr, grey), self.strength) for before, sr in zip(bicubic, restored, strict=True)
            ]
            alpha = photo.enlarged(scale).alpha if photo.alpha is not None else None
            return self.deliver(task, [replace(photo.like(sr), alpha=alpha) for sr in images], images)
        faces = [face for face in task.result.faces if face.restored]
        for face, part, sr, place in zip(faces, task.parts, restored, task.places, strict=True):
            self.compare(face, part, sr, place, grey)
        if self.paste:
            pasted = self.pasted(photo, task)
            self.deliver(task, [pasted], None if self.in_files else [pasted.rgb()])
        else:
            images = [face.after for face in faces if face.after is not None]
            self.deliver(task, [photo.like(image) for image in images], images)
        return None

    def compare(self, face: Face, lr: Tensor, sr: Tensor, place: Box, grey: bool) -> None:
        """Cuts the face upright out of what bicubic and the network make of `lr_face`, and keeps it if they differ."""
        scale = self.model.config.scale
        side = scale * place.side
        if not self.size:
            sr, side = super_resolve_again(sr, side, face.box.side, self.model)
        pixels = round(side / place.side * round(place.side))
        face.before = cut_out(upscale(lr, scale), place.scaled(scale), pixels)
        after = cut_out(_colors(sr, grey), place.scaled(side / place.side), pixels)
        if reason := unchanged(face.before, after):
            face.judgement = reason
        else:
            face.after = face.before.lerp(after, self.strength)

    def deliver(self, task: Task, written: list[Photograph], images: list[Tensor] | None) -> None:
        """What goes to files, or into the result."""
        task.photo, task.parts = None, []
        if not self.in_files:
            task.result.images = images or []
            return
        task.written = written
        for face in task.result.faces:  # a folder of photographs would not fit into memory
            face.before = face.after = None

    def factor(self, photo: Photograph, name: str) -> int:
        """How much the photograph is enlarged.

        Raises:
            ElsfaceError: so much that it would have too many pixels.
        """
        height, width = photo.size
        if self.scale is None:
            fits = [n for n in range(1, self.model.config.scale + 1) if n * n * height * width <= PASTED_PIXELS]
            return max([1, *fits])
        if self.scale**2 * height * width >= MAX_PHOTOGRAPH:
            limit = MAX_PHOTOGRAPH // 10**6
            raise ElsfaceError(
                f"{name}, {width}x{height}, has {limit} megapixels or more at scale {self.scale}: lower it."
            )
        return self.scale

    def pasted(self, photo: Photograph, task: Task) -> Photograph:
        """The enlarged photograph with its restored faces; elsewhere it is what enlarging makes of it."""
        factor = self.factor(photo, task.result.source)
        large = photo.enlarged(factor)
        for face in task.result.faces:
            if face.after is None:
                continue
            box = face.box.scaled(factor)
            left, top, right, bottom = bounds(box, *large.size)
            rows, columns = slice(top, bottom), slice(left, right)
            part = in_floats(large.pixels[:, rows, columns]).clone()
            large.put(paste(part, large.own_colors(face.after), box.moved(-left, -top)), rows, columns)
        return large


def _colors(sr: Tensor, grey: bool) -> Tensor:
    """What the network made, without colours if the photograph has none."""
    return sr.mean(0, keepdim=True).expand(3, -1, -1) if grey else sr


def _named_photograph(task: Task) -> Photograph:
    """The picture read, its own name in what is said of it."""
    try:
        return as_photograph(task.picture)  # type: ignore[arg-type]
    except ElsfaceError as error:
        said, name = str(error), task.result.source
        raise ElsfaceError(said if name in said else f"{name}: {said}") from error


def on_device(model: nn.Module, device: str | torch.device | None) -> nn.Module:
    """The network where it is to compute.

    Raises:
        ElsfaceError: there is no such device.
    """
    if device is None:
        return model
    try:
        return model.to(device)
    except Exception as error:  # of another backend (DirectML) it may be anything
        raise ElsfaceError(f"the device '{device}' cannot be used here: leave it out, or say 'cpu'.") from error
