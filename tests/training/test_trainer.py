"""The trainer takes what people bring: any network, pairs, losses, optimizer; and loses nothing when it is stopped."""

import csv
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Program
from PIL import Image
from tiny import TINY
from torch import Tensor, nn

import elsface_lite as ef
from elsface_lite.cli.main import main
from elsface_lite.data.cache import FaceArray
from elsface_lite.training.batches import Batches
from elsface_lite.training.faces import split_faces
from elsface_lite.training.fit import Stopped, checkpoints
from elsface_lite.training.run import Run
from elsface_lite.training.run_config import DataConfig, RunConfig


class Mine(nn.Module):
    """Not of this package, with a batch norm, whose buffers have to be averaged as well."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.upsample = nn.Sequential(nn.Conv2d(8, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        return self.upsample(self.body(lr))


class Critic(nn.Module):
    """A loss with weights of its own, as a discriminator has them, and an optimizer for them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(3, 1, 3)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-2)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return -self.network(sr).mean()

    def update(self, sr: Tensor, hr: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.network(sr).mean() - self.network(hr).mean() + self.network(hr).square().mean()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def get_extra_state(self) -> dict:
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict) -> None:
        self.optimizer.load_state_dict(state)


def faces(n: int, seed: int = 0, size: int = 32) -> FaceArray:
    return FaceArray(np.random.default_rng(seed).integers(0, 256, (n, 3, size, size), np.uint8))


def trainer(config: ef.TrainConfig | None = None, network: nn.Module | None = None, **arguments) -> ef.Trainer:
    torch.manual_seed(0)
    config = config or ef.TrainConfig(epochs=3, batch_size=4, checkpoint_every=2, validate_every=4, log_every=1)
    network = Mine() if network is None else network
    return ef.Trainer(network, faces(8), faces(4, seed=1), config=config, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("best", ["psnr", "mae", "lpips"])
def test_the_preset_of_perception_resumes_bit_for_bit_and_is_judged_by_what_it_is_told(tmp_path, best):
    config = ef.TrainConfig(
        epochs=3, batch_size=4, checkpoint_every=2, validate_every=1, log_every=1, lpips_weight=0.1,
        adversarial_weight=0.005, best=best,
    )  # fmt: skip
    whole = trainer(config).fit(tmp_path / "whole")
    trainer(config).fit(tmp_path / "stopped", stop_at=3)
    resumed = trainer(config).fit(tmp_path / "stopped")
    first, second = (made.state_dict() for made in (whole, resumed))
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())
    assert all(
        torch.equal(value, second["losses"]["adversarial"][name]) for name, value in discriminator(first).items()
    )
    with (tmp_path / "stopped" / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row[best]) for row in rows]
    assert abs(whole.best) == pytest.approx(max(scores) if best == "psnr" else min(scores), rel=1e-4)
    assert {"perceptual", "adversarial", "adversarial_own"} <= rows[0].keys()


def discriminator(state: dict) -> dict[str, Tensor]:
    weights = state["losses"]["adversarial"]
    return {name: value for name, value in weights.items() if isinstance(value, Tensor)}


def test_a_network_of_ones_own_is_trained_and_resumed_bit_for_bit(tmp_path):
    whole = trainer().fit(tmp_path / "whole")
    trainer().fit(tmp_path / "stopped", stop_at=3)
    resumed = trainer().fit(tmp_path / "stopped")
    first, second = (made.state_dict() for made in (whole, resumed))
    assert first["step"] == second["step"] == 6
    for part in ("model", "ema"):
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    assert not torch.equal(whole.ema.body[1].running_mean, torch.zeros(8)), "the average has the buffers, too"


def test_losses_and_their_weights_are_arguments_and_columns(tmp_path):
    losses = {"mse": (2.0, nn.MSELoss()), "edge": (0.5, lambda sr, hr: (sr - hr).diff(dim=-1).abs().mean())}
    trainer(losses=losses).fit(tmp_path)
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["loss"]) == pytest.approx(2 * float(row["mse"]) + 0.5 * float(row["edge"]), rel=1e-4)
    assert "l1" not in rows[0]


