"""Training that can be trusted: resumed bit for bit, the same on two processes, stopped by what is wrong."""

import csv
import errno
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import torchrun
from tiny import TINY

from elsface_lite.cli.main import main
from elsface_lite.data.cache import FaceArray
from elsface_lite.data.people import people_of
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained, save_pretrained
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.faces import split_faces
from elsface_lite.training.fit import checkpoints
from elsface_lite.training.log import Log
from elsface_lite.training.run import Run
from elsface_lite.training.run_config import RunConfig
from elsface_lite.training.schedule import batch_indices, rate_share, shifted
from elsface_lite.training.trainer import Trainer

TINY_MODEL = ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1, rstb_recursions=1)


def arrays(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 128, 128), np.uint8)


def tiny_trainer(config: TrainConfig, faces: int, validation: int) -> Trainer:
    torch.manual_seed(config.seed)
    pairs = (FaceArray(arrays(n), TINY_MODEL.scale) for n in (faces, validation))
    return Trainer(ELSFace(TINY_MODEL), *pairs, config=config)


def start(faces: Path, out: Path, *changes: str) -> list[str]:
    options = [word for change in (*TINY, *changes) for word in ("--set", change)]
    return ["train", "--faces", str(faces), "--out", str(out), *options]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    return {f"{part}.{name}": value for part in ("model", "ema") for name, value in state[part].items()}


def differing(first: dict, second: dict) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture(scope="module")
def undisturbed(faces, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(start(faces, out)) == 0
    return out


@pytest.mark.slow
def test_a_run_leaves_what_is_needed(undisturbed, capsys):
    with (undisturbed / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 16))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    scored = [row for row in rows if row["psnr"]]
    assert [int(row["step"]) for row in scored] == [4, 8, 12, 15]
    best = load_pretrained(undisturbed / "best.safetensors")
    assert best.config == RunConfig.read(undisturbed / "config.toml").model
    assert sorted(path.name for path in (undisturbed / "samples").iterdir()) == [
        f"{step:07}.png" for step in (4, 8, 12, 15)
    ]
    assert list((undisturbed / "tensorboard").iterdir())


@pytest.mark.slow
def test_stopped_and_resumed_is_bit_equal(faces, undisturbed, tmp_path):
    """Stopped between two checkpoints, so that steps are done again."""
    Run.create(tmp_path / "run", RunConfig.read(undisturbed / "config.toml"))
    Run(tmp_path / "run").train(stop_at=7)
    half = [
        tmp_path / "run" / place / f".{32 * 'a'}.part{suffix}" for place, suffix in ((".", ".pt"), ("samples", ".png"))
    ]
    for part in half:  # as a kill leaves it
        part.write_bytes(b"half")
    torch.manual_seed(123)
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert not any(part.exists() for part in half)
    assert differing(weights(undisturbed), weights(tmp_path / "run")) == []
    assert (tmp_path / "run" / "log.csv").read_text().count("\n") == (undisturbed / "log.csv").read_text().count("\n")


