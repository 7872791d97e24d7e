"""The network for another runtime: ONNX files for any batch and any size, checked against PyTorch before they appear.

Needs the extra `onnx`: pip install "elsface-lite[onnx]".
"""

import copy
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.degradation import downscale, quantize
from ..data.pairs import HR_SIZE, load_faces
from ..data.sources import faces_in, orl_faces, portraits
from ..errors import ElsfaceError
from ..files import whole_file
from ..metrics.image import psnr
from ..network.elsface import ELSFace, ELSFaceConfig
from ..network.modules import evaluating, kind, unwrapped
from ..network.style import LatentStyleEncoder
from ..packages import extra
from .optimize import compute_in, is_optimized

OPSET = 20
OPSETS = (18, 24)  # below, PyTorch writes 18 all the same; ONNX Runtime has read these
TOLERANCE = 1e-4  # of the exported file, in units of [0, 1]
TOLERANCE_FP16 = 5e-3
INT8_LOSS = 0.1  # dB that a file of 8-bit integers may lose


class _AveragePool(nn.Module):
    """nn.AdaptiveAvgPool2d as two matrix products: ONNX has no such pooling for sizes that are not known yet."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def averaging(self, size: int) -> Tensor:
        """The matrix (cells, size) that shrinks one side."""
        cell, place = torch.arange(self.cells)[:, None], torch.arange(size)[None]
        inside = (place >= cell * size // self.cells) & (place < ((cell + 1) * size + self.cells - 1) // self.cells)
        return inside / inside.sum(1, keepdim=True)  # float32

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.averaging(height).to(x.dtype) @ x @ self.averaging(width).T.to(x.dtype)


def export_onnx(model: nn.Module, path: str | os.PathLike[str], *, opset: int = OPSET, fp16: bool = False) -> float:
    """Writes the network as ONNX, with dynamic batch, height and width, and its config inside.

    Args:
        model: any ELSFace; it is not changed, and taken out of torch.compile and the like.
        path: the file, which appears only if it computes what the model does.
        opset: the version of ONNX's operators, 18 to 24: the lower, the older the runtimes that read it.
        fp16: weights and arithmetic in float16, half of the size; what goes in and comes out stays float32.

    Returns:
        The largest difference from PyTorch, of values in [0, 1], on two portraits at three sizes. With shifted windows
        (depth 2 or more) the file is right only for grids larger than a window, which is all that `OnnxModel` takes.

    Raises:
        ElsfaceError: ONNX is not installed, the network is none that can be exported, the file cannot be written, or it
            differs by more than 1e-4 (in float16 5e-3).
    """
    with extra("onnx"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 (PyTorch's exporter asks for it late, and with a traceback)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ElsfaceError(f"opset {opset} cannot be written: choose one from {OPSETS[0]} to {OPSETS[1]}.")
    model = _plain(model)
    frozen = copy.deepcopy(model).eval()
    for module in frozen.modules():
        if kind(module) is LatentStyleEncoder:
            module.pool = _AveragePool(4)  # cells a side, as in the encoder
    if fp16:
        compute_in(torch.float16, frozen)
    lr = torch.rand(2, 3, 40, 48)  # not the sizes that pooling and windows take as they are: those would be baked in
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        program = torch.onnx.export(
            frozen, (lr,), dynamo=True, verbose=False, opset_version=opset, dynamic_shapes=(sizes,),
            input_names=["lr"], output_names=["sr"],
        )  # fmt: skip
    assert program is not None  # as it would be without dynamo
    proto = program.model_proto
    with whole_file(path) as beside:
        _write(proto, model.config, beside)
        difference = _difference(model, OnnxModel(beside))
        if not difference <= (TOLERANCE_FP16 if fp16 else TOLERANCE):
            raise ElsfaceError(f"the exported network differs from PyTorch's by {difference:.1e}: nothing was written.")
    return difference


def _plain(model: nn.Module) -> ELSFace:
    """The network to be exported, or the reason why there is none."""
    model = unwrapped(model)
    if is_optimized(model):
        raise ElsfaceError("this network is one of `optimize`: export the one that it was made of.")
    if not isinstance(model, ELSFace):
        raise ElsfaceError(f"what is exported is an ELSFace, not a {type(model).__name__}: use torch.onnx for others.")
    return model


def _write(proto: Any, config: ELSFaceConfig, path: Path) -> None:
    """Writes an onnx.ModelProto with the config in its metadata, and a checksum over all the rest of it."""
    import onnx

    facts = {"elsface_lite": json.dumps(config.to_dict())}
    onnx.helper.set_model_props(proto, facts | {"sha256": _checksum(proto, facts)})
    path.write_bytes(proto.SerializeToString())


def _checksum(proto: Any, facts: dict[str, str]) -> str:
    """SHA-256 of an onnx.ModelProto with just these facts in its metadata, where it leaves them."""
    import onnx

    onnx.helper.set_model_props(proto, facts)
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def _read_config(data: bytes) -> ELSFaceConfig:
    """The config in an ONNX file.

    Raises:
        Exception: of almost any kind, where the file is not one of ours, whole.
    """
    import onnx

    proto = onnx.load_model_from_string(data)
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    if facts.pop("sha256") != _checksum(proto, facts):
        raise ValueError("its checksum is another")
    return ELSFaceConfig.from_dict(json.loads(facts["elsface_lite"]))


@torch.inference_mode()
def _difference(model: ELSFace, exported: "OnnxModel") -> float:
    """The largest difference on two portraits, whole, cropped to odd sides, and small."""
    hr = torch.stack([picture[:, :HR_SIZE, 128 : 128 + HR_SIZE] for picture in portraits().values()])
    lr = downscale(hr, 4)
    faces = (lr, lr[:1, :, :31, :27], lr[..., :12, :16])
    with evaluating(model):
        return max((model(face) - exported(face)).abs().max().item() for face in faces)


def export_int8(model: nn.Module, path: str | os.PathLike[str], faces: Tensor, *, opset: int = OPSET) -> float:
    """Writes the network as ONNX whose convolutions multiply 8-bit integers: a third of the size.

    Whether it is faster depends on the processor: it needs one that multiplies bytes well (benchmarks/inference.csv).

    Args:
        model: any ELSFace; it is not changed.
        path: the file, which appears only if it restores the faces about as well as the model does.
        faces: (n, 3, H, W), HR in [0, 1], from which the ranges of the features are learned: a hundred are enough.
        opset: see `export_onnx`.

    Returns:
        How much lower the mean PSNR on these faces is than the model's, in dB.

    Raises:
        ElsfaceError: see `export_onnx`; or the loss is above 0.1 dB.
    """
    with tempfile.TemporaryDirectory() as folder, whole_file(path) as beside:
        exported, prepared = Path(folder, "float.onnx"), Path(folder, "prepared.onnx")
        model = _plain(model)
        export_onnx(model, exported, opset=opset)
        import onnx
        from onnxruntime.quantization import quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        lr = downscale(faces, model.config.scale)
        quant_pre_process(exported, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, beside, _Calibration(lr), per_channel=True, op_types_to_quantize=["Conv"])
        _write(onnx.load(beside), model.config, beside)
        restored = [_mean_psnr(network, lr, faces) for network in (model, OnnxModel(beside))]
        loss = restored[0] - restored[1]
        if loss > INT8_LOSS:
            raise ElsfaceError(f"8-bit integers lose {loss:.2f} dB on these faces: nothing was written.")
    return loss


def calibration_faces(folder: str | os.PathLike[str] | None = None) -> Tensor:
    """A hundred HR faces, spread over a folder: (n, 3, 128, 128) in [0, 1].

    Without a folder they are the ORL faces. These are grey, so every second one is tinted: from grey faces alone the
    8-bit integers would not learn the ranges of colour, which costs 1.2 dB on colour photographs.

    Raises:
        ElsfaceError: there is no such folder, or a picture cannot be read.
    """
    paths = orl_faces().paths if folder is None else faces_in(Path(folder))
    faces = load_faces(paths[:: max(1, len(paths) // 100)][:100], HR_SIZE, enlarge=True).float() / 255
    if folder is None:
        light = 0.6 + 0.8 * torch.rand(len(faces[1::2]), 3, 1, 1, generator=torch.Generator().manual_seed(0))
        faces[1::2] = (faces[1::2] * light).clamp(0, 1)
    return faces


def exported_name(weights: str | os.PathLike[str]) -> Path:
    """Where the exported file of weights is looked for: name.onnx here, or beside a .safetensors file."""
    path = Path(weights)
    return path.with_suffix(".onnx") if path.suffix in (".safetensors", ".onnx") else Path(f"{path}.onnx")


def load_exported(weights: str | os.PathLike[str], threads: int | None = None) -> "OnnxModel":
    """The exported network of weights, on so many threads (all, if None).

    Raises:
        ElsfaceError: it has not been exported, or see `OnnxModel`.
    """
    path = exported_name(weights)
    if not path.is_file():
        raise ElsfaceError(f"there is no {path}: write it first, by elsface-lite export --weights {weights} --to onnx.")
    return OnnxModel(path, threads)


class _Calibration:
    """What onnxruntime.quantization reads its examples from: a batch at each call, None at the end."""

    def __init__(self, lr: Tensor) -> None:
        self.batches = iter(lr.split(4))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"lr": batch.numpy()}


@torch.inference_mode()
def _mean_psnr(network: nn.Module, lr: Tensor, hr: Tensor) -> float:
    pairs = zip(lr.split(8), hr.split(8), strict=True)
    return torch.cat([psnr(quantize(network(small)), large) for small, large in pairs]).mean().item()


class OnnxModel(nn.Module):
    """An exported network, run by ONNX Runtime: called like an ELSFace, with the same config.

    Args:
        path: a file of `export_onnx`.
        threads: of the processor; as many as PyTorch uses if None.

    Shape: (b, 3, h, w) RGB in [0, 1] -> (b, 3, scale h, scale w), not clamped, on the CPU.

    Raises:
        ElsfaceError: ONNX Runtime is not installed, or the file is none of ours; or, when called, a face is so small
            that windows would not shift, if the network shifts them.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        super().__init__()
        with extra("onnx"):
            import onnx  # noqa: F401
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            data = Path(path).read_bytes()
            self.config = _read_config(data)
            self.session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no common class
            raise ElsfaceError(f"{path} is damaged, or elsface-lite did not export it: export it again.") from error

    def forward(self, lr: Tensor) -> Tensor:
        if self.config.depth > 1 and self.config.grid * min(lr.shape[-2:]) <= self.config.window:
            raise ElsfaceError("this exported network needs faces larger than its windows: use the torch runtime.")
        (sr,) = self.session.run(None, {"lr": lr.cpu().numpy()})
        return torch.from_numpy(sr)
