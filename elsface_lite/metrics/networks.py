"""The pretrained networks of LPIPS, FID and identity, from data files that packages of the Python registry ship.

None of these packages is imported: only its data file is found, held against its SHA-256, and read. There are no
random weights in place of missing ones: a network that is not there is an error that says how to get it.
"""

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packages import WeightsMissing, extra, find_file


class ArraysOnly(pickle.Unpickler):
    """Reads a pickle of dictionaries and numpy arrays; any other name in it, which could be code, is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.ndarray.__reduce__(np.empty(0))[0]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")


def packaged_trunk(net: str) -> dict[str, Tensor]:
    """The convolutions of torchvision's pretrained AlexNet or VGG16, named as in its `features`.

    Args:
        net: "alex" or "vgg".

    Raises:
        ElsfaceError: see `find_file`.
    """
    with extra("metrics"):
        import torchvision.models

    with find_file(net).open("rb") as file:
        layers = ArraysOnly(file).load()[{"alex": "AlexNet_0", "vgg": "VGG16_0"}[net]]
    with torch.device("meta"):  # only to know at which places the convolutions are
        features = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}[net]().features
    places = [i for i, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    state = {}
    for number, place in enumerate(places):
        layer = layers[f"Conv_{number}"]
        # The file's kernels are (height, width, in, out).
        state[f"{place}.weight"] = torch.tensor(layer["kernel"]).permute(3, 2, 0, 1).contiguous()
        state[f"{place}.bias"] = torch.tensor(layer["bias"])
    return state


def downloaded_trunk(net: str) -> dict[str, Tensor]:
    """The same convolutions from torchvision's own download (AlexNet 233 MB, VGG16 528 MB), for who has a network.

    Raises:
        OSError, HTTPException, ValueError, RuntimeError, pickle.UnpicklingError: there is no network, or what comes is
            not the file.
    """
    with extra("metrics"):
        from torchvision.models import AlexNet_Weights, VGG16_Weights

    weights = {"alex": AlexNet_Weights, "vgg": VGG16_Weights}[net].IMAGENET1K_V1
    state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}


def trunk(net: str) -> dict[str, Tensor]:
    """The packaged trunk, or where it is not installed, the downloaded one.

    Raises:
        WeightsMissing: it is neither installed nor to be downloaded.
        ElsfaceError: the installed file is not the published one.
    """
    try:
        return packaged_trunk(net)
    except WeightsMissing as missing:
        try:
            return downloaded_trunk(net)
        except (OSError, HTTPException, ValueError, RuntimeError, pickle.UnpicklingError):
            raise missing from None


@contextmanager
def full_precision() -> Iterator[None]:
    """No gradients, no autocast, no TF32: a metric must not depend on the device or on who calls it."""
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(enabled=True, benchmark=cudnn.benchmark, deterministic=True, allow_tf32=False)
    with torch.no_grad(), torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False), exact:
        yield


@cache
def lpips_network(net: str, device: torch.device) -> nn.Module:
    """LPIPS v0.1 of the package `lpips` with its own linear heads and a pretrained trunk.

    Args:
        net: "alex" or "vgg".
        device: where it is to compute.

    Raises:
        ElsfaceError: the trunk is not to be had, see `trunk`.
    """
    with extra("metrics"):
        import lpips

    state = trunk(net)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        # "pnet_rand" keeps the package from downloading; every random weight is replaced below.
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    slices = {key: key.split(".", 1)[1] for key in network.net.state_dict()}  # "slice1.0.weight" was "0.weight"
    network.net.load_state_dict({key: state[old] for key, old in slices.items()}, strict=True)
    return network.eval().requires_grad_(False).to(device)


@cache
def inception_network(device: torch.device) -> torch.jit.ScriptModule:
    """The Inception network of 2015-12-05 that FID is defined by, without its classifier.

    Args:
        device: where it is to compute.

    Returns:
        (b, 3, 299, 299) RGB, (8-bit value - 128) / 128, to (b, 2048).

    Raises:
        ElsfaceError: see `find_file`.
    """
    path = find_file("inception")
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, but the only form of this file
        return torch.jit.load(str(path), map_location=device).eval()


class DlibBlock(nn.Module):
    """A residual block of dlib's face network; a block with stride 2 halves the image and may double the channels."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        padding = 1 if stride == 1 else 0
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, padding),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.stride == 2:
            x = F.avg_pool2d(x, 2)
        # dlib adds tensors of unequal size as if the smaller one went on with zeros.
        channels, height, width = (max(sizes) for sizes in zip(x.shape[1:], y.shape[1:], strict=True))
        x, y = (F.pad(t, (0, width - t.shape[3], 0, height - t.shape[2], 0, channels - t.shape[1])) for t in (x, y))
        return F.relu(x + y)


class DlibFace(nn.Module):
    """dlib's face recognition ResNet: 29 convolutions, their affine layers folded into them.

    Shape: (b, 3, 150, 150) RGB in [0, 1], an aligned face -> (b, 128). Two faces of one person are closer than 0.6.

    Source: dlib_face_recognition_resnet_model_v1 (King 2017, CC0).
    """

    CHANNELS = (32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256, 256)
    HALVING = (3, 7, 10, 13)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        sizes = zip((32, *self.CHANNELS), self.CHANNELS, strict=False)
        self.blocks = nn.Sequential(*(DlibBlock(*size, 2 if i in self.HALVING else 1) for i, size in enumerate(sizes)))
        self.head = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1), persistent=False)

    def forward(self, face: Tensor) -> Tensor:
        x = (255 * face - self.mean) / 256  # type: ignore[operator]
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        return self.head(self.blocks(x).mean((2, 3)))


def dlib_tensor(data: bytes, start: int, *sizes: int) -> tuple[Tensor, int]:
    """The next tensor of these sizes in dlib's format, from `start` on: its values, flat, and where it ends.

    A tensor is its format's version, 2, and four sizes, each as a count of bytes and that many bytes; then float32.
    """
    header = b"".join(
        bytes([(number.bit_length() + 7) // 8]) + number.to_bytes((number.bit_length() + 7) // 8, "little")
        for number in (2, *sizes, *[1] * (4 - len(sizes)))
    )
    begin = data.index(header, start) + len(header)
    count = int(np.prod(sizes))
    return torch.frombuffer(bytearray(data[begin : begin + 4 * count]), dtype=torch.float32), begin + 4 * count


@cache
def identity_network(device: torch.device) -> nn.Module:
    """dlib's face network with its published weights.

    Args:
        device: where it is to compute.

    Raises:
        ElsfaceError: see `find_file`.
    """
    data, place = find_file("identity").read_bytes(), 0
    with torch.random.fork_rng(devices=[]):
        network = DlibFace()
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        weights, place = dlib_tensor(data, place, conv.weight.numel() + conv.out_channels)
        affine, place = dlib_tensor(data, place, 2 * conv.out_channels)
        kernel, bias = weights.split([conv.weight.numel(), conv.out_channels])
        gain, shift = affine.chunk(2)
        conv.weight.data = kernel.view_as(conv.weight) * gain.view(-1, 1, 1, 1)
        conv.bias.data = bias * gain + shift  # type: ignore[union-attr]
    head, _ = dlib_tensor(data, place, 256, 128)
    network.head.weight.data = head.view(256, 128).T.contiguous()
    return network.eval().requires_grad_(False).to(device)
