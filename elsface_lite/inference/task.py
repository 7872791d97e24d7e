"""One input of `restore`, and what became of it and of each of its faces."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..data.photograph import Photograph
from ..errors import ElsfaceError
from .box import Box


@dataclass
class Face:
    """A face of a photograph, and what became of it.

    Attributes:
        box: where it is.
        score: how sure the detector is, from 0 to 1; 1 for a box that was given.
        before: the face upright, enlarged by bicubic interpolation, (3, s, s), RGB in [0, 1]; None if it went to files.
        after: the same restored; None if it went to files, or was left alone.
        judgement: "restored", or why it was left alone.
    """

    box: Box
    score: float
    before: Tensor | None = None
    after: Tensor | None = None
    judgement: str = "restored"

    @property
    def restored(self) -> bool:
        """Whether it was not left alone."""
        return self.judgement == "restored"


@dataclass
class Restored:
    """What became of one input.

    Attributes:
        source: its path, or "picture 3" for the third of those that are no files.
        images: the restored faces (3, H, W), largest first, or with `paste` the one photograph, RGB in [0, 1]. Empty
            if they were written to files.
        faces: those of the photograph, largest first; empty for an LR face.
        files: what was written, in the order of the images.
        smallest: side in pixels of the smallest face that was searched for; None if nothing was searched.
        seconds: that it took.
        note: what the reader of the file should know, such as that it was read as 12 bits.
        kept: an earlier call had done this input, and `resume` left it alone; `files` are what it had written.
        error: why it failed; None if it did not.
    """

    source: str
    images: list[Tensor] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    smallest: float | None = None
    seconds: float = 0.0
    note: str | None = None
    kept: bool = False
    error: str | None = None

    @property
    def boxes(self) -> list[Box]:
        """Where in the photograph each face is."""
        return [face.box for face in self.faces]

    @property
    def image(self) -> Tensor:
        """The first of the images.

        Raises:
            ElsfaceError: there is none: this input failed, its images went to files, or all faces were left alone.
        """
        if not self.images:
            why = self.error or "; ".join(dict.fromkeys(face.judgement for face in self.faces))
            raise ElsfaceError(
                f"the images of {self.source} were written: read them from `files`." if self.files else why
            )
        return self.images[0]


@dataclass
class Task:
    """One input on its way: first where it is, then the photograph, then its LR faces, then what is to be written."""

    result: Restored
    picture: object  # a path, or a picture in any form, or the error that it is; let go of once it is read
    below: Path = field(default_factory=Path)  # its place in the output, as in the folder that was searched
    photo: Photograph | None = None
    parts: list[Tensor] = field(default_factory=list)  # LR, for the network
    places: list[Box] = field(default_factory=list)  # of the face in each of these, in a photograph
    written: list[Photograph] = field(default_factory=list)

    def fail(self, error: ElsfaceError) -> None:
        """Notes that this input ends here."""
        self.result.error, self.result.images = str(error), []
        self.photo, self.parts, self.written = None, [], []
