"""Thousands of broken and odd pictures: one clear line or a picture, never a traceback, and the good ones are all done.

`fuzz_images.py` makes them, and looks for more. `pytest -s` prints how many were tried.
"""

import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from fuzz_images import SLOWEST, broken, seeds
from PIL import Image

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, read_image, restore, write_png
from elsface_lite.cli.main import main
from elsface_lite.data import photograph
from elsface_lite.data.cache import DecodedFaces
from elsface_lite.data.pairs import load_face
from elsface_lite.data.people import people_of
from elsface_lite.data.sources import celeba, faces_in, portraits
from elsface_lite.metrics.pairs import FolderPairs

TINY = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "out_channels": 4}
GOOD = 12
links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(**TINY)).eval()


def one_line(error: str | None) -> bool:
    """Whether this is a message of ours: short, of one line, with what to do."""
    return bool(error) and "\n" not in error and "Traceback" not in error and len(error) < 600


def mutants(count: int, seed: int) -> list[tuple[str, bytes]]:
    """That many damaged files, of every kind in turn: a name and the content."""
    random, files = np.random.default_rng(seed), list(seeds().items())
    kinds = [files[i % len(files)] for i in range(count)]
    return [(f"{i:04}-{name}", broken(data, random)) for i, (name, data) in enumerate(kinds)]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@cache
def odd() -> dict[str, bytes]:
    """Files that are no damaged picture, but none that one expects either."""
    whole = seeds()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(10**6)))
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))
    return {
        "zero.jpg": b"", "one.png": b"\x89", "text.png": b"no picture\n" * 50, "script.jpg": b"#!/bin/sh\nexit 1\n",
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>', "eps.tiff": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "bomb.png": bomb, "text-bomb.png": whole["rgb.png"][:33] + text + whole["rgb.png"][33:],
        "empty.gif": whole["palette.gif"][:6] + bytes(4) + whole["palette.gif"][10:],
        "zeros.webp": bytes(5000), "ones.avif": b"\xff" * 5000, "nul.bmp": b"BM" + bytes(100),
        "heic.jpg": b"\x00\x00\x00\x18ftypheic" + bytes(99), "zip.png": b"PK\x03\x04" + bytes(99),
    }  # fmt: skip


