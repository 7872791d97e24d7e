"""LR and HR pictures in two folders: paired by place, held to one scale before any work begins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from elsface_lite.data import folders as module
from elsface_lite.data.folders import PairedFolders
from elsface_lite.data.images import read_image
from elsface_lite.errors import ElsfaceError


def save(path: Path, height: int, width: int, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


def pair(folder: Path, name: str, lr: tuple[int, int] = (8, 6), scale: int = 3, suffix: str = ".png") -> None:
    save(folder / "lr" / f"{name}.png", *lr)
    save(folder / "hr" / f"{name}{suffix}", scale * lr[0], scale * lr[1])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_pairs_by_their_place(tmp_path, scale):
    for name in ("p2/1", "p1/1", "a"):
        pair(tmp_path, name, scale=scale, suffix=".bmp")
    pairs = PairedFolders(tmp_path / "lr", str(tmp_path / "hr"))
    assert pairs.names == ["a", "p1/1", "p2/1"] and pairs.scale == scale and not pairs.notes and len(pairs) == 3
    lr, hr = pairs[1]
    assert torch.equal(lr, read_image(tmp_path / "lr/p1/1.png")) and torch.equal(
        hr, read_image(tmp_path / "hr/p1/1.bmp")
    )
    (lr, hr), *rest = DataLoader(pairs, 2, num_workers=1)
    assert lr.shape == (2, 3, 8, 6) and hr.shape == (2, 3, 8 * scale, 6 * scale) and len(rest) == 1


def test_pictures_without_a_partner_are_said_in_one_line(tmp_path):
    for name in ("a", "b", "c"):
        pair(tmp_path, name)
    (tmp_path / "lr" / "b.png").unlink()
    (tmp_path / "hr" / "c.png").unlink()
    with pytest.warns(UserWarning, match=r"without a partner, left out: 2 \(.*lr.c\.png, .*hr.b\.png\)") as said:
        pairs = PairedFolders(tmp_path / "lr", tmp_path / "hr")
    assert pairs.names == ["a"] and pairs.notes == [str(said[0].message)] and "\n" not in pairs.notes[0]


def test_sizes_are_seen_in_the_headers_before_work_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "read_image", lambda path: pytest.fail("a picture was decoded"))
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    save(tmp_path / "hr" / "b.png", 24, 19)
    with pytest.raises(ElsfaceError, match=r"b\.png has 6x8 pixels and .*b\.png 19x24: .* whole number"):
        PairedFolders(tmp_path / "lr", tmp_path / "hr")
    pair(tmp_path, "b", scale=2)
    with pytest.raises(ElsfaceError, match=r"b\.png.*x2, and the first pair is x3"):
        PairedFolders(tmp_path / "lr", tmp_path / "hr")
    with pytest.raises(ElsfaceError, match="are the folders exchanged"):
        PairedFolders(tmp_path / "hr", tmp_path / "lr")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_that_lie_on_their_side_are_turned_first(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "lr" / "a.png", 8, 6)
    save(tmp_path / "hr" / f"a{suffix}", 18, 24, exif=exif)
    pairs = PairedFolders(tmp_path / "lr", tmp_path / "hr")
    assert pairs.scale == 3 and pairs[0][1].shape == (3, 24, 18)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    pair(tmp_path, "a")
    with pytest.raises(ElsfaceError, match="there is no folder"):
        PairedFolders(tmp_path / "lr", tmp_path / "gone")
    save(tmp_path / "other" / "b.png", 8, 6)
    with pytest.raises(ElsfaceError, match=r"no picture of .*lr is named like one of .*other"):
        PairedFolders(tmp_path / "lr", tmp_path / "other")
    save(tmp_path / "lr" / "a.bmp", 8, 6)
    with pytest.raises(ElsfaceError, match=r"a\.bmp and .*a\.png have one name"):
        PairedFolders(tmp_path / "lr", tmp_path / "hr")
    (tmp_path / "hr" / "a.png").write_bytes(b"no picture")
    (tmp_path / "lr" / "a.bmp").unlink()
    with pytest.raises(ElsfaceError, match=r"a\.png is not an image"):
        PairedFolders(tmp_path / "lr", tmp_path / "hr")