def test_a_loss_may_be_negative_and_still_explode():
    """As -SSIM is, or the logarithm of the squared error."""
    run = trainer(losses={"log_mse": (1.0, lambda sr, hr: (sr - hr).square().mean().div(100).log())})
    for _ in range(3):
        assert run.train_step()["loss"] < 0
    assert run.skipped == 0 and run.healthy({"loss": 5 * run.loss_size, "gradient_norm": 1.0})
    assert not run.healthy({"loss": 11 * run.loss_size, "gradient_norm": 1.0})


def test_a_loss_with_weights_of_its_own_is_trained_and_resumed(tmp_path):
    def made() -> ef.Trainer:
        torch.manual_seed(1)
        return trainer(losses={"l1": (1.0, nn.L1Loss()), "critic": (0.01, Critic())})

    whole = made().fit(tmp_path / "whole")
    made().fit(tmp_path / "stopped", stop_at=3)
    resumed = made().fit(tmp_path / "stopped")
    first, second = (run.losses["critic"] for run in (whole, resumed))
    torch.manual_seed(1)
    assert not torch.equal(first.network.weight, Critic().network.weight)
    assert torch.equal(first.network.weight, second.network.weight)
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True))
    assert "critic_own" in (tmp_path / "whole" / "log.csv").read_text(encoding="utf-8").splitlines()[0]


def test_a_loss_whose_weights_nothing_trains_is_refused():
    class Forgotten(nn.Conv2d):
        def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
            return super().forward(sr).mean()

    with pytest.raises(ef.ElsfaceError, match=r"the loss mine has weights and no method update"):
        trainer(losses={"mine": (1.0, Forgotten(3, 1, 1))})


@pytest.mark.parametrize("name", ["psnr", "lpips", "step", "l1_own"])
def test_a_loss_that_would_overwrite_a_column_of_the_log_is_refused(name: str):
    class Trained(nn.L1Loss):
        def update(self, sr: Tensor, hr: Tensor) -> dict[str, float]:
            return {}

    losses = {"l1": (1.0, Trained()), name: (1.0, nn.MSELoss())}
    with pytest.raises(ef.ElsfaceError, match=f"log.csv has a column {name} of its own: give the loss another name"):
        trainer(ef.TrainConfig(epochs=1, batch_size=4, best="lpips"), losses=losses)


def test_an_optimizer_is_an_argument_and_keeps_the_relation_of_its_rates():
    def two_rates(network: Mine) -> torch.optim.Optimizer:
        groups = [{"params": network.body.parameters(), "lr": 1e-2}, {"params": network.upsample.parameters()}]
        return torch.optim.AdamW(groups, 1e-3)

    config = ef.TrainConfig(epochs=3, batch_size=4, warmup=0)
    made = trainer(config, optimizer=two_rates)
    assert isinstance(made.optimizer, torch.optim.AdamW)
    record = made.train_step()
    rates = [group["lr"] for group in made.optimizer.param_groups]
    assert rates == pytest.approx([1e-2, 1e-3]) and record["learning_rate"] == pytest.approx(1e-2)
    made.train_step()
    assert made.optimizer.param_groups[0]["lr"] < 1e-2


