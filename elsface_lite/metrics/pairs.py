"""What is evaluated: pairs of SR and HR images, from two folders, or as a network makes them."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..data.degradation import upscale
from ..data.images import find_images, is_folder, read_image
from ..data.pairs import FacePairs
from ..errors import ElsfaceError
from .evaluator import Evaluator

BATCH = 16


class Pairs(Protocol):
    """What is evaluated: SR and HR images by number, and what there is to say about them."""

    names: list[str]
    notes: list[str]

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The SR and HR image of each index, (3, h, w) each."""


class FolderPairs:
    """SR and HR files of two folders, paired by their stems ("0001.png" with "0001.jpg").

    Args:
        sr, hr: the folders, searched with all below them.

    Raises:
        ElsfaceError: a folder without images, a stem twice in one folder, no pair, a file that is not readable, or a
            pair of two sizes.
    """

    def __init__(self, sr: str | Path, hr: str | Path) -> None:
        sr_files, hr_files = by_stem(sr), by_stem(hr)
        paired = sr_files.keys() & hr_files.keys()
        if not paired:
            raise ElsfaceError(f"no file of {sr} has the stem of a file of {hr}: name them alike, as 1.png and 1.jpg.")
        self.names = sorted(paired)
        self.files = [(sr_files[name], hr_files[name]) for name in self.names]
        alone = [files[stem].as_posix() for files in (sr_files, hr_files) for stem in sorted(files.keys() - paired)]
        self.notes = [f"without a partner, left out: {name}" for name in alone]
        if any(file.suffix.lower() in (".jpg", ".jpeg") for file, _ in self.files):
            self.notes.append("SR was measured from JPEG files, which changes every value: save PNG instead.")
        for index in range(len(self.names)):  # before the work of minutes begins, not in its midst
            self._check(*self.load([index])[0], self.names[index])

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        return [(read_image(self.files[i][0]), read_image(self.files[i][1])) for i in indices]

    @staticmethod
    def _check(sr: Tensor, hr: Tensor, name: str) -> None:
        if sr.shape != hr.shape:
            (sr_height, sr_width), (height, width) = sr.shape[-2:], hr.shape[-2:]
            raise ElsfaceError(
                f"{name}: SR is {sr_width}x{sr_height} pixels and HR {width}x{height}; they must be of one size."
            )


class RestoredFaces:
    """HR faces, and what a network makes of their LR faces.

    Args:
        network: (b, 3, h, w) LR to (b, 3, scale h, scale w); its output is clamped to [0, 1].
        faces: picture files, cropped to the centre and brought to 128x128.
        scale: LR pixels are this many HR pixels wide.
    """

    def __init__(self, network: nn.Module, faces: Sequence[Path], scale: int) -> None:
        self.pairs = FacePairs(faces, scale)
        self.names = [Path(path).stem for path in self.pairs.paths]
        self.notes: list[str] = []
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.eval().to(self.device)

    @torch.no_grad()
    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        lr, hr = (torch.stack(images).to(self.device) for images in zip(*(self.pairs[i] for i in indices), strict=True))
        return list(zip(self.network(lr).clamp(0, 1), hr, strict=True))


class Bicubic(nn.Module):
    """The baseline, where a network is expected."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return upscale(lr, self.scale)


def by_stem(folder: str | Path) -> dict[str, Path]:
    """The images of a folder by stem.

    Raises:
        ElsfaceError: it has none, or two of one stem.
    """
    if not is_folder(folder):
        raise ElsfaceError(f"there is no folder {folder}: give a folder of pictures.")
    files: dict[str, Path] = {}
    for file in find_images([folder]):
        if other := files.get(file.stem):
            raise ElsfaceError(f"{other} and {file} have one stem, so their partner is not clear: rename one.")
        files[file.stem] = file
    return files


def load_network(name: str, scale: int) -> nn.Module:
    """The shipped weights of this name, or "bicubic" for the baseline.

    Raises:
        ElsfaceError: there are no such weights, or they are for another scale.
    """
    if name == "bicubic":
        return Bicubic(scale)
    from ..network.weights import load_pretrained

    network = load_pretrained(name)
    if network.config.scale != scale:
        raise ElsfaceError(
            f"{name} enlarges x{network.config.scale}, not x{scale}: say --scale {network.config.scale}."
        )
    return network


def measure_pairs(pairs: Pairs, metrics: Sequence[str]) -> Evaluator:
    """Runs every metric over every pair, with a progress bar on stderr."""
    from tqdm import tqdm

    evaluator = Evaluator(metrics)
    with tqdm(total=len(pairs.names), unit=" faces", leave=False) as progress:
        for start in range(0, len(pairs.names), BATCH):
            images = pairs.load(range(start, min(start + BATCH, len(pairs.names))))
            for _, group in groupby(images, key=lambda pair: pair[0].shape):  # a batch has one size
                sr, hr = zip(*group, strict=True)
                evaluator.update(torch.stack(sr), torch.stack(hr))
                progress.update(len(sr))
    return evaluator
