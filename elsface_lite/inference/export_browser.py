"""What a browser loads: the network in half of its size, and the three of the face detector.

Needs the extra `onnx`: pip install "elsface-lite[onnx]".
"""

import copy
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ElsfaceError
from ..files import whole_file
from ..packages import extra
from .detector import Stage, stages
from .export import OPSET, TOLERANCE, TOLERANCE_FP16, OnnxModel, _difference, _plain, _write, export_onnx

STAGES = ("pnet", "rnet", "onet")  # MTCNN's own names of what proposes, refines, and places the landmarks
WINDOWS = (48, 24, 48)  # sides of the windows that they are exported with; the first takes any


def export_for_browser(model: nn.Module, path: str | os.PathLike[str]) -> float:
    """Writes a network as ONNX whose weights are stored in float16, and computed with in float32.

    A browser has no arithmetic in float16 without a graphics card, but it can load half as much. The weights that come
    with elsface-lite are stored in float16, so nothing of them is lost.

    Args:
        model: any ELSFace; it is not changed.
        path: the file, which appears only if it computes what the model does.

    Returns:
        The largest difference from PyTorch, as of `export_onnx`.

    Raises:
        ElsfaceError: see `export_onnx`; in float16 the weights may differ by 5e-3.
    """
    model = _plain(model)
    with whole_file(path) as beside:
        export_onnx(model, beside)
        import onnx

        proto = onnx.load(beside)
        _store_in_half(proto)
        _write(proto, model.config, beside)
        difference = _difference(model, OnnxModel(beside))
        if not difference <= TOLERANCE_FP16:
            raise ElsfaceError(f"weights in float16 change the network by {difference:.1e}: nothing was written.")
    return difference


def _store_in_half(proto: Any) -> None:
    """Rounds large weights of an onnx.ModelProto to float16, each with a cast behind it, and drops remarks on nodes."""
    import numpy as np
    import onnx

    graph, casts = proto.graph, []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 1:
            name = f"{weight.name}_half"
            casts.append(onnx.helper.make_node("Cast", [name], [weight.name], to=onnx.TensorProto.FLOAT))
            with np.errstate(over="ignore"):  # to infinity: then the file computes something else, and is not written
                weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name))
    nodes = casts + list(graph.node)
    for node in nodes:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    graph.ClearField("node")
    graph.ClearField("value_info")
    graph.node.extend(nodes)


class _Scored(nn.Module):
    """A stage of the detector whose first head gives the probability of a face, (b, 1) or (b, 1, h, w)."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = copy.deepcopy(stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        scores, *rest = self.stage(x)
        return [scores.sigmoid(), *rest]


def export_detector(folder: str | os.PathLike[str]) -> list[Path]:
    """Writes the three networks of `detect` as pnet.onnx, rnet.onnx and onet.onnx.

    They take windows (b, 3, h, w) with values in [-1, 1], the first of any size, the others of 24 and 48 pixels. They
    give `scores` from 0 to 1, `shifts` of the box's sides and, the third, `landmarks`, as `detector.Stage` has them.

    Args:
        folder: an existing one.

    Returns:
        The files.

    Raises:
        ElsfaceError: ONNX or the detector's weights are not installed, or a file would compute something else.
    """
    return [_export_stage(*each, Path(folder)) for each in zip(STAGES, stages(), WINDOWS, strict=True)]


def _export_stage(name: str, stage: Stage, side: int, folder: Path) -> Path:
    with extra("onnx"):
        import onnxruntime
        import onnxscript  # noqa: F401 (see export_onnx)
    scored, windows = _Scored(stage).eval(), torch.rand(3, 3, side, side) * 2 - 1
    sizes = {0: torch.export.Dim("batch")}
    if stage.dense is None:
        sizes |= {2: torch.export.Dim("height", min=12), 3: torch.export.Dim("width", min=12)}
    heads = ["scores", "shifts", "landmarks"][: len(stage.heads)]
    program = torch.onnx.export(
        scored, (windows,), dynamo=True, verbose=False, opset_version=OPSET, dynamic_shapes=(sizes,),
        input_names=["windows"], output_names=heads,
    )  # fmt: skip
    assert program is not None  # as it would be without dynamo
    path = folder / f"{name}.onnx"
    with whole_file(path) as beside:
        beside.write_bytes(program.model_proto.SerializeToString())
        session = onnxruntime.InferenceSession(beside, providers=["CPUExecutionProvider"])
        given = map(torch.from_numpy, session.run(None, {"windows": windows.numpy()}))
        difference = max((a - b).abs().max().item() for a, b in zip(given, scored(windows), strict=True))
        if not difference <= TOLERANCE:
            raise ElsfaceError(f"the exported {name} differs from PyTorch's by {difference:.1e}: nothing was written.")
    return path
