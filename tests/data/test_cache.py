"""Faces decoded once: shared by runs and workers, decoded again when anything has changed, refused in one line."""

import errno
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared
from torch.utils.data import DataLoader

from elsface_lite.data import cache
from elsface_lite.data.cache import DecodedFaces, FaceArray
from elsface_lite.data.images import write_png
from elsface_lite.data.pairs import FacePairs
from elsface_lite.errors import ElsfaceError


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    random = torch.Generator().manual_seed(0)
    for number in range(5):
        write_png(torch.rand(3, 20, 18, generator=random), tmp_path / "faces" / f"{number}.png")
    return sorted((tmp_path / "faces").iterdir())


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
    """The paths of all pictures that were decoded."""
    read: list[Path] = []
    load = cache.load_face
    monkeypatch.setattr(cache, "load_face", lambda path, *rest: (read.append(path), load(path, *rest))[1])
    return read


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.faces"))


def same(cached: FaceArray, pairs: FacePairs) -> bool:
    items = zip(cached, pairs, strict=True)
    return all(torch.equal(a, b) for pair in items for a, b in zip(*pair, strict=True))


def test_cached_pairs_are_the_pairs(paths, tmp_path):
    assert same(FaceArray(DecodedFaces(paths, tmp_path / "cache", 15), 3), FacePairs(paths, 3, 15))


def test_two_runs_decode_once(paths, tmp_path, decoded):
    for _ in range(2):
        assert len(DecodedFaces(paths, tmp_path, 16)) == 5
    assert sorted(decoded) == paths and len(files(tmp_path)) == 1
    with ThreadPoolExecutor(4) as runs:
        list(runs.map(lambda _: DecodedFaces(paths, tmp_path, 8), range(4)))
    assert sorted(decoded) == sorted(2 * paths)


@pytest.mark.slow
def test_workers_share_the_file(paths, tmp_path, decoded):
    pairs = FaceArray(DecodedFaces(paths, tmp_path, 16))
    expected = [lr for lr, _ in pairs]
    assert len(pickle.dumps(pairs)) < 3000, "the open map goes along"
    for options in (dict(num_workers=2), dict(num_workers=1, multiprocessing_context="spawn")):
        found = [lr for batch, _ in DataLoader(pairs, 2, **options) for lr in batch]
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert decoded == paths


@pytest.mark.parametrize("change", ["content", "time", "order", "size", "fewer"])
def test_what_changes_the_faces_makes_another_file(paths, tmp_path, change):
    first = DecodedFaces(paths, tmp_path, 16)
    if change == "content":
        write_png(torch.zeros(3, 20, 18), paths[0])
        assert DecodedFaces(paths, tmp_path, 16)[0].max() == 0
    elif change == "time":
        os.utime(paths[0], (1, 1))
    other = DecodedFaces(
        {"order": paths[::-1], "fewer": paths[1:]}.get(change, paths), tmp_path, 8 if change == "size" else 16
    )
    assert other.file != first.file and first.file.exists()


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "flags"])
def test_a_damaged_file_is_decoded_again(paths, tmp_path, damage):
    file = DecodedFaces(paths, tmp_path, 16).file
    whole = file.read_bytes()
    broken = {"cut": whole[:-100], "longer": whole + b"\1", "empty": b"", "flags": whole[:-5] + bytes(5)}[damage]
    file.write_bytes(broken)
    DecodedFaces(paths, tmp_path, 16)
    assert file.read_bytes() == whole


def test_few_unreadable_pictures_are_skipped_with_a_line_each(tmp_path, lanes, capsys):
    good = [tmp_path / f"{number:03}.png" for number in range(200)]
    for number, path in enumerate(good):
        write_png(torch.full((3, 16, 16), number / 255), path)
    bad = tmp_path / "100a.png"
    bad.write_bytes(b"no picture")
    faces = DecodedFaces(sorted([*good, bad]), tmp_path, 16)
    assert faces.paths == good and faces.skipped == [bad]
    error = capsys.readouterr().err
    assert error.startswith("skipped: ") and "100a.png" in error and error.count("\n") == 1
    assert [int(face[0, 0, 0]) for face in faces] == list(range(200))
    again = DecodedFaces(sorted([*good, bad]), tmp_path, 16)
    assert again.paths == good and torch.equal(again[150], faces[150])


def test_many_unreadable_pictures_are_refused(paths, tmp_path):
    paths[3].write_bytes(paths[3].read_bytes()[:50])
    with pytest.raises(ElsfaceError, match=r"1 of 5 pictures cannot be read, such as: .*3\.png"):
        DecodedFaces(paths, tmp_path / "cache", 16)
    assert not files(tmp_path / "cache") and not list((tmp_path / "cache").glob(".*.part*"))


def test_small_pictures_are_refused_unless_they_may_be_enlarged(paths, tmp_path):
    with pytest.raises(ElsfaceError, match=r"5 of 5 .*0\.png has 18x20 pixels, too few for an HR face of 32x32"):
        DecodedFaces(paths, tmp_path, 32)
    assert same(FaceArray(DecodedFaces(paths, tmp_path, 32, enlarge=True)), FacePairs(paths, size=32, enlarge=True))
    with pytest.raises(ElsfaceError, match=r"20 of 20 .*32x32 pixels, too few"):
        DecodedFaces(sorted(shared("cases/train/tiny20").iterdir()), tmp_path)


def test_no_paths(tmp_path):
    with pytest.raises(ElsfaceError, match="empty"):
        DecodedFaces([], tmp_path)


def test_a_full_disk_is_one_line(paths, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "load_face", full)
    with pytest.raises(ElsfaceError, match=r"cannot write .*\.faces: No space left on device\. Make room"):
        DecodedFaces(paths, tmp_path / "cache", 16)
    assert not files(tmp_path / "cache") and not list((tmp_path / "cache").glob(".*.part*"))


def test_a_folder_that_cannot_be_is_one_line(paths, tmp_path):
    with pytest.raises(ElsfaceError, match=r"cannot write .*Choose another place"):
        DecodedFaces(paths, paths[0] / "cache", 16)


def test_what_a_killed_process_left_is_removed(paths, tmp_path):
    left = tmp_path / f".{'0' * 32}.part.faces"
    left.write_bytes(b"half")
    DecodedFaces(paths, tmp_path, 16)
    assert not left.exists()


def test_a_file_that_vanishes_is_named(paths, tmp_path):
    faces = DecodedFaces(paths, tmp_path / "cache", 16)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ElsfaceError, match="is gone or damaged"):
        faces[0]


def test_faces_by_index_and_as_one_array(paths, tmp_path):
    faces = DecodedFaces(paths, tmp_path, 16)
    assert faces.array.shape == (5, 3, 16, 16) and not faces.array.flags.writeable
    assert np.array_equal(faces[-1].numpy(), faces.array[4]) and len(list(faces)) == 5
    with pytest.raises(IndexError):
        faces[5]
