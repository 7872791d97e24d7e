"""Training that is killed at any moment, or runs into a full disk, loses nothing: the weights are those of a quiet run.

`pytest -s` prints how often it was tried; STRESS=1 tries it more often.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from forked import Program, parts
from stress import times
from tiny import TINY

from elsface_lite.training.fit import checkpoints
from elsface_lite.training.run import Run
from elsface_lite.training.run_config import RunConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked at, as on Linux"),
]
KILLS = times(25, 10)
# 100 steps, with a checkpoint after each.
OFTEN = [
    *TINY, "train.batch_size=2", "train.epochs=10", "train.checkpoint_every=1", "train.validate_every=20",
]  # fmt: skip


def train(run: Path, **settings) -> Program:
    return Program("train", "--resume", run, **settings)


def state(file: Path) -> dict | None:
    return torch.load(file, weights_only=True) if file.exists() else None


def step(run: Path) -> int:
    """Of the last checkpoint, or the one before, if the kill came between two renames."""
    return max((found["step"] for found in map(state, checkpoints(run)) if found), default=0)


def differing(first: object, second: object, name: str = "") -> list[str]:
    """Where two checkpoints are not equal bit for bit: weights, averages, optimizer, counters."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        return [place for key in first for place in differing(first[key], second[key], f"{name}.{key}")]
    if isinstance(first, list | tuple):
        pairs = enumerate(zip(first, second, strict=True))
        return [place for i, pair in pairs for place in differing(*pair, f"{name}.{i}")]
    equal = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
    return [] if equal else [name]


def log(run: Path) -> list[dict[str, str]]:
    """The rows, without the one number that depends on the clock."""
    with (run / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in rows]


def same(quiet: Path, run: Path) -> list[str]:
    """What the two runs have left differently."""
    found = differing(state(quiet / "checkpoint.pt"), state(run / "checkpoint.pt"))
    found += ["log.csv"] * (log(run) != log(quiet)) + [path.name for path in parts(run)]
    best = [(folder / "best.safetensors").read_bytes() for folder in (quiet, run)]
    return found + ["best.safetensors"] * (best[0] != best[1])


def written(run: Path) -> int:
    """When the last checkpoint came, 0 if none is there."""
    try:
        return (run / "checkpoint.pt").stat().st_mtime_ns
    except FileNotFoundError:  # for a moment there is only the one before
        return 0


def kill(run: Path, number: int, chance: random.Random) -> None:
    """Starts a trainee and kills it: every fifth at its start, three of five while it writes, else after some steps."""
    program = train(run)
    if number % 5 == 0:
        time.sleep(chance.uniform(0, 0.5))
    else:
        for _ in range(chance.randrange(1, 4)):
            before = written(run)
            assert program.wait_until(lambda before=before: written(run) not in (0, before))
        if number % 5 == 1:
            time.sleep(chance.uniform(0, 0.1))
        else:
            assert program.wait_until(lambda: any(run.glob(".*.part.pt")))
            time.sleep(chance.choice((0, 0, chance.uniform(0, 0.001))))
    program.send(signal.SIGKILL)
    assert program.end() == -signal.SIGKILL, "it has ended before"


def test_killed_many_times_and_resumed_is_bit_equal(faces, tmp_path):
    chance, quiet, run = random.Random(0), tmp_path / "quiet", tmp_path / "run"
    for folder in (quiet, run):
        Run.create(folder, RunConfig.read(None, [f'data.faces="{faces.as_posix()}"', *OFTEN]))
    assert train(quiet).end() == 0
    reached, within, between, number = [0], 0, 0, 0
    while number < KILLS or (within < 3 and number < 2 * KILLS):  # a write is soon over on a quick disk
        kill(run, number, chance)
        within += any(part.suffix == ".pt" for part in parts(run))
        last, previous = checkpoints(run)
        between += previous.exists() and not last.exists()
        reached.append(step(run))
        number += 1
    lost = sum(later < earlier for earlier, later in pairwise(reached))
    assert reached[-1] < step(quiet)
    assert train(run).end() == 0
    differ = same(quiet, run)
    print(
        f"{number} kills, {within} of them within the writing of a checkpoint ({between} between its two renames), up "
        f"to step {reached[-1]} of {step(run)}: {lost} checkpoints lost, {len(differ)} things differ at the end"
    )
    assert within >= 3
    assert lost == 0 and differ == []


@pytest.fixture(scope="module")
def quiet(faces, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "quiet"
    Run.create(run, RunConfig.read(None, [f'data.faces="{faces.as_posix()}"', *TINY]))
    assert train(run).end() == 0
    return run


def stopped(run: Path, reason: str, errors: Path, **settings) -> str:
    """What a run says that cannot go on: one line."""
    program = train(run, errors=errors, **settings)
    assert program.end() == 2
    (line,) = program.said()
    assert line.startswith("elsface-lite: error: cannot write") and (run.name in line or ".faces" in line)
    assert line.endswith(f"{reason}. Make room, and try again.")
    assert parts(run) == []
    return line


@pytest.mark.parametrize(("full", "size", "kept"), [(".faces", 500_000, 0), ("checkpoint.pt", 400_000, 6)])
def test_a_file_that_may_not_grow_stops_the_run_and_loses_nothing(quiet, tmp_path, full, size, kept):
    """A limit on the size of files stands in for the full disk: it needs no privilege."""
    run = Run.create(tmp_path / "run", RunConfig.read(quiet / "config.toml"))
    if kept:
        run.train(stop_at=kept)
    assert full in stopped(run.folder, "File too large", tmp_path / "errors", largest_file=size)
    assert step(run.folder) == kept
    assert train(run.folder).end() == 0
    differ = same(quiet, run.folder)
    print(f"{full} could not grow: checkpoint of step {kept} kept, {len(differ)} things differ after going on")
    assert differ == []


@contextmanager
def small_disk(folder: Path):
    """A file system at the folder; gives a function that leaves that many kilobytes free."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root; the limit on the size of files stands in for it")

    def leave(kilobytes: int) -> None:
        used = sum(path.stat().st_blocks for path in folder.rglob("*")) // 2
        subprocess.run(["mount", "-o", f"remount,size={used + kilobytes}k", str(folder)], check=True)

    try:
        yield leave
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(quiet, tmp_path):
    """The log, TensorBoard in a thread of its own, the first checkpoint or the third finds no room."""
    checkpoint, kept, differ = (quiet / "checkpoint.pt").stat().st_size // 1024, {}, []
    with small_disk(tmp_path / "disk") as leave:
        for name, spare in {
            "log": 0,
            "tensorboard": 8,
            "first": checkpoint // 2,
            "third": 2 * checkpoint + 200,
        }.items():
            # With TensorBoard, the two small files grow from page to page, and no other comes in between.
            late = ["train.checkpoint_every=90", "train.validate_every=90", "train.epochs=8"] * (name == "tensorboard")
            run = Run.create(tmp_path / "disk" / name, RunConfig.read(quiet / "config.toml", late))
            run.trainer()
            leave(spare)
            line = stopped(run.folder, "No space left on device", tmp_path / "errors")
            kept[name] = step(run.folder)
            print(line)
            leave(90_000)
            assert train(run.folder).end() == 0
            if not late:
                differ += same(quiet, run.folder)
    print(f"{len(kept)} full disks, step of the checkpoint that was kept: {kept}; {len(differ)} things differ")
    assert differ == [] and kept["third"] > 0
