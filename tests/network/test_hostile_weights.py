"""Weights and exported networks that are cut, flipped, swapped, old or malicious: refused by name.

`pytest -s` prints how many were tried. What test_weights.py holds already is not repeated.
"""

import io
import json
import pickle
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from hostile import flipped, pickles, truncated

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, load_pretrained, packages
from elsface_lite.inference import detector, export
from elsface_lite.metrics import networks
from elsface_lite.network import pretrained
from elsface_lite.network.weights import save_pretrained

NETWORK = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "rstb_recursions": 1, "out_channels": 4}
CONFIG = ELSFaceConfig.lite(**NETWORK)


def test_the_traps_are_traps(tmp_path):
    """Without this, no test below could fail."""
    for content in pickles(tmp_path / "trapped"):
        # A bare pickle is executed before it is found to be no checkpoint.
        with warnings.catch_warnings(action="ignore"), suppress(RuntimeError):
            torch.load(io.BytesIO(content), weights_only=False)
        (tmp_path / "trapped").unlink()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_pretrained(ELSFace(CONFIG), path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ElsfaceError) as caught:
        load_pretrained(path)
    assert path.stem in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
def test_weights_that_are_cut_flipped_or_malicious_are_refused(weights, tmp_path):
    """Wherever the bit is: in what the file says of itself, in the table of tensors, or in these."""
    data = weights.read_bytes()
    path, trap = tmp_path / "best.safetensors", tmp_path / "trapped"
    header = 8 + int.from_bytes(data[:8], "little")
    hostile = [*truncated(data), *pickles(trap), *flipped(data, 300), *flipped(data[:header], 300)]
    for content in hostile:
        path.write_bytes(content if len(content) != header else content + data[header:])
        refused(path)
    assert not trap.exists()
    print(f"weights: {len(hostile)} files, all refused, no pickle executed")


@pytest.mark.slow
def test_a_card_that_is_absurd_is_refused_with_a_checksum_that_fits(weights, tmp_path):
    card, state = pretrained.read_card(weights), safetensors.torch.load_file(weights)
    path, tried = tmp_path / "best.safetensors", 0

    def write(changes: dict) -> None:
        changed = card | changes
        if isinstance(changed["sha256"], str) and "sha256" not in changes:
            changed["sha256"] = pretrained._checksum(changed, state)
        path.write_bytes(safetensors.torch.save(state, {"elsface_lite": json.dumps(changed)}))

    for version in (0, 1, "2", None, [], -1):
        write({"format": version})
        assert f"of format {version}, not 2" in refused(path)
    for field in ("sha256", "class", "config"):
        for wrong in (None, 7, "", "0" * 64, ["a"]):
            write({field: wrong})
            refused(path)
    for field in card["config"]:
        for value in (None, -1, 10**30, "x", [], {}, 1e308):
            write({"config": card["config"] | {field: value}})
            refused(path)
            tried += 1
    print(f"cards: {tried} wrong configs, all refused")


def test_data_files_of_packages_are_checked_before_they_are_opened(tmp_path, monkeypatch):
    """In place of each published file: what a pickle or TorchScript loader would execute."""
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: package)
    trap, cpu, tried = tmp_path / "trapped", torch.device("cpu"), 0
    uses = {
        "alex": lambda: networks.trunk("alex"),
        "vgg": lambda: networks.trunk("vgg"),
        "inception": lambda: networks.inception_network.__wrapped__(cpu),
        "identity": lambda: networks.identity_network.__wrapped__(cpu),
        "pnet": lambda: detector.stages.__wrapped__(),
    }
    for name, use in uses.items():
        path = tmp_path / packages.FILES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        for content in [*pickles(trap), b"", b"PK\x03\x04" + bytes(999)]:
            path.write_bytes(content)
            tried += 1
            with pytest.raises(ElsfaceError, match="is not the published file"):
                use()
    assert not trap.exists()
    print(f"data files: {tried} in place of {len(uses)} published ones, all refused, no pickle executed")


@pytest.mark.parametrize("member", ["os.system", "builtins.eval", "numpy.load", "numpy.core.multiarray.fromfile"])
def test_the_whitelist_has_no_way_around(member):
    """A pickle that only names the function, by hand, in the protocols with and without a stack for it."""
    module, _, name = member.rpartition(".")
    for content in (f"c{module}\n{name}\n.".encode(), pickle.dumps(module)[:-1] + pickle.dumps(name)[2:-1] + b"\x93."):
        with pytest.raises(pickle.UnpicklingError):
            networks.ArraysOnly(io.BytesIO(content)).load()


@pytest.fixture
def exported(tmp_path) -> Path:
    """As `export_onnx` writes it, a network as small as can be: it enlarges by four, with a kernel as its weights."""
    onnx = pytest.importorskip("onnx", reason='ONNX is not installed: pip install "elsface-lite[onnx]"')
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    kernel = onnx.numpy_helper.from_array(np.ones((3, 1, 4, 4), np.float32), "kernel")
    node = helper.make_node("ConvTranspose", ["lr", "kernel"], ["sr"], strides=[4, 4], group=3)
    sizes = ["batch", 3, "height", "width"], ["batch", 3, "high", "wide"]
    lr, sr = (helper.make_tensor_value_info(name, kind, size) for name, size in zip(("lr", "sr"), sizes, strict=True))
    graph = helper.make_graph([node], "enlarge", [lr], [sr], [kernel])
    opset = [helper.make_opsetid("", export.OPSET)]
    export._write(helper.make_model(graph, opset_imports=opset, ir_version=10), CONFIG, tmp_path / "mine.onnx")
    return tmp_path / "mine.onnx"


def test_exported_networks_that_are_cut_flipped_or_malicious_are_refused(exported, tmp_path):
    import onnx

    model = export.OnnxModel(exported)
    assert model.config == CONFIG
    assert model(torch.full((2, 3, 5, 6), 0.5)).shape == (2, 3, 20, 24)
    data, trap = exported.read_bytes(), tmp_path / "trapped"
    onnx.checker.check_model(exported, full_check=True)
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert metadata.keys() == {"elsface_lite", "sha256"}
    hostile = [*truncated(data), *flipped(data, 300), *pickles(trap), b"", b"text" * 100, data + b"\0", data + data]
    sealed = []
    for facts in ({}, {"elsface_lite": "{"}, {"elsface_lite": "[]"}, {"elsface_lite": '{"scale": 3}'}):
        proto = onnx.load(exported)
        onnx.helper.set_model_props(proto, facts | {"sha256": export._checksum(proto, facts)})
        sealed.append(proto.SerializeToString())
    for content in [*hostile, *sealed]:
        exported.write_bytes(content)
        with pytest.raises(ElsfaceError, match=r"mine\.onnx is damaged.*export it again") as caught:
            export.OnnxModel(exported)
        assert "\n" not in str(caught.value)
    with pytest.raises(ElsfaceError, match="export it again"):
        export.OnnxModel(tmp_path / "gone.onnx")
    assert not trap.exists()
    print(f"ONNX: {len(hostile)} files, and {len(sealed)} with a checksum that fits, all refused; none executed")
