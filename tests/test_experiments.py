"""The programs behind the measured tables: a tiny run of each, and that what is finished is not done again."""

import csv
import math
import sys
from collections import Counter
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
from elsface_lite.metrics.image import psnr
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained, save_pretrained
from elsface_lite.training.faces import split_faces
from elsface_lite.training.run_config import DataConfig
from elsface_lite.training.symmetry import MirrorSymmetry

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
    tiny = experiments.model(**TINY)
    lines = [tiny, tiny | {"train.sharp_weight": 0.0}, tiny | {"only_r": True}]
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", experiments.Experiment(lines, seeds=(0, 1), looks=True))
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "experiments.py"))
    monkeypatch.setattr(sys, "argv", ["experiments.py", "tiny", *arguments])
    experiments.main()
    rows = read(tmp_path / "tiny.csv")
    assert [(row["seed"], row["sharp_weight"], row["only_r"]) for row in rows] == [
        (seed, *line) for seed in "01" for line in (("0.05", "False"), ("0", "False"), ("0.05", "True"))
    ]
    assert float(rows[2]["gmac"]) < float(rows[0]["gmac"]) and rows[2]["parameters"] == rows[0]["parameters"]
    assert rows[1]["set"].endswith("hfeb_blocks=1 train.sharp_weight=0.0")
    assert {row["faces_seen"] for row in rows} == {"16"} and len({row["psnr_bicubic"] for row in rows}) == 1
    assert int(rows[0]["parameters"]) == sum(p.numel() for p in ELSFace(ELSFaceConfig.lite(**TINY)).parameters())
    assert all(0 < float(row["gmac"]) < 0.1 and 15 < float(row["psnr"]) < 40 for row in rows)

    spectra = read(tmp_path / "tiny" / "spectra.csv")
    assert list(spectra[0]) == ["frequency", "HR", "bicubic", *(row["set"] for row in rows[:3])]
    assert (len(spectra), spectra[-1]["frequency"]) == (64, "0.5")
    sheet = read_image(tmp_path / "tiny" / "portraits.webp").unfold(1, 128, 128).unfold(2, 128, 128)
    hr, bicubic, restored, _, bare = sheet.permute(1, 2, 0, 3, 4)  # (2, 3, 128, 128) each
    assert torch.equal(bicubic, upscale(downscale(hr, 4), 4))
    network = load_pretrained(next((tmp_path / "runs" / "tiny").glob("*hfeb_blocks=1-seed=0")) / "best.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(restored, quantize(network(downscale(hr, 4))), atol=1.5 / 255, rtol=0)
        network = load_pretrained(next((tmp_path / "runs" / "tiny").glob("*only_r*seed=0")) / "best.safetensors")
        with experiments.bare_high_pass({"only_r": True}):
            torch.testing.assert_close(bare, quantize(network(downscale(hr, 4))), atol=1.5 / 255, rtol=0)
        assert not torch.equal(bare, quantize(network(downscale(hr, 4)))), "as with the subtraction"
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
def test_the_last_part_is_for_psnr(tmp_path, monkeypatch, arguments):
    """Each face is seen as often as any other, or once more, and the loss is PSNR but for a factor."""
    for_psnr = program("data/for_psnr.py")
    sr, hr = torch.rand(2, 4, 3, 16, 16)
    assert for_psnr.log_mse(sr, hr).item() == pytest.approx(-psnr(sr, hr).mean().item() * math.log(10) / 10, rel=1e-3)
    counts = Counter(for_psnr.drawn(10, 25, seed=7))
    assert sorted(counts) == list(range(10)) and set(counts.values()) == {2, 3}
    start, out = tmp_path / "start.safetensors", tmp_path / "run"
    network = ELSFace(ELSFaceConfig.lite(scale=8, **TINY))
    MirrorSymmetry(network).start(network)
    save_pretrained(network, start)
    held_out = tmp_path / "held out"
    held_out.mkdir()
    for path in sorted(Path(arguments[1]).iterdir())[:4]:
        path.rename(held_out / path.name)
    options = ["--start", str(start), *arguments[:2], "--validation", str(held_out), "--out", str(out), "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["for_psnr.py", *options, "--precision", "no"])
    for_psnr.main()
    first, best, mean = (load_pretrained(file) for file in (start, out / "best.safetensors", out / "mean.safetensors"))
    assert mean.config.scale == 8
    for parts in zip(first.parameters(), best.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(parts[2], (parts[0] + parts[1]) / 2)
    assert any(not torch.equal(*parts) for parts in zip(first.parameters(), best.parameters(), strict=True))
    assert float(read(out / "log.csv")[-1]["log_mse"]) < 0


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
