"""What a browser loads computes what PyTorch does, and is as small as it may be. (In a browser: tests/test_web.py.)"""

import pytest
import torch

from elsface_lite import ElsfaceError
from elsface_lite.inference.detector import stages
from elsface_lite.inference.export import OnnxModel
from elsface_lite.inference.export_browser import export_detector, export_for_browser
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig

pytestmark = pytest.mark.slow
onnx = pytest.importorskip("onnx", reason='ONNX is not installed: pip install "elsface-lite[onnx]"')
pytest.importorskip("onnxruntime", reason='ONNX is not installed: pip install "elsface-lite[onnx]"')
SMALL = dict(channels=8, streams="cnn", cnn_blocks=1, hfebs=0, hfeb_skip=False, bicubic_skip=False)


def test_weights_are_stored_in_half_and_computed_with_in_float32(tmp_path):
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(**SMALL))
    difference = export_for_browser(model, tmp_path / "network.onnx")
    assert 1e-6 < difference < 1e-3, "these weights are no float16 numbers, and are rounded"
    stored = onnx.load(tmp_path / "network.onnx").graph.initializer
    assert not [weight.name for weight in stored if weight.data_type == 1 and len(weight.dims) and weight.dims[0] > 1]
    lr = torch.rand(2, 3, 17, 23)
    with torch.inference_mode():
        assert (OnnxModel(tmp_path / "network.onnx")(lr) - model.eval()(lr)).abs().max() < 1e-2


def test_weights_too_large_for_half_are_refused(tmp_path):
    model = ELSFace(ELSFaceConfig.lite(**SMALL))
    torch.nn.init.constant_(model.upsample[-1].bias, 1e6)
    with pytest.raises(ElsfaceError, match="nothing was written"):
        export_for_browser(model, tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_the_detector_is_exported_for_any_number_of_windows(tmp_path):
    import onnxruntime

    for path, stage, side in zip(export_detector(tmp_path), stages(), (61, 24, 48), strict=True):
        windows = torch.rand(5, 3, side, side) * 2 - 1
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        scores, *rest = session.run(None, {"windows": windows.numpy()})
        expected, *others = stage(windows)
        assert abs(scores - expected.sigmoid().numpy()).max() < 1e-4
        assert all(abs(a - b.numpy()).max() < 1e-4 for a, b in zip(rest, others, strict=True))