def test_other_scales_and_sizes(tmp_path):
    """x3, of HR faces of 48 pixels."""
    arrays = [FaceArray(faces(n, size=48).faces, scale=3) for n in (8, 2)]
    ef.Trainer(Mine(3), *arrays, config=ef.TrainConfig(epochs=1, batch_size=4)).fit(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()


@pytest.mark.slow
def test_workers_make_the_same_batches():
    """On spawn as well, which is the way of macOS and Windows."""
    alone, helped = (trainer(ef.TrainConfig(epochs=2, batch_size=4, workers=workers)) for workers in (0, 2))
    for _ in range(4):
        assert all(torch.equal(*pair) for pair in zip(alone.batch(), helped.batch(), strict=True))
    spawned = torch.utils.data.DataLoader(
        alone.batches, None, sampler=[3], num_workers=1, multiprocessing_context="spawn"
    )
    assert torch.equal(next(iter(spawned))[1], alone.batches[3][1])


def test_pairs_whose_lr_is_given_are_mirrored_together():
    lr, hr = torch.rand(8, 3, 4, 4), torch.rand(8, 3, 16, 16)
    batches = Batches(torch.utils.data.TensorDataset(lr, hr), ef.TrainConfig(batch_size=8, epochs=1))
    (small, large), where = batches[0], {face.sum().item(): index for index, face in enumerate(hr)}
    mirrored = 0
    for one, other in zip(small, large, strict=True):
        index = min(where.items(), key=lambda entry: abs(entry[0] - other.sum().item()))[1]
        flipped = not torch.equal(other, hr[index])
        mirrored += flipped
        assert torch.equal(one, lr[index].flip(-1) if flipped else lr[index])
    assert 0 < mirrored < 8


def test_a_degradation_of_ones_own_is_what_is_validated_on():
    """Best weights are chosen on the task that is trained."""

    def dark(hr: Tensor, generator: torch.Generator) -> Tensor:
        return ef.downscale(hr[None], 4)[0] * torch.rand((), generator=generator)

    pairs = [FaceArray(faces(n).faces, degradation=dark) for n in (8, 4)]
    made = ef.Trainer(Mine(), *pairs, config=ef.TrainConfig(epochs=1, batch_size=4))
    lr, hr = made.batch()
    assert (lr.mean((1, 2, 3)) < hr.mean((1, 2, 3))).all()
    first, second = made.validation[0], made.validation[0]
    assert torch.equal(first[0], second[0]) and first[0].mean() < first[1].mean()


@pytest.mark.slow
def test_a_compiled_network_is_trained(tmp_path):
    torch.manual_seed(0)
    network = ef.ELSFace(ef.ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1, out_channels=4))
    compiled = torch.compile(network, backend="aot_eager")
    trainer(ef.TrainConfig(epochs=1, batch_size=4), compiled).fit(tmp_path)
    assert ef.load_pretrained(tmp_path / "best.safetensors").config == network.config


def test_symmetry_is_asked_of_what_has_it():
    torch.manual_seed(0)
    network = ef.ELSFace(ef.ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1, out_channels=4))
    with pytest.raises(ef.ElsfaceError, match="without mirror symmetry"):
        trainer(ef.TrainConfig.lite(batch_size=4), network)
    trainer(ef.TrainConfig(batch_size=4), network)  # not asked, not refused


def test_ctrl_c_leaves_a_checkpoint_of_the_last_whole_step(tmp_path):
    config = ef.TrainConfig(epochs=50, batch_size=4, checkpoint_every=10_000, validate_every=10_000, log_every=1)

    def interrupt(record: dict[str, float]) -> None:
        if trainer_.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    trainer_ = trainer(config)
    with pytest.raises(Stopped):
        trainer_.fit(tmp_path, report=interrupt)
    assert torch.load(checkpoints(tmp_path)[0], weights_only=True)["step"] in (7, 8)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_training_in_another_thread_leaves_signals_alone(tmp_path):
    thread = threading.Thread(target=trainer().fit, args=(tmp_path,))
    thread.start()
    thread.join()
    assert (tmp_path / "checkpoint.pt").exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM to be caught")
