"""What is evaluated: pairs of SR and HR images, from two folders or as a network makes them, or SR images alone."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..data.degradation import Degradation, upscale
from ..data.folders import by_place
from ..data.images import read_image
from ..data.pairs import HR_SIZE, KEPT_BYTES, FacePairs
from ..data.sources import faces_in
from ..errors import ElsfaceError
from ..network.modules import evaluating
from .evaluator import Evaluator

BATCH = 16
JPEG_NOTE = "SR was measured from JPEG files, which changes every value: save PNG instead."


class Images(Protocol):
    """What is evaluated: SR and HR images, or SR alone, by number, and what there is to say about them."""

    names: list[str]
    notes: list[str]
    side: int  # of the smallest image, in pixels

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """The SR and, where there is one, the HR image of each index, (3, h, w) each."""


class Decoded:
    """Picture files, all read at once, so that a broken one is seen before the work begins.

    Their pixels are kept as far as there is room, KEPT_BYTES; the others are read once more when they are measured.

    Args:
        files: in any form that `read_image` takes.

    Raises:
        ElsfaceError: a file is not readable.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = list(files)
        self.kept: dict[Path, Tensor] = {}
        self.sizes: dict[Path, str] = {}
        self.sides: list[int] = []
        room = KEPT_BYTES
        for file in tqdm(self.files, "reading", unit=" files", leave=False, disable=None):
            pixels = (255 * read_image(file)).round().to(torch.uint8)  # a metric sees no more of it
            self.sizes[file] = f"{pixels.shape[-1]}x{pixels.shape[-2]}"
            self.sides += pixels.shape[-2:]
            room -= pixels.numel()
            if room >= 0:
                self.kept[file] = pixels

    def __getitem__(self, file: Path) -> Tensor:
        return self.kept[file].float() / 255 if file in self.kept else read_image(file)


class FolderPairs:
    """SR and HR files of two folders, paired by their paths in them without suffix ("a/1.png" with "a/1.jpg").

    Args:
        sr: the folder of SR files, searched with all below it.
        hr: the folder of HR files, in the same way.
        pattern: the name of an SR file without suffix; {} stands for that of its HR file, as in "{}_x4".

    Raises:
        ElsfaceError: a folder without images, one name twice in a folder, no pair, a file that is not readable, a pair
            of two sizes, or a pattern without {}.
    """

    def __init__(self, sr: str | Path, hr: str | Path, pattern: str = "{}") -> None:
        if pattern.count("{}") != 1:
            raise ElsfaceError(
                f'the pattern {pattern!r} has no place for the name of HR: write one {{}}, as in "{{}}_x4".'
            )
        sr_files, hr_files = (by_place(faces_in(folder), folder) for folder in (sr, hr))
        wanted = {name: sr_name(name, pattern) for name in hr_files}
        self.names = sorted(name for name in hr_files if wanted[name] in sr_files)
        if not self.names:
            example = min(hr_files)
            raise ElsfaceError(
                f"no file of {sr} belongs to a file of {hr}: to {hr_files[example]} one would be called "
                f"{wanted[example]}.png; or give another pattern."
            )
        self.files = [(sr_files[wanted[name]], hr_files[name]) for name in self.names]
        paired = {file for files in self.files for file in files}
        alone = [file for files in (sr_files, hr_files) for file in files.values() if file not in paired]
        self.notes = [f"without a partner, left out: {file.as_posix()}" for file in alone]
        if any(file.suffix.lower() in (".jpg", ".jpeg") for file, _ in self.files):
            self.notes.append(JPEG_NOTE)
        self.images = Decoded(dict.fromkeys(file for files in self.files for file in files))
        for name, (sr_file, hr_file) in zip(self.names, self.files, strict=True):
            sizes = self.images.sizes[sr_file], self.images.sizes[hr_file]
            if sizes[0] != sizes[1]:
                raise ElsfaceError(
                    f"{name}: SR is {sizes[0]} pixels and HR {sizes[1]}; they must be of one size: cut or resize one."
                )
        self.side = min(self.images.sides)

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        return [tuple(self.images[file] for file in self.files[i]) for i in indices]


class FolderImages:
    """SR files of a folder, without HR.

    Args:
        sr: the folder, searched with all below it.

    Raises:
        ElsfaceError: it has no images, or a file is not readable.
    """

    def __init__(self, sr: str | Path) -> None:
        self.images = Decoded(faces_in(sr))
        self.side = min(self.images.sides)
        self.names = [file.relative_to(sr).as_posix() for file in self.images.files]
        jpeg = any(file.suffix.lower() in (".jpg", ".jpeg") for file in self.images.files)
        self.notes = [JPEG_NOTE] if jpeg else []

    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        return [(self.images[self.images.files[i]],) for i in indices]


