"""`elsface-lite evaluate`: pairs, table, files, contact sheet, and what it refuses."""

import argparse
import csv
import json

import pytest
import torch
from PIL import Image
from torch import Tensor

from elsface_lite.cli import evaluate
from elsface_lite.cli.main import main
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.data.images import read_image, write_png
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.image import psnr
from elsface_lite.metrics.pairs import FolderPairs, measure_pairs
from elsface_lite.metrics.report import choose_faces, write_sheet

FAST = ["--metrics", "psnr", "ssim"]


def run(*arguments: object) -> int:
    """The subcommand alone; errors come through as exceptions."""
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args([*map(str, arguments)]))


def face(seed: int, size: int = 32) -> Tensor:
    """Smooth noise: something that bicubic keeps a part of."""
    generator = torch.Generator().manual_seed(seed)
    return upscale(torch.rand(1, 3, size // 2, size // 2, generator=generator), 2)[0]


@pytest.fixture
def folders(tmp_path):
    """Three pairs, of which 1 is the best and 0 the worst, and one file alone on either side."""
    for index, noise in enumerate((0.2, 0.02, 0.1)):
        hr = face(index)
        write_png(hr, tmp_path / "hr" / f"{index}.png")
        generator = torch.Generator().manual_seed(index)
        write_png(hr + noise * (torch.rand(hr.shape, generator=generator) - 0.5), tmp_path / "sr" / f"{index}.png")
    write_png(face(7), tmp_path / "sr" / "only_sr.png")
    write_png(face(8), tmp_path / "hr" / "only_hr.png")
    return tmp_path


def test_pairs_by_stem(folders):
    Image.open(folders / "hr" / "1.png").save(folders / "hr" / "1.bmp")
    (folders / "hr" / "1.png").unlink()
    pairs = FolderPairs(folders / "sr", folders / "hr")
    assert pairs.names == ["0", "1", "2"]
    assert [note.rsplit("/", 1)[1] for note in pairs.notes] == ["only_sr.png", "only_hr.png"]
    assert torch.equal(pairs.load([1])[0][1], read_image(folders / "hr" / "1.bmp"))


def test_screen_csv_and_json(folders, capsys):
    arguments = ("--sr", folders / "sr", "--hr", folders / "hr", *FAST)
    assert run(*arguments, "--csv", folders / "table.csv", "--json", folders / "report.json") == 0
    output = capsys.readouterr()
    assert "0/3" in output.err  # the progress bar
    assert "only_sr.png" in output.out and "only_hr.png" in output.out
    pairs = [[read_image(folders / part / f"{i}.png")[None] for part in ("sr", "hr")] for i in range(3)]
    values = [psnr(*pair).item() for pair in pairs]
    mean = sum(values) / 3
    assert f"{mean:.3f}" in output.out and "RGB, 8-bit values" in output.out

    report = json.loads((folders / "report.json").read_text(encoding="utf-8"))
    assert [image["name"] for image in report["images"]] == ["0", "1", "2"]
    assert [image["psnr"] for image in report["images"]] == pytest.approx(values, rel=1e-6)
    assert report["table"][0]["mean"] == pytest.approx(mean, rel=1e-6) and report["table"][0]["n"] == 3
    assert report["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(report["conventions"]) == {"psnr", "ssim"}
    assert len(report["notes"]) == 2

    with (folders / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["metric"] for row in rows] == ["psnr", "ssim"]
    assert float(rows[0]["mean"]) == pytest.approx(mean, rel=1e-6)
    assert rows[0]["unit"] == "dB" and "Gaussian" in rows[1]["convention"] and "torch" in rows[0]["versions"]


def test_equal_images_give_json_that_others_can_read(folders):
    assert run("--sr", folders / "hr", "--hr", folders / "hr", *FAST, "--json", folders / "report.json") == 0
    text = (folders / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["images"][0]["psnr"] == "inf"


def test_jpegs_are_measured_with_a_warning(folders, capsys):
    for file in (folders / "sr").glob("*.png"):
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()
    run("--sr", folders / "sr", "--hr", folders / "hr", *FAST)
    assert "JPEG" in capsys.readouterr().out


def test_pairs_of_different_sizes_are_measured_together(folders):
    write_png(face(3, 48), folders / "sr" / "3.png")
    write_png(face(4, 48), folders / "hr" / "3.png")
    pairs = FolderPairs(folders / "sr", folders / "hr")
    values = measure_pairs(pairs, ["psnr"]).values()["psnr"]
    expected = [psnr(sr[None], hr[None]).item() for sr, hr in pairs.load(range(4))]
    assert values.tolist() == pytest.approx(expected, rel=1e-6)


def test_contact_sheet(folders):
    """Best, median and worst face as rows, LR, bicubic, SR and HR as columns."""
    pairs = FolderPairs(folders / "sr", folders / "hr")
    evaluator = measure_pairs(pairs, ["psnr"])
    assert [face.index for face in choose_faces(evaluator)] == [1, 2, 0]
    write_sheet(evaluator, pairs, 4, folders / "sheet.png")
    sheet = read_image(folders / "sheet.png")
    tops = [32, 82, 132]
    for index, top in zip([1, 2, 0], tops, strict=True):
        sr, hr = pairs.load([index])[0]
        lr = downscale(hr[None], 4)
        columns = [lr[0].repeat_interleave(4, 1).repeat_interleave(4, 2), upscale(lr, 4)[0], sr, hr]
        for i, column in enumerate(columns):
            left = 4 + 36 * i
            assert torch.equal(sheet[:, top : top + 32, left : left + 32], column), (index, i)


def test_lower_is_better_for_the_sheet(folders):
    evaluator = measure_pairs(FolderPairs(folders / "sr", folders / "hr"), ["mae"])
    assert [face.index for face in choose_faces(evaluator)] == [1, 2, 0]


def test_sheet_needs_a_value_a_face(folders, monkeypatch):
    monkeypatch.setattr("elsface_lite.metrics.evaluator.inception_features", lambda images: images.flatten(1).double())
    evaluator = measure_pairs(FolderPairs(folders / "sr", folders / "hr"), ["fid"])
    with pytest.raises(ElsfaceError, match="one value a face"):
        choose_faces(evaluator)


def test_bicubic_baseline(folders, capsys):
    """The second form: LR faces are made of the HR faces, which are brought to 128x128."""
    run("--weights", "bicubic", "--faces", folders / "hr", "--scale", 4, *FAST, "--json", folders / "report.json")
    report = json.loads((folders / "report.json").read_text(encoding="utf-8"))
    assert report["source"]["weights"] == "bicubic" and report["source"]["scale"] == 4
    from elsface_lite.data.pairs import load_face

    hr = load_face(folders / "hr" / "0.png", 128)[None] / 255
    assert report["images"][0]["psnr"] == pytest.approx(psnr(upscale(downscale(hr, 4), 4), hr).item(), rel=1e-5)


def test_held_out_people_only(folders, capsys):
    """The people that `elsface-lite train` holds out, so that trained weights are measured on people they never saw."""
    from elsface_lite.data.pairs import split_by_person

    people = folders / "people.csv"
    people.write_text("file,identity\n0.png,a\n1.png,b\n2.png,b\nonly_hr.png,c\n", encoding="utf-8")
    report = folders / "report.json"
    run("--weights", "bicubic", "--faces", folders / "hr", "--people", people, "--held-out", 1, *FAST, "--json", report)
    _, expected = split_by_person(["a", "b", "b", "c"], 1, seed=0)
    names = [row["name"] for row in json.loads(report.read_text(encoding="utf-8"))["images"]]
    assert names == [["0", "1", "2", "only_hr"][i] for i in expected]


def test_network(folders):
    """Any network file that `load_pretrained` takes; its output is clamped."""
    from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
    from elsface_lite.network.weights import save_pretrained

    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig(channels=12, heads=2, out_channels=12, head_blocks=1, hfebs=0, style="none"))
    save_pretrained(model, folders / "small.safetensors")
    name = folders / "small.safetensors"
    run("--weights", name, "--faces", folders / "hr", *FAST, "--sheet", folders / "sheet.png")
    assert (folders / "sheet.png").exists()
    with pytest.raises(ElsfaceError, match="x4, not x8"):
        run("--weights", name, "--faces", folders / "hr", "--scale", 8, *FAST)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sr", "{}/sr"], "--sr DIR and --hr DIR"),
        (["--sr", "{}/sr", "--faces", "{}/hr"], "--sr DIR and --hr DIR"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--weights", "bicubic"], "--sr DIR and --hr DIR"),
        (["--sr", "{}/nowhere", "--hr", "{}/hr"], "there is no folder"),
        (["--sr", "{}/empty", "--hr", "{}/hr"], "no image"),
        (["--sr", "{}/sr", "--hr", "{}/others"], "stem"),
        (["--sr", "{}/small", "--hr", "{}/hr"], "0: SR is 16x16 pixels and HR 32x32"),
        (["--sr", "{}/twice", "--hr", "{}/hr"], "one stem"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "pnsr"], "'pnsr'"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "psnr", "--sheet", "{}/s.png", "--scale", "5"], "scale 5"),
        (["--weights", "bicubic", "--faces", "{}/hr", "--scale", "3"], "scale 3"),
        (["--weights", "bicubic", "--faces", "{}/hr", "--scale", "0"], "scale 0"),
        (["--weights", "nothing", "--faces", "{}/hr"], "nothing"),
    ],
)
def test_refusals(arguments, words, folders):
    (folders / "empty").mkdir()
    write_png(face(0), folders / "others" / "x.png")
    write_png(face(0, 16), folders / "small" / "0.png")
    write_png(face(0), folders / "twice" / "0.png")
    Image.open(folders / "twice" / "0.png").save(folders / "twice" / "0.bmp")
    with pytest.raises(ElsfaceError, match=words) as error:
        run(*(argument.format(folders) for argument in arguments))
    assert "\n" not in str(error.value)


def test_command_line(folders, capsys):

    assert main(["evaluate", "--sr", str(folders / "sr"), "--hr", str(folders / "hr"), *FAST]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--sr", str(folders / "sr")]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("elsface-lite: error: give --sr") and output.err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_said(folders):
    (folders / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ElsfaceError, match="cannot write"):
        run("--sr", folders / "sr", "--hr", folders / "hr", *FAST, "--csv", folders / "file" / "table.csv")