@pytest.mark.slow
def test_a_run_starts_with_weights(faces, undisturbed, tmp_path, capsys, monkeypatch):
    """Their network needs no naming; the first steps are as good as theirs, and the run needs their file no more."""
    monkeypatch.chdir(undisturbed)
    # No step changes anything: what comes out is what went in.
    still = ["train.learning_rate=0", "train.epochs=1", "train.batch_size=8", "train.warmup=0", "data.held_out=4"]
    command = ["train", "--faces", str(faces), "--start", "best.safetensors"]
    options = [word for change in still for word in ("--set", change)]
    assert main([*command, *options, "--out", str(tmp_path / "still")]) == 0
    started, given = (load_pretrained(run / "best.safetensors") for run in (tmp_path / "still", undisturbed))
    assert started.config == given.config
    assert differing(started.state_dict(), given.state_dict()) == []

    (tmp_path / "best.safetensors").write_bytes((undisturbed / "best.safetensors").read_bytes())
    config = RunConfig.read(None, [f"data.faces={faces}", "model.start=best.safetensors", *still])
    monkeypatch.chdir(tmp_path)
    run = Run.create(tmp_path / "run", config)
    run.train(stop_at=1)
    (tmp_path / "best.safetensors").unlink()
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0

    other = [*command[:-1], "lite-x4", *options, "--set", "model.scale=8"]
    assert main([*other, "--out", str(tmp_path / "other")]) == 0
    assert re.search(r"note: 2 of this network's weights do not come from lite-x4.*upsample.0", capsys.readouterr().out)
    assert "there are no weights" in refused([*command[:-1], "lite-x5", "--out", str(tmp_path / "none")], capsys)

    torch.manual_seed(0)
    save_pretrained(ELSFace(TINY_MODEL), tmp_path / "lopsided.safetensors")
    lopsided = [*command[:-1], str(tmp_path / "lopsided.safetensors"), *options]
    assert "without mirror symmetry" in refused([*lopsided, "--out", str(tmp_path / "lopsided")], capsys)
    assert main([*lopsided, "--set", "train.symmetric=false", "--out", str(tmp_path / "free")]) == 0