class RestoredFaces:
    """HR faces, and what a network makes of their LR faces.

    Args:
        network: (b, 3, h, w) LR to (b, 3, scale h, scale w); its output is clamped to [0, 1].
        faces: picture files below the folder, cropped to the centre and brought to size x size.
        folder: what the names of the faces are relative to.
        scale: LR pixels are this many HR pixels wide.
        size: side of an HR face in pixels.
        enlarge: takes pictures that are smaller than size as well.
        degradation: makes the LR faces; None for `Bicubic(scale)`.
        device: where the network computes.

    Raises:
        ElsfaceError: no faces, one that is not readable or smaller than size, or scale does not divide size.
    """

    def __init__(
        self,
        network: nn.Module,
        faces: Sequence[Path],
        folder: str | Path,
        scale: int,
        size: int = HR_SIZE,
        enlarge: bool = False,
        degradation: Degradation | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.pairs, self.side = FacePairs(faces, scale, size, degradation, enlarge=enlarge), size
        self.names = [face.relative_to(folder).with_suffix("").as_posix() for face in faces]
        self.notes: list[str] = []
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device)
        for index in tqdm(range(len(faces)), "reading", unit=" files", leave=False, disable=None):
            self.pairs.hr(index)  # which keeps it; a broken one is seen before the work of minutes begins

    @torch.no_grad()
    def load(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        lr, hr = (torch.stack(images).to(self.device) for images in zip(*(self.pairs[i] for i in indices), strict=True))
        with evaluating(self.network):
            return list(zip(self.network(lr).clamp(0, 1), hr, strict=True))


class Bicubic(nn.Module):
    """The baseline, where a network is expected."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return upscale(lr, self.scale)


def sr_name(hr_name: str, pattern: str) -> str:
    """What the SR file of an HR file is called: the same place, and the pattern with the HR file's name in it."""
    place = Path(hr_name)
    return (place.parent / pattern.replace("{}", place.name)).as_posix()


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


def usable_device(name: str | None) -> torch.device:
    """The device of this name; without one, CUDA where there is a device, otherwise the CPU.

    Raises:
        ElsfaceError: it cannot be computed on.
    """
    device = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ElsfaceError(f"the device {device!r} cannot be used here: leave it out, or say 'cpu'.") from error


def measure_images(images: Images, evaluator: Evaluator, device: torch.device | None = None) -> None:
    """Every image into the evaluator, with a progress bar on stderr.

    Args:
        images: such as FolderPairs.
        evaluator: is updated with each of them, in their order.
        device: where the metrics are computed; None for where the images are.

    Raises:
        ElsfaceError: an image cannot be measured.
    """
    with tqdm(total=len(images.names), unit=" faces", leave=False) as progress:
        for start in range(0, len(images.names), BATCH):
            loaded = images.load(range(start, min(start + BATCH, len(images.names))))
            for _, group in groupby(loaded, key=lambda parts: parts[0].shape):  # a batch has one size
                batch = [torch.stack(part).to(device) for part in zip(*group, strict=True)]
                evaluator.update(*batch)
                progress.update(len(batch[0]))


def measure_reference(folder: str | Path, evaluator: Evaluator, device: torch.device | None = None) -> list[str]:
    """The images of a folder into the evaluator, for FID and KID to compare with: in any number, of any size.

    Args:
        folder: searched with all below it. Here a broken file costs no more than itself: there may be ten thousands.
        evaluator: see `Evaluator.update_reference`.
        device: where the features are computed.

    Returns:
        Notes: how many there are, and which were not readable.

    Raises:
        ElsfaceError: fewer than two are readable, or one cannot be measured.
    """
    broken, count = [], 0
    for file in tqdm(faces_in(folder), "reference", unit=" files", leave=False, disable=None):
        try:
            image = read_image(file)
        except ElsfaceError as error:
            broken.append(f"left out of the reference: {error}")
            continue
        evaluator.update_reference(image[None].to(device))
        count += 1
    if count < 2:
        raise ElsfaceError(f"{folder} has {count} readable images, and FID and KID compare sets: give two or more.")
    return [f"fid and kid: against {count} images of {folder}, not in pairs", *broken]
