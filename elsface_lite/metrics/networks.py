"""The pretrained networks of LPIPS, FID and identity, from data files that packages of the Python registry ship.

None of these packages is imported: only its data file is found, held against its SHA-256, and read. There are no
random weights in place of missing ones: a network that is not there is an error that says how to get it.
"""

import importlib.util
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ElsfaceError
from ..packages import WeightsMissing, extra, find_file

# What a metric needs: a data file, by its name in `packages`, and the packages that it imports.
DLIB = "dlib-bin==20.0.1.post1"  # dlib, built; an extra of nobody, since not every system has a build
NEEDS = {
    "lpips": ("alex", ("lpips", "torchvision")),
    "lpips_vgg": ("vgg", ("lpips", "torchvision")),
    "identity": ("identity", ()),
    "fid": ("inception", ("torchmetrics",)),
    "kid": ("inception", ()),
}


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


@cache
def check_installed(metric: str) -> None:
    """That a metric finds here what it needs, seen before the work begins and without loading a network.

    Args:
        metric: by name; one that is not in NEEDS needs nothing.

    Raises:
        ElsfaceError: it does not, with the command that installs what is missing.
    """
    if metric not in NEEDS:
        return
    file, packages = NEEDS[metric]
    with extra("metrics"):
        for package in packages:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(name=package)
    if metric == "identity":
        identity_network(torch.device("cpu"))
    try:
        find_file(file)
    except WeightsMissing:
        if file not in ("alex", "vgg"):
            raise
        trunk(file)  # which may be downloaded, and then is there


def missing_metrics(names: Iterable[str]) -> dict[str, str]:
    """Those of the metrics that cannot be measured here, each with the reason and what to do, see `check_installed`."""
    found = {}
    for name in names:
        try:
            check_installed(name)
        except ElsfaceError as error:
            found[name] = str(error)
    return found


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

    # It is kept for all callers: one without gradients must not leave a network that a loss cannot go through.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        state = trunk(net)
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


@cache
def identity_network(device: torch.device) -> Callable[[Tensor], Tensor]:
    """dlib's face recognition network (King 2017), computed by dlib itself, on the CPU.

    Args:
        device: where the embeddings are wanted.

    Returns:
        A function (b, 3, 150, 150), RGB in [0, 1], an aligned face, to (b, 128). Two faces of one person are closer
        than 0.6.

    Raises:
        ElsfaceError: dlib is not installed, or see `find_file`.
    """
    path = find_file("identity")
    try:
        import dlib
    except ImportError:
        raise WeightsMissing(
            f"identity needs dlib, which is not installed: get it with `pip install {DLIB}`."
        ) from None
    model = dlib.face_recognition_model_v1(str(path))

    def network(faces: Tensor) -> Tensor:
        chips = (255 * faces).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        found = model.compute_face_descriptor(list(chips))
        return torch.from_numpy(np.array(found, dtype=np.float32)).to(device)

    return network