@pytest.mark.slow
def test_a_full_disk_is_one_line(undisturbed, tmp_path, monkeypatch, capsys):
    """The log finds no room, of which test_under_fire.py makes the real thing; what was saved goes on."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Run.create(tmp_path / "run", RunConfig.read(undisturbed / "config.toml"))
    Run(tmp_path / "run").train(stop_at=4)
    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", full)
        line = refused(["train", "--resume", str(tmp_path / "run")], capsys)
    assert line.endswith("run: No space left on device. Make room, and try again.")
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert differing(weights(undisturbed), weights(tmp_path / "run")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "linux", reason="test_under_fire.py kills such a run many times")
def test_killed_and_resumed_is_bit_equal(faces, undisturbed, tmp_path):
    """SIGKILL in the middle of the run, in a process of its own."""
    out = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "elsface_lite", *start(faces, out)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # on a busy machine it takes minutes to start
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    files = [file for file in checkpoints(out) if file.exists()]  # between two renames there is only the second
    killed_at = torch.load(files[0], weights_only=True)["step"]
    print(f"killed with a checkpoint at step {killed_at} of 15")
    assert main(["train", "--resume", str(out)]) == 0
    assert differing(weights(undisturbed), weights(out)) == []


@pytest.mark.slow
def test_damaged_checkpoint_falls_back(undisturbed, tmp_path):
    Run.create(tmp_path / "run", RunConfig.read(undisturbed / "config.toml"))
    Run(tmp_path / "run").train(stop_at=8)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="trying the one before"):
        assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert differing(weights(undisturbed), weights(tmp_path / "run")) == []


@pytest.mark.slow
def test_two_processes_train_like_one(faces, undisturbed, tmp_path):
    """`torchrun` on CPUs, told nothing else: the losses of one process with the joint batch, within rounding."""
    run = tmp_path / "run"
    printed = torchrun(start(faces, run), tmp_path / "logs")
    assert printed.count("validation faces: psnr") == 1, "only one process speaks"
    logs = []
    for folder in (undisturbed, run):
        with (folder / "log.csv").open(encoding="utf-8") as file:
            logs.append([[row["step"], float(row["loss"]), float(row["psnr"] or 0)] for row in csv.DictReader(file)])
    one, two = logs
    print(two)
    assert [row[0] for row in one] == [row[0] for row in two]
    assert [row[1:] for row in two] == [pytest.approx(row[1:], rel=1e-4) for row in one]


def test_no_face_twice_in_an_epoch():
    config = TrainConfig(batch_size=8, seed=3)
    first = torch.cat([batch_indices(config, step, 50)[0] for step in range(6)])
    second = torch.cat([batch_indices(config, step, 50)[0] for step in range(6, 12)])
    assert len(first.unique()) == 48 and len(second.unique()) == 48
    assert not torch.equal(first, second)
    assert torch.equal(first[:8], batch_indices(config, 0, 50)[0])


def test_learning_rates():
    lite = TrainConfig.lite(epochs=10, warmup=0.01)
    rates = [rate_share(lite, step, 100) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1, rel=1e-3) and rates[-1] < 1e-4
    paper = TrainConfig.paper()
    constant = TrainConfig.lite(schedule="constant", warmup=0.01, epochs=10)
    assert [rate_share(constant, step, 100) for step in (0, 4, 9, 10, 500, 999)] == pytest.approx(
        [0.1, 0.5, 1, 1, 1, 1]
    )
    assert [rate_share(paper, epoch * 100, 100) for epoch in (0, 20, 39)] == pytest.approx([1, 0.5, 0.025])


@pytest.mark.slow
def test_bad_loss_is_skipped_and_counted_and_stops_after_ten(monkeypatch):
    trainer = tiny_trainer(TrainConfig(batch_size=4, warmup=0), 8, 2)
    trainer.train_step()
    good = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    loss = trainer.loss
    for factor in (float("nan"), float("inf"), 100.0):
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "loss", lambda sr, hr, f=factor: {k: v * f for k, v in loss(sr, hr).items()})
            trainer.train_step()
    assert trainer.skipped == 3
    assert differing(good, trainer.model.state_dict()) == []
    trainer.train_step()
    assert trainer.skipped == 3 and trainer.skipped_in_a_row == 0
    assert differing(good, trainer.model.state_dict()) != []
    monkeypatch.setattr(trainer, "loss", lambda sr, hr: {k: v * float("nan") for k, v in loss(sr, hr).items()})
    with pytest.raises(ElsfaceError, match="10 times in a row"):
        for _ in range(20):
            trainer.train_step()
    assert trainer.skipped == 13


def test_a_loss_that_explodes_while_warming_up_is_seen(monkeypatch):
    trainer = tiny_trainer(TrainConfig(batch_size=4, warmup=0.9), 8, 2)
    trainer.train_step()
    loss = trainer.loss
    monkeypatch.setattr(trainer, "loss", lambda sr, hr: {k: 100 * v for k, v in loss(sr, hr).items()})
    trainer.train_step()
    assert trainer.skipped == 1


def test_a_skipped_step_leaves_the_scaler_of_float16_ready(monkeypatch):
    """The gradients are scaled back by then; without an update the scaler refuses to do so at the next step."""
    trainer = tiny_trainer(TrainConfig(batch_size=4), 8, 2)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    monkeypatch.setattr(trainer, "healthy", lambda record: False)
    for _ in range(3):
        trainer.train_step()


def test_float16_needs_a_gpu():
    if torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ElsfaceError, match="float16 needs a GPU"):
        tiny_trainer(TrainConfig(batch_size=4, precision="fp16"), 8, 2)


def test_ema_and_flips_and_precision():
    trainer = tiny_trainer(TrainConfig(batch_size=4, precision="bf16", ema_decay=0.5), 8, 2)
    for _ in range(3):
        trainer.train_step()
    assert differing(trainer.ema.state_dict(), trainer.model.state_dict()) != []
    flips = torch.cat([batch_indices(TrainConfig(), step, 16)[1] for step in range(50)])
    assert 0.4 < flips.float().mean() < 0.6
    assert not batch_indices(TrainConfig.paper(), 0, 16)[1].any()


def test_shifts():
    with pytest.raises(ValueError, match="at most 64 pixels"):
        TrainConfig(shift=65)
    shifts = torch.cat([batch_indices(TrainConfig(shift=3), step, 16)[2] for step in range(50)])
    assert shifts.unique().tolist() == [*range(-3, 4)]
    assert not batch_indices(TrainConfig.paper(), 0, 16)[2].any()
    image = torch.rand(3, 8, 8)
    moved = shifted(image, 2, -1)
    assert torch.equal(moved[:, 2:, :-1], image[:, :-2, 1:])
    assert torch.equal(moved[:, 1, :-1], image[:, 1, 1:]), "the border is mirrored"
    assert torch.equal(shifted(image, 0, 0), image)


def copy_with_bad(faces: Path, folder: Path, good: int, bad: int) -> Path:
    folder.mkdir()
    sources = sorted(faces.iterdir())
    for i in range(good):
        (folder / f"{i:03}.png").write_bytes(sources[i % len(sources)].read_bytes())
    for i in range(bad):
        (folder / f"bad{i}.png").write_bytes(b"no image")
    return folder


@pytest.mark.slow
def test_few_unreadable_pictures_are_skipped(faces, tmp_path, capsys):
    folder = copy_with_bad(faces, tmp_path / "faces", 120, 1)
    Run.create(tmp_path / "run", RunConfig.read(None, [f'data.faces="{folder.as_posix()}"', *TINY]))
    trainer = Run(tmp_path / "run").trainer()
    assert re.fullmatch(r"skipped: .*bad0.png.*\n", capsys.readouterr().err)
    assert len(trainer.batches.pairs) + len(trainer.validation) == 120
    again = Run(tmp_path / "run").trainer()
    assert not capsys.readouterr().err and len(again.validation) == len(trainer.validation), "decoded once"


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 100, -1000])
def test_decoded_faces_that_are_damaged_are_decoded_again(undisturbed, tmp_path, left):
    run = Run.create(tmp_path / "run", RunConfig.read(undisturbed / "config.toml"))
    expected = run.trainer().validation[0][1]
    (file,) = (tmp_path / ".faces").glob("*.faces")
    file.write_bytes(file.read_bytes()[:left])
    assert torch.equal(run.trainer().validation[0][1], expected)


def test_runs_beside_each_other_share_the_decoded_faces(undisturbed, tmp_path):
    config = RunConfig.read(undisturbed / "config.toml")
    for name in ("a", "b"):
        Run.create(tmp_path / name, config).trainer()
    assert len(list((tmp_path / ".faces").glob("*.faces"))) == 1


def test_a_process_that_is_left_alone_says_so(faces, tmp_path, monkeypatch, capsys):
    """Gloo's error, as it comes when another process of the same training has ended."""

    def alone(trainer):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:52000")

    monkeypatch.setattr(Trainer, "train_step", alone)
    assert "another process of this training has ended" in refused(start(faces, tmp_path / "run"), capsys)