def test_sigterm_as_clusters_send_it_leaves_a_checkpoint(faces: Path, tmp_path):
    run, errors = tmp_path / "run", tmp_path / "errors"
    options = [
        word for change in [*TINY, "train.epochs=500", "train.checkpoint_every=100000"] for word in ("--set", change)
    ]
    program = Program("train", "--faces", faces, "--out", run, *options, errors=errors)
    assert program.wait_until(lambda: (run / "log.csv").exists() and (run / "log.csv").read_text().count("\n") > 5)
    program.send(signal.SIGTERM)
    assert program.end() == 130
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] >= 5
    assert main(["train", "--resume", str(run), "--set", "train.epochs=1"]) == 0


@pytest.fixture(scope="module")
def finished(faces: Path, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    options = [word for change in [*TINY, "train.epochs=1"] for word in ("--set", change)]
    assert main(["train", "--faces", str(faces), "--out", str(run), *options]) == 0
    return run


@pytest.mark.slow
def test_a_finished_run_can_be_extended(finished, capsys):
    assert main(["train", "--resume", str(finished), "--set", "train.epochs=2"]) == 0
    assert torch.load(finished / "checkpoint.pt", weights_only=True)["step"] == 10
    assert main(["train", "--resume", str(finished), "--set", "model.channels=16"]) == 2
    assert "keeps its config but for train.epochs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_short_run_and_a_log_without_a_terminal_say_so(faces: Path, tmp_path, capsys):
    options = [word for change in [*TINY, "train.epochs=1"] for word in ("--set", change)]
    assert main(["train", "--faces", str(faces), "--out", str(tmp_path / "run"), *options]) == 0
    printed = capsys.readouterr().out
    assert "note: 5 steps are too few" in printed
    assert printed.count("step ") >= 5 and "epoch 1.00, step 5: loss" in printed
    assert re.search(r"best on the 4 validation faces: psnr [\d.]+ dB \(bicubic [\d.]+\)\n", printed)
    gained = float(re.search(r"psnr ([\d.]+) dB", printed)[1]) > float(re.search(r"bicubic ([\d.]+)", printed)[1])
    assert ("next: elsface-lite restore PHOTO" in printed) == gained != ("nothing was gained" in printed)


def test_several_folders_and_a_folder_for_validation(faces: Path, tmp_path):
    for folder, files in (("a", 10), ("b", 6), ("held", 3)):
        (tmp_path / folder).mkdir()
        for number, file in enumerate(sorted(faces.iterdir())[:files]):
            Image.open(file).rotate(90 * len(folder)).save(tmp_path / folder / f"{folder}{number}.png")
    data = {"faces": [str(tmp_path / "a"), str(tmp_path / "b")], "validation": str(tmp_path / "held")}
    made = Run.create(tmp_path / "run", RunConfig.from_dict({"data": data, "train": {"batch_size": 4}})).trainer()
    assert (len(made.batches.pairs), len(made.validation)) == (16, 3)


def test_fewer_faces_are_a_part_of_more(faces: Path):
    few, more, all_of_them = (
        split_faces(DataConfig(faces=str(faces), held_out=4, at_most=count)) for count in (5, 12, 0)
    )
    assert [len(part[0]) for part in (few, more, all_of_them)] == [5, 12, 20]
    assert {*few[0]} < {*more[0]} < {*all_of_them[0]} and few[1] == all_of_them[1]


def test_lr_and_hr_folders_are_trained_on(faces: Path, tmp_path):
    for name in ("lr", "hr"):
        (tmp_path / name).mkdir()
    for file in sorted(faces.iterdir())[:10]:
        image = Image.open(file)
        image.save(tmp_path / "hr" / file.name)
        image.resize((32, 32), Image.Resampling.BOX).save(tmp_path / "lr" / file.name)
    options = [word for change in [*TINY, "train.epochs=1", "data.held_out=2"] for word in ("--set", change)]
    words = ["train", "--faces", str(tmp_path / "hr"), "--lr", str(tmp_path / "lr"), "--out", str(tmp_path / "run")]
    assert main([*words, *options]) == 0
    assert (tmp_path / "run" / "best.safetensors").exists()
