"""The exported network computes what PyTorch's does, for any batch and size, and the command line runs it."""

import argparse
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from stress import times

from elsface_lite import ElsfaceError, downscale, load_pretrained, quantize, read_image, restore, write_png
from elsface_lite.cli import export as cli_export
from elsface_lite.cli.main import main
from elsface_lite.data.sources import portraits
from elsface_lite.inference.export import OnnxModel, calibration_faces, export_int8, export_onnx, exported_name
from elsface_lite.inference.optimize import optimize
from elsface_lite.inference.restore import weights_for
from elsface_lite.metrics.image import psnr
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig

pytestmark = pytest.mark.slow
SMALL = dict(channels=8, streams="cnn", cnn_blocks=1, hfebs=0, hfeb_skip=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds lite-x4.onnx."""
    pytest.importorskip("onnxruntime", reason='ONNX is not installed: pip install "elsface-lite[onnx]"')
    folder = tmp_path_factory.mktemp("exported")
    assert export_onnx(load_pretrained("lite-x4"), folder / "lite-x4.onnx") < 1e-5
    return folder


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 24, 40), (2, 33, 31), (1, 8, 8), (1, 64, 50)])
def test_equals_torch(folder, size):
    batch, height, width = size
    lr = torch.rand(batch, 3, height, width)
    exported = OnnxModel(folder / "lite-x4.onnx")
    with torch.inference_mode():
        assert (exported(lr) - load_pretrained("lite-x4")(lr)).abs().max() < 1e-4
    assert exported.config == load_pretrained("lite-x4").config


@pytest.mark.no_cover  # PyTorch exports in Python, which takes longer where branches are counted
def test_paper_and_shifted_windows(folder):
    torch.manual_seed(0)
    repeated = ("cnn_blocks", "cnn_recursions", "head_blocks", "hfebs", "hfeb_blocks", "rstb_recursions")
    changes = dict.fromkeys(repeated, times(2, 1)) | dict(channels=12, heads=2, out_channels=12, depth=2)
    model = ELSFace(ELSFaceConfig.paper(**changes)).train()
    assert export_onnx(model, folder / "paper.onnx") < 1e-5
    assert model.training, "the model is not changed"
    with pytest.raises(ElsfaceError, match="larger than its windows"):
        OnnxModel(folder / "paper.onnx")(torch.rand(1, 3, 4, 20))


def test_int8(folder, monkeypatch):
    model, exported = load_pretrained("lite-x4"), "elsface_lite.inference.export.export_onnx"
    monkeypatch.setattr(exported, lambda _, path, **__: shutil.copy(folder / "lite-x4.onnx", path))  # not a second time
    assert export_int8(model, folder / "int8.onnx", calibration_faces()[:40]) < 0.1
    assert (folder / "int8.onnx").stat().st_size < 0.4 * (folder / "lite-x4.onnx").stat().st_size
    hr = portraits()["astronaut"][None, :, 30:158, 160:288]  # not one of the faces that it was made with
    scores = [
        psnr(quantize(network(downscale(hr, 4))), hr).item() for network in (model, OnnxModel(folder / "int8.onnx"))
    ]
    assert scores[1] > scores[0] - 0.1


def test_what_export_writes_by_itself_is_what_restore_takes_for_photographs():
    parser = argparse.ArgumentParser()
    cli_export.add_arguments(parser)
    assert parser.parse_args([]).weights == weights_for(lr=False)


def test_restore_by_onnx(folder, tmp_path, monkeypatch, capsys):
    write_png(portraits()["astronaut"], tmp_path / "astronaut.png")
    monkeypatch.chdir(folder)
    words = ["restore", str(tmp_path / "astronaut.png"), "--runtime", "onnx", "--weights", "lite-x4"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    expected = restore(tmp_path / "astronaut.png", weights="lite-x4")[0].image
    assert (read_image(tmp_path / "out" / "astronaut.png") - expected).abs().max() < 1.5 / 255

    assert main(["restore", str(tmp_path / "astronaut.png"), "--runtime", "onnx", "--weights", "lite-x8"]) == 2
    assert main(["restore", str(tmp_path / "astronaut.png"), "--runtime", "onnx", "--device", "cpu"]) == 2
    assert "elsface-lite export --weights lite-x8" in capsys.readouterr().err
    assert main(["export", "--faces", str(tmp_path)]) == 2
    assert "--int8" in capsys.readouterr().err


@pytest.fixture(scope="module")
def small() -> ELSFace:
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(**SMALL))
    torch.nn.init.normal_(model.upsample[-1].weight, std=0.1)
    return model.eval()


def test_float16_halves_the_file_and_takes_and_gives_float32(small, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "half.onnx"
    assert 0 < export_onnx(torch.compile(small, backend="eager"), path, fp16=True, opset=18) < 5e-3
    proto = onnx.load(path)
    assert proto.opset_import[0].version == 18
    kinds = {tensor.data_type for tensor in proto.graph.initializer if len(tensor.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    lr = torch.rand(2, 3, 33, 31)
    with torch.inference_mode():
        assert OnnxModel(path)(lr).dtype == torch.float32
        assert (OnnxModel(path)(lr) - small(lr)).abs().max() < 5e-3
    assert next(small.parameters()).dtype == torch.float32


def test_what_cannot_be_exported_is_said_at_once(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("the work had begun"))
    out = tmp_path / "wrong.onnx"
    for model in (optimize(small), optimize(small, torch.bfloat16), torch.nn.DataParallel(optimize(small))):
        with pytest.raises(ElsfaceError, match="one of `optimize`: export the one that it was made of"):
            export_onnx(model, out)
        with pytest.raises(ElsfaceError, match="one of `optimize`"):
            export_int8(model, out, torch.rand(1, 3, 128, 128))
    with pytest.raises(ElsfaceError, match="not a Linear"):
        export_onnx(torch.nn.Linear(2, 2), out)
    for opset in (17, 99):
        with pytest.raises(ElsfaceError, match=f"opset {opset} cannot be written: choose one from 18 to 24"):
            export_onnx(small, out, opset=opset)
    assert main(["export", "--opset", "11", "--out", str(out)]) == 2
    assert main(["export", "--int8", "--fp16", "--out", str(out)]) == 2
    assert "choose one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_result_is_not_written(folder, tmp_path, monkeypatch):
    """PyTorch's exporter gives a network with other weights."""
    onnx = pytest.importorskip("onnx")
    wrong = SimpleNamespace(model_proto=onnx.load(folder / "lite-x4.onnx"))
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: wrong)
    with pytest.raises(ElsfaceError, match=r"differs from PyTorch's by .*: nothing was written"):
        export_onnx(ELSFace(ELSFaceConfig.lite(**SMALL)), tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


def test_bad_files(folder, tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ElsfaceError, match="export it again"):
        OnnxModel(tmp_path / "text.onnx")


def test_names():
    assert exported_name("lite-x4") == Path("lite-x4.onnx")
    assert exported_name("runs/mine/best.safetensors") == Path("runs/mine/best.onnx")
    assert exported_name("v1.2") == Path("v1.2.onnx")