def refused(arguments: list[str], capsys) -> str:
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert message.count("\n") == 0 and "Traceback" not in message
    return message


def test_many_unreadable_pictures_stop_the_run(faces, tmp_path, capsys):
    folder = copy_with_bad(faces, tmp_path / "faces", 20, 4)
    assert "cannot be read" in refused(start(folder, tmp_path / "run"), capsys)


def test_refusals(faces, undisturbed, tmp_path, capsys):
    """One line, exit code 2."""
    assert "holds a run already" in refused(start(faces, undisturbed), capsys)
    assert "no run in" in refused(["train", "--resume", str(tmp_path / "nothing")], capsys)
    assert "leave the other options out" in refused(
        [*start(faces, tmp_path / "a"), "--resume", str(undisturbed)], capsys
    )
    assert "--out" in refused(["train", "--faces", str(faces)], capsys)
    assert "leave the other options out" in refused(
        ["train", "--start", "lite-x4", "--resume", str(undisturbed)], capsys
    )
    assert "no field colour" in refused(start(faces, tmp_path / "a", "model.colour=1"), capsys)
    assert "table.field=value" in refused(start(faces, tmp_path / "a", "epochs=1"), capsys)
    assert "do not fill one batch" in refused(start(faces, tmp_path / "b", "train.batch_size=64"), capsys)
    assert "there is no folder" in refused(start(tmp_path / "nothing", tmp_path / "c"), capsys)
    three = ("model.heads=3", "model.channels=6")
    assert "make it even" in refused(start(faces, tmp_path / "c", *three), capsys)
    assert not any((tmp_path / name).exists() for name in "bc"), "after a mistake the same folder can be named again"
    assert "with --faces" in refused(["train", "--out", str(tmp_path / "d")], capsys)
    assert "data.held_out=N" in refused(start(faces, tmp_path / "d", "data.held_out=1000"), capsys)
    for change, says in {
        "data.held_out=abc": "must be of type int",
        "data.held_out=true": "must be of type int",
        "data.colour=1": "no field colour",
        "train.gradient_clip=inf": "finite",
        f"train.seed={2**63}": "between -2^63 and 2^63",
    }.items():
        assert says in refused(start(faces, tmp_path / "d", change), capsys)
    (tmp_path / "config.toml").write_text("train = 3\n", encoding="utf-8")
    assert "train is a table" in refused(
        ["train", "--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "d")], capsys
    )
    (tmp_path / "config.toml").write_text("[train\n", encoding="utf-8")
    assert "cannot read the config" in refused(
        ["train", "--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "d")], capsys
    )


def test_pictures_of_one_name_in_two_folders(faces, tmp_path):
    for number, file in enumerate(sorted(faces.iterdir())):
        (tmp_path / "faces" / f"s{number}").mkdir(parents=True)
        shutil.copy(file, tmp_path / "faces" / f"s{number}" / "1.png")
    folder = f'data.faces="{(tmp_path / "faces").as_posix()}"'
    training, validation = split_faces(RunConfig.read(None, [folder, "data.held_out=4"]).data)
    assert len(validation) == 4 and len(training) + len(validation) == len(list(faces.iterdir()))
    other = RunConfig.read(None, [folder, "data.held_out=4", "train.seed=1"])
    assert split_faces(other.data) == (training, validation), "another seed is measured on the same people"
    (tmp_path / "people.csv").write_text("file,identity\n1.png,somebody\n", encoding="utf-8")
    with pytest.raises(ElsfaceError, match=r"not the only 1\.png"):
        people_of(training, tmp_path / "people.csv")


@pytest.mark.slow
def test_the_checkpoint_of_a_run_that_diverges_is_good(faces, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", RunConfig.read(None, [f'data.faces="{faces.as_posix()}"', *TINY]))
    loss = Trainer.loss

    def broken(trainer, sr, hr):
        losses = loss(trainer, sr, hr)
        return {name: value * float("nan") for name, value in losses.items()} if trainer.step >= 5 else losses

    monkeypatch.setattr(Trainer, "loss", broken)
    with pytest.raises(ElsfaceError, match="10 times in a row"):
        run.train()
    state = torch.load(checkpoints(run.folder)[0], weights_only=True)
    assert state["step"] <= 5 and state["skipped_in_a_row"] == 0
    monkeypatch.undo()
    assert run.train().step == run.trainer().total_steps, "it goes on from there"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_out_of_memory_names_the_batch_size(faces, tmp_path, monkeypatch, capsys, error):
    def full(trainer):
        raise error

    monkeypatch.setattr(Trainer, "train_step", full)
    assert "batch_size 4" in refused(start(faces, tmp_path / "run"), capsys)


def test_config_file_and_presets(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[model]\npreset = "paper"\ndepth = 2\n[train]\npreset = "paper"\n', encoding="utf-8")
    config = RunConfig.read(file, ["train.epochs=3", "train.precision=bf16"])
    assert config.model == ELSFaceConfig.paper(depth=2)
    assert config.train == TrainConfig.paper(epochs=3, precision="bf16")
    config.write(tmp_path / "resolved.toml")
    assert RunConfig.read(tmp_path / "resolved.toml") == config
