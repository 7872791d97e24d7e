"""The programs behind the measured tables: a tiny run of each, and that what is finished is not done again."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from programs import program

from elsface_lite.course.frequency import radial_profile
from elsface_lite.data.degradation import downscale, quantize, upscale
from elsface_lite.data.images import read_image, write_png
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained
from elsface_lite.training.faces import split_faces
from elsface_lite.training.run_config import DataConfig

TINY = dict(channels=8, heads=2, hfebs=1, hfeb_blocks=1)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Options of both programs: 80 faces, each a person of its own, of whom 60 are held out."""
    faces = tmp_path / "faces"
    faces.mkdir()
    lines = ["file,identity"]
    for number, path in enumerate(orl_faces().paths[:80]):
        Image.open(path).resize((128, 128)).save(faces / f"{number:03d}.png")
        lines.append(f"{number:03d}.png,{number}")
    (tmp_path / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    options = {"--faces": faces, "--people": tmp_path / "people.csv", "--runs": tmp_path / "runs", "--precision": "no"}
    return [str(part) for option in options.items() for part in option]


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
def test_experiments(tmp_path, monkeypatch, arguments):
    experiments = program("data/experiments.py")
    lines = [experiments.model(**TINY), experiments.model(**TINY) | {"train.sharp_weight": 0.0}]
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", experiments.Experiment(lines, seeds=(0, 1), looks=True))
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "experiments.py"))
    monkeypatch.setattr(sys, "argv", ["experiments.py", "tiny", *arguments])
    experiments.main()
    rows = read(tmp_path / "tiny.csv")
    assert [(row["seed"], row["sharp_weight"]) for row in rows] == [
        ("0", "0.05"),
        ("0", "0"),
        ("1", "0.05"),
        ("1", "0"),
    ]
    assert rows[1]["set"].endswith("hfeb_blocks=1 train.sharp_weight=0.0")
    assert {row["faces_seen"] for row in rows} == {"16"} and len({row["psnr_bicubic"] for row in rows}) == 1
    assert int(rows[0]["parameters"]) == sum(p.numel() for p in ELSFace(ELSFaceConfig.lite(**TINY)).parameters())
    assert all(0 < float(row["gmac"]) < 0.1 and 15 < float(row["psnr"]) < 40 for row in rows)

    spectra = read(tmp_path / "tiny" / "spectra.csv")
    assert list(spectra[0]) == ["frequency", "HR", "bicubic", rows[0]["set"], rows[1]["set"]]
    assert (len(spectra), spectra[-1]["frequency"]) == (64, "0.5")
    sheet = read_image(tmp_path / "tiny" / "portraits.webp").unfold(1, 128, 128).unfold(2, 128, 128)
    hr, bicubic, restored = sheet.permute(1, 2, 0, 3, 4)[:3]  # (2, 3, 128, 128) each
    assert torch.equal(bicubic, upscale(downscale(hr, 4), 4))
    network = load_pretrained(next((tmp_path / "runs" / "tiny").glob("*hfeb_blocks=1-seed=0")) / "best.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(restored, quantize(network(downscale(hr, 4))), atol=1.5 / 255, rtol=0)
    _, held_out = split_faces(DataConfig(faces=(str(tmp_path / "faces"),), people=(str(tmp_path / "people.csv"),)))
    held_out = load_faces(held_out, 128).float() / 255
    assert [f"{power:.5g}" for power in radial_profile(held_out)[1].mean(0)[:3].tolist()] == [
        row["HR"] for row in spectra[:3]
    ]

    monkeypatch.setattr(experiments, "train", lambda *_: pytest.fail("trained again"))
    (tmp_path / "tiny.csv").unlink()
    (tmp_path / "tiny" / "portraits.webp").unlink()
    experiments.main()
    assert read(tmp_path / "tiny.csv") == rows
    assert (tmp_path / "tiny" / "portraits.webp").exists()


@pytest.mark.slow
def test_peers(tmp_path, monkeypatch, arguments):
    pytest.importorskip("spandrel", reason="spandrel is not installed: make bench-peers installs it")
    peers = program("benchmarks/peers.py")
    for name, build in peers.NETWORKS.items():
        network = build()
        assert network(torch.rand(1, 3, 32, 32)).shape == (1, 3, 128, 128), name
        assert network.config.scale == 4
    tiny = {
        "ELSFace lite": lambda: ELSFace(ELSFaceConfig.lite(**TINY)),
        peers.SYMMETRIC: lambda: ELSFace(ELSFaceConfig.lite()),
        "EDSR-baseline": lambda: peers.OverBicubic(peers.EDSR(8, 1)),
    }
    monkeypatch.setattr(peers, "NETWORKS", tiny)
    monkeypatch.setattr(peers, "__file__", str(tmp_path / "peers.py"))
    monkeypatch.setattr(sys, "argv", ["peers.py", *arguments, "--minutes", "0.02"])
    peers.main()
    first = read(tmp_path / "peers.csv")
    assert [row["network"] for row in first] == list(tiny)
    assert all(float(row["milliseconds"]) > 0 and int(row["faces_seen"]) >= 8 for row in first)

    monkeypatch.setattr(peers, "PeerTrainer", lambda *_: pytest.fail("trained again"))
    peers.main()
    again = read(tmp_path / "peers.csv")
    assert [row["psnr"] for row in again] == [row["psnr"] for row in first]

    monkeypatch.setattr(sys, "argv", ["peers.py", *arguments, "--minutes", "3"])
    with pytest.raises(SystemExit, match=r"was trained for 0\.02 minutes, precision .*, not 3 minutes"):
        peers.main()


def test_spans_convolutions_are_fused_once():
    pytest.importorskip("spandrel", reason="spandrel is not installed: make bench-peers installs it")
    peers = program("benchmarks/peers.py")
    torch.manual_seed(0)
    network, lr = peers.NETWORKS["SPAN"]().eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = network(lr)
        peers.fuse(network)
        assert torch.equal(network(lr), expected)
    assert peers.size(network)["parameters"] < 500_000


def test_parts_are_cut_out_of_faces(tmp_path):
    """Pixel by pixel, each within its face."""
    parts = program("data/parts.py")
    whole = torch.rand(3, 256, 256)
    for number in range(3):
        write_png(whole, tmp_path / "faces" / f"{number}.png")
    parts.main(tmp_path / "faces", tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 15
    for number in range(3):
        for count, (left, top) in enumerate(parts.corners(number)):
            part = read_image(tmp_path / "parts" / f"{number}_{count}.webp")
            assert torch.equal(part, quantize(whole)[:, top : top + 128, left : left + 128])
