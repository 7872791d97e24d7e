"""Weights, checkpoints and exported networks that are cut, flipped, swapped, old or malicious: refused by name.

`pytest -s` prints how many were tried. What test_weights.py and test_train.py hold already is not repeated.
"""

import io
import json
import pickle
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, load_pretrained, packages
from elsface_lite.inference import detector, export
from elsface_lite.metrics import networks
from elsface_lite.network import pretrained
from elsface_lite.network.weights import save_pretrained
from elsface_lite.training.batches import FaceArray
from elsface_lite.training.fit import FORMAT, checkpoints, load_checkpoint, save_checkpoint
from elsface_lite.training.run import Run, new_network
from elsface_lite.training.run_config import RunConfig
from elsface_lite.training.trainer import Trainer

NETWORK = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "rstb_recursions": 1, "out_channels": 4}
CONFIG = ELSFaceConfig.lite(**NETWORK)
TRAINING = {"batch_size": 4, "epochs": 2, "warmup": 0}


class Trap:
    """Makes a file when it is unpickled, by a function that is named in `by`."""

    def __init__(self, path: Path, by: Callable) -> None:
        self.path, self.by = path, by

    def __reduce__(self) -> tuple:
        words = {eval: f"open({str(self.path)!r}, 'w')", subprocess.call: ["touch", str(self.path)]}
        return self.by, (words.get(self.by, self.path),)


def pickles(path: Path) -> list[bytes]:
    """Malicious files, in each form that a loader might fall for."""
    traps = [Trap(path, by) for by in (Path.touch, eval, subprocess.call)]
    contents = [pickle.dumps(trap, protocol) for trap in traps for protocol in (2, 4)]
    for trap in traps:
        for content in (trap, {"format": FORMAT, "model": trap}, [trap]):
            for zipped in (True, False):
                file = io.BytesIO()
                torch.save(content, file, _use_new_zipfile_serialization=zipped)
                contents.append(file.getvalue())
    return contents


def test_the_traps_are_traps(tmp_path):
    """Without this, no test below could fail."""
    for content in pickles(tmp_path / "trapped"):
        # A bare pickle is executed before it is found to be no checkpoint.
        with warnings.catch_warnings(action="ignore"), suppress(RuntimeError):
            torch.load(io.BytesIO(content), weights_only=False)
        (tmp_path / "trapped").unlink()


def flipped(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Copies with one bit flipped, spread over the whole length."""
    random, copies = np.random.default_rng(seed), []
    for place in np.linspace(0, len(data) - 1, count).astype(int):
        copy = bytearray(data)
        copy[place] ^= 1 << int(random.integers(8))
        copies.append(bytes(copy))
    return copies


def truncated(data: bytes) -> list[bytes]:
    return [data[: len(data) * part // 20] for part in range(20)]


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


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run whose checkpoint of step 0 is written."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = RunConfig.from_dict({"model": NETWORK, "train": TRAINING})
    run = Run.create(folder, config)
    save_checkpoint(trainer_of(run), folder)
    return run


def trainer_of(run: Run) -> Trainer:
    faces = np.random.default_rng(0).integers(0, 256, (8, 3, 128, 128), np.uint8)
    return Trainer(new_network(run.config), FaceArray(faces), FaceArray(faces[:2]), config=run.config.train)


@pytest.mark.slow
def test_checkpoints_that_are_cut_flipped_or_malicious_fall_back(run, tmp_path):
    """To the one before, which is said; where a flipped bit changes nothing, the same state comes back."""
    last, previous = checkpoints(run.folder)
    data, trap, trainer = last.read_bytes(), tmp_path / "trapped", trainer_of(run)
    expected = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    damaged = [(content, True) for content in [*truncated(data), *pickles(trap), b"text" * 100, b""]]
    damaged += [(content, False) for content in flipped(data, 150)]
    fell_back = 0
    previous.write_bytes(data)
    try:
        for content, must_fall in damaged:
            last.write_bytes(content)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                load_checkpoint(trainer, run.folder)
            said = any("checkpoint.pt cannot be read" in str(warning.message) for warning in caught)
            fell_back += said
            assert said or not must_fall
            state = trainer.model.state_dict()
            assert all(torch.equal(state[key], value) for key, value in expected.items())
        for content, _ in damaged[::10]:
            last.write_bytes(content)
            previous.write_bytes(content)
            with warnings.catch_warnings(action="ignore"):
                try:
                    load_checkpoint(trainer, run.folder)
                except ElsfaceError as error:
                    assert re.search("no checkpoint in .* can be read", str(error))
    finally:
        previous.unlink()
        last.write_bytes(data)
    assert not trap.exists()
    print(f"checkpoints: {len(damaged)} damaged, {fell_back} fell back, the others gave the same bits; none executed")


@pytest.mark.parametrize("version", [0, 1, 4, None, "1", [1]])
def test_a_checkpoint_of_another_format_says_which(run, tmp_path, version):
    shutil.copytree(run.folder, tmp_path / "run")
    state = torch.load(checkpoints(run.folder)[0], weights_only=True)
    torch.save(state | {"format": version}, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(
        ElsfaceError, match=re.escape(f"its format is {version}, and this one reads {FORMAT}")
    ) as caught:
        load_checkpoint(trainer_of(run), tmp_path / "run")
    assert "checkpoint.pt" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(model={}),
        lambda state: state.pop("optimizer"),
        lambda state: state.pop("step"),
        lambda state: state.update(ema=None),
        lambda state: state.update(optimizer={"state": {}, "param_groups": []}),
        lambda state: state.update(model={key: value[:1] for key, value in state["model"].items() if value.ndim}),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(run, tmp_path, change):
    shutil.copytree(run.folder, tmp_path / "run")
    state = torch.load(checkpoints(run.folder)[0], weights_only=True)
    change(state)
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(ElsfaceError, match=r"checkpoint\.pt is of another run"):
        load_checkpoint(trainer_of(run), tmp_path / "run")


def test_a_checkpoint_of_another_network_is_refused(run, tmp_path):
    other = Run.create(tmp_path / "run", RunConfig.from_dict({"model": NETWORK | {"channels": 16}, "train": TRAINING}))
    shutil.copy(checkpoints(run.folder)[0], checkpoints(other.folder)[0])
    with pytest.raises(ElsfaceError, match=r"checkpoint\.pt is of another run"):
        load_checkpoint(trainer_of(other), other.folder)


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