CHILD = """
import json, resource, sys, time, warnings
from collections import Counter
from pathlib import Path
from PIL import Image
from elsface_lite import ElsfaceError
from elsface_lite.data import load_face
from test_hostile_pictures import mutants, odd, one_line

folder, count = Path(sys.argv[1]), int(sys.argv[2])
megabytes = 1024 if sys.platform == "linux" else 1024**2
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // megabytes
Image.new("1", (9990, 9990)).save(folder / "large.png")  # just below the limit
files = {**dict(mutants(count, seed=1)), **odd(), "large.png": (folder / "large.png").read_bytes()}
outcomes, slowest, before = Counter(), 0.0, peak()
for name, data in files.items():
    (folder / "picture").write_bytes(data)
    if name == "large.png":
        small = peak() - before
    start = time.process_time()  # not of the clock: other processes may be busy
    try:
        assert load_face(folder / "picture", 16, enlarge=True).shape == (3, 16, 16)
        outcomes["read"] += 1
    except ElsfaceError as error:
        outcomes["refused" if one_line(str(error)) else f"many lines: {name}"] += 1
    except BaseException as error:
        outcomes[f"{name}: {error!r}"] += 1
    slowest = max(slowest, time.process_time() - start)
print(json.dumps({"outcomes": outcomes, "slowest": slowest, "small": small, "large": peak() - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by getrusage")
def test_three_thousand_pictures_are_read_or_refused(tmp_path):
    """In a process of its own, whose memory is measured."""
    paths = os.pathsep.join(map(str, [Path(__file__).parent, ROOT / "tests", ROOT]))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), "3000"],
        capture_output=True, text=True, timeout=1800, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    outcomes = found["outcomes"]
    print(
        f"{sum(outcomes.values())} pictures: {outcomes}; slowest {found['slowest']:.2f} s; memory grew by "
        f"{found['small']} MB, and by {found['large']} MB with one of 99.8 megapixels"
    )
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert sum(outcomes.values()) > 3000 and min(outcomes.values()) > 500
    assert found["slowest"] < SLOWEST
    assert found["small"] < 1500
    assert found["large"] < 4000


@pytest.mark.slow
@links
@pytest.mark.parametrize(("lr", "count"), [(True, 360), (False, 120)])
def test_a_folder_of_broken_pictures_stops_none_of_the_good(model, tmp_path, lr, count):
    """All kinds of trouble in one folder, whose name has a space and an umlaut."""
    source, out = tmp_path / "böse Bilder", tmp_path / "fertige Gesichter"
    source.mkdir()
    face = portraits()["astronaut"][:, 30:190, 130:322]
    for number in range(GOOD if lr else 3):
        write_png(face[:, number:, ::8][:, ::8] if lr else face, source / f"gut {number} ü.png")
    for name, data in [*mutants(count, seed=2), *odd().items()]:
        (source / name).write_bytes(data)
    (source / "circle").symlink_to(source)
    (source / "itself.png").symlink_to(source / "itself.png")
    (source / "nowhere.png").symlink_to(source / "gone.png")
    (source / "device.png").symlink_to("/dev/zero")
    os.mkfifo(source / "pipe.png")
    (source / os.fsdecode(b"no-utf8-\xff.png")).write_bytes(seeds()["rgb.png"])
    (source / "line\nbreak.png").write_bytes(b"")
    results = restore([source, tmp_path / "no such folder", "x" * 300, "nul\0.png"], weights=model, lr=lr, out=out)
    failed = [result for result in results if result.error]
    good = [result for result in results if "gut" in result.source]
    print(f"restore, lr={lr}: {len(results)} pictures, {len(failed)} refused, {len(good)} good ones done")
    assert len(results) >= count + len(odd()) + 8
    assert len(failed) > count / 4
    assert all(one_line(result.error.replace("line\nbreak", "")) and not result.files for result in failed)
    assert len(good) == (GOOD if lr else 3) and not any(result.error for result in good)
    written = [path for result in results for path in result.files]
    assert sorted(written) == sorted(path for path in out.rglob("[!.]*") if path.is_file())
    for path in written:
        with Image.open(path) as image:
            image.verify()


def test_evaluate_names_the_picture_that_is_broken(tmp_path, capsys):
    """A pair that cannot be read stops the measurement, before it begins, with the file's name."""
    refused, count = 0, 300
    write_png(torch.rand(3, 20, 24), tmp_path / "hr" / "good.png")
    write_png(torch.rand(3, 20, 24), tmp_path / "sr" / "good.png")
    for number, (name, data) in enumerate([*mutants(count, seed=3), *odd().items()]):
        hr, sr = tmp_path / "hr" / name, tmp_path / "sr" / name
        write_png(torch.rand(3, 20, 24), hr.with_suffix(".png"))
        sr.write_bytes(data)
        try:
            assert len(FolderPairs(tmp_path / "sr", tmp_path / "hr").names) == 2
        except ElsfaceError as error:
            refused += 1
            assert one_line(str(error)) and sr.stem in str(error)
            if number % 15 == 0:  # the whole command, which takes longer
                report = tmp_path / "report.json"
                words = ["--sr", tmp_path / "sr", "--hr", tmp_path / "hr", "--metrics", "psnr", "--json", report]
                assert main(["evaluate", *map(str, words)]) == 2
                assert capsys.readouterr().err.count("\n") == 1
                assert not report.exists()
        sr.unlink()
        hr.with_suffix(".png").unlink()
    print(f"evaluate: {count + len(odd())} pairs, {refused} refused by name")
    assert refused > count / 3


def test_decoding_skips_a_few_and_refuses_many(tmp_path, capsys):
    good = []
    for number in range(300):
        good.append(tmp_path / f"{number:03}.png")
        write_png(torch.full((3, 16, 16), number / 300), good[-1])
    bad = [tmp_path / name for name in odd()]
    for path in bad:
        path.write_bytes(odd()[path.name])
    faces = DecodedFaces([bad[0], *good, bad[2]], tmp_path / "cache", 16)
    assert faces.paths == good and capsys.readouterr().err.count("skipped: ") == 2
    assert faces.array[:, 0, 0, 0].tolist() == [round(255 * number / 300) for number in range(300)]
    with pytest.raises(ElsfaceError, match=r"of \d+ pictures cannot be read"):
        DecodedFaces([*good, *bad], tmp_path / "cache", 16)
    assert len(list((tmp_path / "cache").glob("*.faces"))) == 1 and not list((tmp_path / "cache").glob(".*.part*"))


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100)


