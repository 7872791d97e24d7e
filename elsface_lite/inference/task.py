"""One input of `restore`, and what became of it."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..errors import ElsfaceError
from .faces import Box


@dataclass
class Restored:
    """What became of one input.

    Attributes:
        source: its path, or "picture 3" for the third of the tensors.
        images: the restored faces (3, H, W), largest first, or with `paste` the one photograph, RGB in [0, 1]. Empty
            if they were written to files.
        boxes: where in the photograph each face is; empty for an LR face.
        files: what was written, in the order of the images.
        kept: an earlier call had done this input, and `resume` left it alone; `files` has the first of its pictures.
        error: why it failed; None if it did not.
    """

    source: str
    images: list[Tensor] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    kept: bool = False
    error: str | None = None

    @property
    def image(self) -> Tensor:
        """The first of the images.

        Raises:
            ElsfaceError: there is none: this input failed, or its images went to files.
        """
        if not self.images:
            raise ElsfaceError(self.error or f"the images of {self.source} were written: read them from `files`.")
        return self.images[0]


@dataclass
class Task:
    """One input on its way: first where it is, then the picture, then its LR faces, then its result."""

    result: Restored
    picture: Tensor | Path | ElsfaceError | None
    name: str = ""
    faces: list[Tensor] = field(default_factory=list)
    places: list[Box] = field(default_factory=list)  # of the face in each of these, for a photograph

    def fail(self, error: ElsfaceError) -> None:
        """Notes that this input ends here."""
        self.result.error, self.result.images = str(error), []
