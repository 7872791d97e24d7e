"""Checkpoints that are cut, flipped, malicious, old or of another run: passed over or refused by name.

`pytest -s` prints how many were tried.
"""

import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from hostile import flipped, pickles, truncated

from elsface_lite import ElsfaceError
from elsface_lite.data.cache import FaceArray
from elsface_lite.training.fit import FORMAT, checkpoints, load_checkpoint, save_checkpoint
from elsface_lite.training.run import Run, new_network
from elsface_lite.training.run_config import RunConfig
from elsface_lite.training.trainer import Trainer

NETWORK = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "rstb_recursions": 1, "out_channels": 4}
TRAINING = {"batch_size": 4, "epochs": 2, "warmup": 0}


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