@pytest.mark.parametrize("change", [Path.unlink, truncate, lambda path: path.write_bytes(b"text" * 500)])
def test_a_file_that_changes_between_header_and_pixels(tmp_path, monkeypatch, change: Callable[[Path], object]):
    """Every kind once for each change: a picture, since it is open and was buffered, or one clear line."""
    decode = photograph.upright
    for name, data in seeds().items():
        path = tmp_path / name
        path.write_bytes(data)
        monkeypatch.setattr(photograph, "upright", lambda image, path=path: (change(path), decode(image))[1])
        try:
            assert read_image(path).shape[0] == 3
        except ElsfaceError as error:
            assert one_line(str(error))


def test_a_file_that_vanishes_and_returns_while_it_is_read(tmp_path):
    """Another thread removes, cuts and writes it, until both a picture and an error were seen 50 times."""
    path, whole, end = tmp_path / "restless.png", seeds()["rgb.png"], threading.Event()

    def disturb() -> None:
        while not end.is_set():
            path.unlink(missing_ok=True)
            path.write_bytes(whole[: len(whole) // 2])
            path.write_bytes(whole)
            time.sleep(0.001)

    thread = threading.Thread(target=disturb)
    thread.start()
    read = refused = 0
    try:
        while min(read, refused) < 50 and read + refused < 20_000:
            try:
                read += load_face(path, 16, enlarge=True).shape == (3, 16, 16)
            except ElsfaceError as error:
                refused += 1
                assert one_line(str(error))
    finally:
        end.set()
        thread.join()
    print(f"a restless file: {read + refused} readings, {read} pictures, {refused} refused")
    assert read and refused


def test_names_that_no_system_takes_are_refused(tmp_path):
    for name in ("x" * 5000, "nul\0", str(tmp_path / ("ä" * 200))):
        for use in (read_image, faces_in, lambda name: FolderPairs(name, name), lambda name: celeba(name, "train")):
            with pytest.raises(ElsfaceError):
                use(name)


@links
def test_outputs_that_are_links_in_a_circle_are_replaced(model, tmp_path):
    write_png(torch.rand(3, 16, 16), tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "out" / "a.png")
    (result,) = restore(tmp_path / "in", weights=model, lr=True, out=tmp_path / "out")
    assert result.error is None and read_image(result.files[0]).shape == (3, 64, 64)


def test_a_name_that_the_terminal_cannot_write_is_escaped(tmp_path, monkeypatch):
    """The note on a file without a partner, in a terminal that knows ASCII only."""
    for folder in ("sr", "hr"):
        write_png(torch.rand(3, 16, 16), tmp_path / folder / "a.png")
    write_png(torch.rand(3, 16, 16), tmp_path / "sr" / "größer 世界.png")
    words = ["evaluate", "--sr", tmp_path / "sr", "--hr", tmp_path / "hr", "--metrics", "psnr"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main([*map(str, words)]) == 0
    sys.stdout.flush()
    assert rb"gr\xf6\xdfer" in sys.stdout.buffer.getvalue()


@pytest.mark.parametrize("seed", range(4))
def test_tables_of_people_are_read_or_refused(tmp_path, seed):
    """A CSV of ours and the two tables of CelebA, damaged 60 times a seed, and some that are never right."""
    random = np.random.default_rng(seed)
    csv, root = tmp_path / "people.csv", tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    table = b"file,identity\n" + b"".join(b"%06d.jpg,Person %d\n" % (i, i % 7) for i in range(30))
    tables = {
        "list_eval_partition.txt": b"".join(b"%06d.jpg 0\n" % i for i in range(30)),
        "identity_CelebA.txt": b"".join(b"%06d.jpg %d\n" % (i, i % 7) for i in range(30)),
    }
    wrong = [b"", b"\xff\xfe", b"file,identity\n" + b"a" * 200_000, b'file,identity\n"', b"file,identity\n000000.jpg\n"]
    refused = 0
    for data in [*wrong, *(broken(table, random) for _ in range(60))]:
        csv.write_bytes(data)
        try:
            assert all(people_of([f"{i:06}.jpg" for i in range(30)], csv))
        except ElsfaceError as error:
            refused += 1
            assert "people.csv" in str(error)
        for name, whole in tables.items():
            (root / name).write_bytes(broken(whole, random))
        try:
            faces = celeba(root, "train")
            assert len(faces.paths) == len(faces.identities)
        except ElsfaceError as error:
            assert one_line(str(error)[:590])
    assert refused > len(wrong)
