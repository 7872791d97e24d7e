"""LR and HR pictures that somebody has made already: two folders, paired by name."""

import warnings
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from ..errors import ElsfaceError
from .images import image_size, read_image
from .sources import faces_in


class PairedFolders(Dataset[tuple[Tensor, Tensor]]):
    """LR and HR pictures of two folders, paired by their path in the folder without suffix: `a/1.png` and `a/1.jpg`.

    Args:
        lr: folder of LR pictures.
        hr: folder of HR pictures, each as many times as wide and as high as its LR picture, the same number for all.

    Attributes:
        scale: LR pixels are this many HR pixels wide.
        names: of the pairs, in order, such as `a/1`.
        files: of each pair, LR and HR.
        sizes: height and width of every LR picture. A batch takes pictures of one size.
        notes: a line on the pictures without a partner, if there are any; it is given as a warning, too.

    Items: (3, h, w) and (3, scale h, scale w), float32 in [0, 1].

    Raises:
        ElsfaceError: a folder has no picture or two of one name, no two are named alike, or sizes do not fit; all of
            that is seen in the headers, before any item is read. On reading, a picture is damaged.
    """

    def __init__(self, lr: str | Path, hr: str | Path) -> None:
        lr_files, hr_files = by_place(faces_in(lr), lr), by_place(faces_in(hr), hr)
        self.names = sorted(lr_files.keys() & hr_files.keys())
        self.files = [(lr_files[name], hr_files[name]) for name in self.names]
        if not self.names:
            raise ElsfaceError(
                f"no picture of {lr} is named like one of {hr}: name pairs alike, as a/1.png and a/1.jpg."
            )
        alone = [str(files[name]) for files in (lr_files, hr_files) for name in sorted(files.keys() - {*self.names})]
        self.notes: list[str] = []
        if alone:
            some = ", ".join(alone[:3]) + ", …" * (len(alone) > 3)
            self.notes.append(f"pictures without a partner, left out: {len(alone)} ({some})")
            warnings.warn(self.notes[0], stacklevel=2)
        self.sizes = [image_size(file) for file, _ in self.files]
        self.scale = self._common_scale()

    def _common_scale(self) -> int:
        scales = []
        for (lr, hr), (height, width) in zip(self.files, self.sizes, strict=True):
            hr_height, hr_width = image_size(hr)
            scales.append(hr_height // height)
            sizes = f"{lr} has {width}x{height} pixels and {hr} {hr_width}x{hr_height}"
            if (hr_height, hr_width) != (scales[-1] * height, scales[-1] * width) or not scales[-1]:
                rule = "HR has to be as wide and as high as LR times a whole number"
                raise ElsfaceError(f"{sizes}: {rule}; or are the folders exchanged?")
            if scales[-1] != scales[0]:
                rule = f"that is x{scales[-1]}, and the first pair is x{scales[0]}"
                raise ElsfaceError(f"{sizes}: {rule}: keep pictures of one scale.")
        return scales[0]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        lr, hr = self.files[index]
        return read_image(lr), read_image(hr)


def by_place(files: Iterable[Path], folder: str | Path) -> dict[str, Path]:
    """Files by their path in the folder, without suffix.

    Raises:
        ElsfaceError: two have one name.
    """
    found: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ElsfaceError(f"{found[name]} and {file} have one name, so their partner is not clear: remove one.")
        found[name] = file
    return found
