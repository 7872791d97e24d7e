"""Thousands of faces in one call, interruptions at any moment, and how it goes on: nothing twice, nothing by halves.

`pytest -s` prints the figures; STRESS=1 takes more faces, and interrupts more often. LONG_WORK=lite-x4 does the same
with these weights and faces of 32x32 (minutes).
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import Program, parts
from stress import times
from tiny import TINY

from elsface_lite import ELSFace, ELSFaceConfig, Photograph, load_pretrained, restore, save_pretrained, write_png
from elsface_lite.errors import ElsfaceError
from elsface_lite.training.run import Run
from elsface_lite.training.run_config import RunConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked at, as on Linux"),
]
FACES = times(10_000, 5_000)
INTERRUPTIONS = times(4, 2)
NETWORK = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "rstb_recursions": 1, "out_channels": 4}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    if name := os.environ.get("LONG_WORK"):
        return name
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_pretrained(ELSFace(ELSFaceConfig.lite(**NETWORK)).eval(), path)
    return str(path)


def many(folder: Path, count: int) -> Path:
    """Files of 20 different LR faces, each under many names."""
    size = 32 if os.environ.get("LONG_WORK") else 8
    for number in range(20):
        write_png(torch.rand(3, size, size), folder / f"{number:05}.png")
    for number in range(20, count):
        os.link(folder / f"{number % 20:05}.png", folder / f"{number:05}.png")
    return folder


def done(out: Path) -> int:
    return len(list(out.glob("[!.]*"))) if out.is_dir() else 0


def restoring(folder: Path, weights: str, *words: str, errors: Path) -> Program:
    options = ["--lr", "--weights", weights, "--batch-size", "64", "--out", folder.parent / "out"]
    return Program("restore", folder, *options, *words, errors=errors)


def test_thousands_of_faces_in_flat_memory(tmp_path, weights):
    out, start = tmp_path / "out", time.monotonic()
    program = restoring(many(tmp_path / "in", FACES), weights, errors=tmp_path / "errors")
    memory = {}
    for count in range(1000, FACES, 500):
        if program.wait_until(lambda count=count: done(out) >= count, pause=0.05):
            memory[count] = program.memory()
    assert program.end() == 0
    assert done(out) == FACES
    values = [value for value in memory.values() if value]
    print(
        f"{FACES} faces in {time.monotonic() - start:.0f} s; resident memory {values[0]} MB after 1,000 and "
        f"{values[-1]} MB at the end, at most {max(values)} MB"
    )
    assert len(values) > 5
    assert max(values) < values[0] + 60


def test_what_was_interrupted_goes_on_with_what_is_missing(tmp_path, weights):
    """By Ctrl-C and by SIGKILL, at five random moments; what was there is not written again.

    But for what was written when it was stopped, and had not come into the record yet: at most one each time.
    """
    folder, out, chance, times = many(tmp_path / "in", 3000), tmp_path / "out", random.Random(0), {}
    twice = 0
    for number in range(5):
        program = restoring(folder, weights, "--resume", errors=tmp_path / "errors")
        more = len(times) + chance.randrange(1, 400)
        assert program.wait_until(lambda more=more: done(out) >= more)
        program.send(signal.SIGKILL if number % 2 else signal.SIGINT)
        assert program.end() == (-signal.SIGKILL if number % 2 else 130)
        found = {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*.png")}
        again = sum(found.get(name) != time for name, time in times.items())
        assert again <= 1 and times.keys() <= found.keys(), "something was done twice, or is gone"
        times, twice = found, twice + again
    assert restoring(folder, weights, "--resume", errors=tmp_path / "errors").end() == 0
    found = {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*.png")}
    again = sum(found.get(name) != time for name, time in times.items())
    assert again <= 1 and len(found) == 3000
    printed = (tmp_path / "errors.out").read_text(encoding="utf-8")
    kept = len(times) - again
    assert f"{3000 - kept} restored, 0 failed, {kept} were there" in printed
    print(f"5 interruptions, {kept} of 3000 faces kept, {twice + again} done twice, 0 missing")


def test_a_photograph_of_many_faces_counts_as_done_only_when_all_are(tmp_path, monkeypatch):
    """The second of its pictures cannot be written: there is no line in the record, and the next call does both."""
    from elsface_lite.data.sources import portraits

    photo = portraits()["astronaut"][:, ::4, ::4]
    write_png(torch.cat([photo, photo.flip(2)], 2), tmp_path / "in" / "group.png")
    model, out, write = load_pretrained("lite-x4"), tmp_path / "out", Photograph.write

    def fail(photo, path, *options):
        if "face2" in path.name:
            raise ElsfaceError("no room")
        write(photo, path, *options)

    monkeypatch.setattr(Photograph, "write", fail)
    (first,) = restore(tmp_path / "in", weights=model, out=out, resume=True)
    assert first.error == "no room" and first.files == [] and done(out) == 1
    monkeypatch.setattr(Photograph, "write", write)
    files = [out / "group.png", out / "group-face2.png"]
    (second,) = restore(tmp_path / "in", weights=model, out=out, resume=True)
    assert not second.kept and second.files == files
    (third,) = restore(tmp_path / "in", weights=model, out=out, resume=True)
    assert third.kept and third.files == files
    with pytest.raises(ElsfaceError, match="name it by out"):
        restore(tmp_path / "in", weights=model, resume=True)


def commands(folder: Path, faces: Path, weights: str) -> dict[str, tuple[list, float]]:
    """A command line of each kind, and how long it goes on at least, about."""
    run, runs = folder / "run", [f'data.faces="{faces.as_posix()}"', *TINY, "train.epochs=200"]
    if not run.exists():
        Run.create(run, RunConfig.read(None, runs))
    return {
        "restore": (["restore", folder / "in", "--lr", "--weights", weights, "--out", folder / "out"], 1.5),
        "evaluate": (["evaluate", "--weights", "lite-x4", "--faces", faces, "--json", folder / "report.json"], 1.5),
        "train": (["train", "--resume", run], 2.0),
        "demo": (["demo", "--out", folder / "demo"], 0.5),
        "export": (["export", "--weights", weights, "--out", folder / "mine.onnx"], 3.0),
    }


@pytest.mark.parametrize("command", ["restore", "evaluate", "train", "demo", "export"])
def test_ctrl_c_is_clean(command, faces, weights, tmp_path):
    """At random moments, once the package is imported: one line, exit code 130, no file by halves."""
    if command == "export":
        pytest.importorskip("onnxscript", reason='ONNX is not installed: pip install "elsface-lite[onnx]"')
    chance, errors, interrupted = random.Random(command), tmp_path / "errors", 0
    many(tmp_path / "in", 1500)
    words, duration = commands(tmp_path, faces, weights)[command]
    for _ in range(INTERRUPTIONS):
        program = Program(*words, errors=errors)
        assert program.wait_until(errors.exists)
        time.sleep(0.1 + chance.uniform(0, duration))
        program.send(signal.SIGINT)
        code = program.end()
        assert code in (130, 0), program.said()
        interrupted += code == 130
        if code:
            (line,) = program.said()
            goes_on = command == "train" and line.endswith(f"to go on: elsface-lite train --resume {tmp_path / 'run'}")
            assert goes_on or line == "elsface-lite: interrupted; what was finished is kept."
        assert parts(tmp_path) == []
        errors.unlink()
    done_before = INTERRUPTIONS - interrupted
    print(f"{command}: {INTERRUPTIONS} times Ctrl-C, {interrupted} ended with one line, {done_before} were done before")
    assert interrupted
