"""`elsface-lite evaluate`: pairs, table, files, contact sheet, and what it refuses."""

import argparse
import csv
import json
from pathlib import Path

import pytest
import torch
from conftest import shared
from PIL import Image
from torch import Tensor

from elsface_lite.cli import evaluate
from elsface_lite.cli.main import main
from elsface_lite.data import named
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.data.images import read_image, write_png
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.evaluator import IMAGE_METRICS, Evaluator, Metric
from elsface_lite.metrics.image import psnr
from elsface_lite.metrics.networks import check_installed
from elsface_lite.metrics.pairs import FolderPairs, Images, measure_images
from elsface_lite.metrics.report import choose_faces, render_table, versions, write_sheet

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


def measured(images: Images, *metrics: str | Metric) -> Evaluator:
    evaluator = Evaluator(metrics)
    measure_images(images, evaluator)
    return evaluator


def no_inception(monkeypatch) -> None:
    """FID and KID of a few pixels in place of Inception's features, as if it were installed."""
    monkeypatch.setattr("elsface_lite.metrics.networks.NEEDS", {})
    monkeypatch.setattr(
        "elsface_lite.metrics.evaluator.inception_features", lambda images: images[..., 0, :4].flatten(1).double()
    )


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
    values = measured(pairs, "psnr").values()["psnr"]
    expected = [psnr(sr[None], hr[None]).item() for sr, hr in pairs.load(range(4))]
    assert values.tolist() == pytest.approx(expected, rel=1e-6)


def test_contact_sheet(folders):
    """Best, median and worst face as rows, LR, bicubic, SR and HR as columns."""
    pairs = FolderPairs(folders / "sr", folders / "hr")
    evaluator = measured(pairs, "psnr")
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
    evaluator = measured(FolderPairs(folders / "sr", folders / "hr"), "mae")
    assert [face.index for face in choose_faces(evaluator)] == [1, 2, 0]


def test_sheet_needs_a_value_a_face(folders, monkeypatch):
    no_inception(monkeypatch)
    evaluator = measured(FolderPairs(folders / "sr", folders / "hr"), "fid")
    with pytest.raises(ElsfaceError, match="one value a face"):
        choose_faces(evaluator)


def test_bicubic_baseline(folders, capsys):
    """The second form: LR faces are made of the HR faces, which are brought to 128x128."""
    words = ("--weights", "bicubic", "--faces", folders / "hr", "--scale", 4, "--enlarge")
    run(*words, *FAST, "--json", folders / "report.json")
    report = json.loads((folders / "report.json").read_text(encoding="utf-8"))
    assert report["source"]["weights"] == "bicubic" and report["source"]["scale"] == 4
    from elsface_lite.data.pairs import load_face

    hr = load_face(folders / "hr" / "0.png", 128, enlarge=True)[None] / 255
    assert report["images"][0]["psnr"] == pytest.approx(psnr(upscale(downscale(hr, 4), 4), hr).item(), rel=1e-5)


def test_held_out_people_only(folders, capsys):
    """The people that `elsface-lite train` holds out, so that trained weights are measured on people they never saw."""
    from elsface_lite.data.pairs import split_by_person

    people = folders / "people.csv"
    people.write_text("file,identity\n0.png,a\n1.png,b\n2.png,b\nonly_hr.png,c\n", encoding="utf-8")
    report = folders / "report.json"
    words = ("--weights", "bicubic", "--faces", folders / "hr", "--size", 32, "--people", people, "--held-out", 1)
    run(*words, *FAST, "--json", report)
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
    run("--weights", name, "--faces", folders / "hr", "--size", 32, *FAST, "--sheet", folders / "sheet.png")
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
        (["--sr", "{}/sr", "--hr", "{}/others"], "to .*others/x.png one would be called x.png"),
        (["--sr", "{}/small", "--hr", "{}/hr"], "0: SR is 16x16 pixels and HR 32x32"),
        (["--sr", "{}/twice", "--hr", "{}/hr"], "have one name"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "pnsr"], "'pnsr'"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "psnr", "--sheet", "{}/s.png", "--scale", "5"], "scale 5"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "psnr", "--crop-border", "16"], "leaves nothing of 32x32"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--crop-border", "-1"], "-1 pixels cannot be cut"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--pattern", "x4"], "no place for the name of HR"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--device", "abacus"], "'abacus' cannot be used here"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "psnr", "--reference", "{}/hr"], "for fid and kid"),
        (["--sr", "{}/sr", "--metrics", "niqe", "--sheet", "{}/s.png"], "--sr DIR and --hr DIR"),
        (["--sr", "{}/sr", "--hr", "{}/hr", "--metrics", "psnr", "--niqe-model", "{}/hr/0.png"], "for the metric niqe"),
        (["--sr", "{}/sr", "--metrics", "niqe", "--niqe-model", "{}/hr/0.png"], "0.png is no model of NIQE"),
        (["--sr", "{}/sr", "--metrics", "niqe", "--niqe-model", "{}/none.npz"], "none.npz is no model of NIQE"),
        (["--weights", "bicubic", "--faces", "{}/hr"], "too few for an HR face of 128x128"),
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


# What people bring


def save(folder: Path, *names: str, seed: int = 0, size: int = 32) -> None:
    for index, name in enumerate(names):
        write_png(face(seed + index, size), folder / name)


def report_of(folders: Path, *arguments: object) -> dict:
    """The command's JSON."""
    run(*arguments, "--json", folders / "report.json")
    return json.loads((folders / "report.json").read_text(encoding="utf-8"))


def test_equal_names_in_several_folders_are_paired_by_their_places(tmp_path):
    save(tmp_path / "hr", "2018/IMG_1.png", "2019/IMG_1.png", "IMG_1.png")
    save(tmp_path / "sr", "2018/IMG_1.png", "2019/IMG_1.png", "2020/IMG_1.png")
    report = report_of(tmp_path, "--sr", tmp_path / "sr", "--hr", tmp_path / "hr", *FAST)
    assert [image["name"] for image in report["images"]] == ["2018/IMG_1", "2019/IMG_1"]
    assert [image["psnr"] for image in report["images"]] == ["inf", "inf"]
    assert {note.rsplit("/", 2)[1] for note in report["notes"][:2]} == {"2020", "hr"}


def test_a_pattern_says_how_sr_files_are_called(tmp_path):
    save(tmp_path / "hr", "a/0001.png", "b/0001.png")
    save(tmp_path / "sr", "a/0001_x4.png", "b/0001_x4.png", "b/0001.png")
    pairs = FolderPairs(tmp_path / "sr", tmp_path / "hr", "{}_x4")
    assert pairs.names == ["a/0001", "b/0001"]
    assert [sr.name for sr, _ in pairs.files] == ["0001_x4.png"] * 2
    with pytest.raises(ElsfaceError, match=r"would be called a/0001_x2.png"):
        FolderPairs(tmp_path / "sr", tmp_path / "hr", "{}_x2")


def test_each_file_is_decoded_once(folders, monkeypatch):
    """Broken ones are seen first, though."""
    read: list[str] = []
    monkeypatch.setattr(
        "elsface_lite.metrics.pairs.read_image", lambda path: read.append(str(path)) or read_image(path)
    )
    run("--sr", folders / "sr", "--hr", folders / "hr", *FAST, "--sheet", folders / "sheet.png")
    assert len(read) == len(set(read)) == 6
    (folders / "sr" / "2.png").write_bytes((folders / "sr" / "2.png").read_bytes()[:500])
    monkeypatch.setattr(Evaluator, "update", lambda *pair: pytest.fail("the work has begun"))
    with pytest.raises(ElsfaceError, match=r"2.png is damaged"):
        run("--sr", folders / "sr", "--hr", folders / "hr", *FAST)


def test_what_does_not_fit_into_memory_is_read_again(folders, monkeypatch):
    expected = measured(FolderPairs(folders / "sr", folders / "hr"), "psnr").values()["psnr"]
    monkeypatch.setattr("elsface_lite.metrics.pairs.KEPT_BYTES", 3 * 3 * 32 * 32)
    pairs = FolderPairs(folders / "sr", folders / "hr")
    assert len(pairs.images.kept) == 3
    assert torch.equal(measured(pairs, "psnr").values()["psnr"], expected)


def test_a_turned_photograph_has_the_size_that_a_viewer_shows(tmp_path):
    pixels = face(0)[:, :20]
    write_png(pixels, tmp_path / "hr" / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    image = Image.open(tmp_path / "hr" / "0.png").transpose(Image.Transpose.ROTATE_90)
    (tmp_path / "sr").mkdir()
    image.save(tmp_path / "sr" / "0.png", exif=exif)
    values = measured(FolderPairs(tmp_path / "sr", tmp_path / "hr"), "psnr").values()
    assert values["psnr"].tolist() == [float("inf")]


def test_an_identical_pair_is_named_beside_the_mean_of_the_others(folders, capsys):
    write_png(read_image(folders / "hr" / "1.png"), folders / "sr" / "1.png")
    report = report_of(folders, "--sr", folders / "sr", "--hr", folders / "hr", *FAST, "--csv", folders / "table.csv")
    values = [image["psnr"] for image in report["images"]]
    assert values[1] == "inf"
    row = report["table"][0]
    assert row["mean"] == pytest.approx((values[0] + values[2]) / 2) and row["spread"] > 0
    assert (row["n"], row["infinite"]) == (3, 1) and report["table"][1]["infinite"] == 0
    printed = capsys.readouterr().out
    assert f"{row['mean']:.3f}" in printed
    line = "psnr: infinite, since SR and HR are identical, for 1 of 3 (1); the mean is that of the others"
    assert line in printed.splitlines() and line in report["notes"]
    with (folders / "table.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["infinite"] == "1"


def test_identical_pairs_only(folders, capsys):
    report = report_of(folders, "--sr", folders / "hr", "--hr", folders / "hr", *FAST)
    assert report["table"][0] | {"mean": "inf", "spread": None, "low": None} == report["table"][0]
    assert "for 4 of 4 (0, 1, 2, only_hr)\n" in capsys.readouterr().out


def test_of_one_image_there_is_no_spread_and_no_interval(tmp_path, capsys):
    save(tmp_path / "hr", "0.png")
    save(tmp_path / "sr", "0.png", seed=1)
    report = report_of(tmp_path, "--sr", tmp_path / "sr", "--hr", tmp_path / "hr", *FAST, "--csv", tmp_path / "t.csv")
    assert [report["table"][0][key] for key in ("spread", "low", "high", "n")] == [None, None, None, 1]
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[0] == "psnr" and line[2:5] == ["–", "–", "1"]
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["spread"] == ""


def test_of_one_image_the_default_metrics_leave_out_those_of_sets(tmp_path, capsys, monkeypatch):
    no_inception(monkeypatch)
    monkeypatch.setattr("elsface_lite.metrics.evaluator.DEFAULT_METRICS", ("psnr", "fid", "kid"))
    save(tmp_path / "hr", "0.png")
    save(tmp_path / "sr", "0.png", seed=1)
    run("--sr", tmp_path / "sr", "--hr", tmp_path / "hr")
    printed = capsys.readouterr().out
    assert "psnr" in printed and "fid and kid were left out: they compare sets" in printed


def test_of_tiny_images_the_default_metrics_leave_out_what_needs_more(tmp_path, capsys, monkeypatch):
    """Found out before the work: PSNR is printed, and the table says what is not in it."""
    no_inception(monkeypatch)
    save(tmp_path / "hr", "0.png", "1.png", size=10)
    save(tmp_path / "sr", "0.png", "1.png", seed=2, size=10)
    report = report_of(tmp_path, "--sr", tmp_path / "sr", "--hr", tmp_path / "hr", "--crop-border", 1)
    assert {row["metric"] for row in report["table"]} == {"psnr", "psnr_y", "mae", "fid", "kid"}
    assert "ssim and ssim_y and lpips were left out: an image measures 8 pixels only." in capsys.readouterr().out


def test_lr_faces_are_made_by_the_degradation_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(named.DEGRADATIONS, "dark", lambda scale: lambda hr, generator: downscale(hr, scale) / 2)
    save(tmp_path, "0.png", size=32)
    words = ("--weights", "bicubic", "--faces", tmp_path, "--size", 32, "--metrics", "mae")
    light, dark = (report_of(tmp_path, *words, "--degradation", name) for name in ("bicubic", "dark"))
    assert dark["table"][0]["mean"] > 50 > light["table"][0]["mean"] and dark["source"]["degradation"] == "dark"
    with pytest.raises(ElsfaceError, match="there is no degradation 'mud': choose bicubic"):
        run(*words, "--degradation", "mud")


@pytest.mark.slow
def test_the_border_is_cut_before_everything_and_said(folders, capsys, monkeypatch):
    no_inception(monkeypatch)
    words = ("--sr", folders / "sr", "--hr", folders / "hr", "--metrics", "psnr", "fid", "--crop-border", 4)
    report = report_of(folders, *words)
    pairs = [[read_image(folders / part / f"{i}.png")[None, :, 4:-4, 4:-4] for part in ("sr", "hr")] for i in range(3)]
    assert [image["psnr"] for image in report["images"]] == pytest.approx([psnr(*pair).item() for pair in pairs])
    assert all(text.endswith(", 4 pixels cut from each side") for text in report["conventions"].values())
    cut, whole = report["table"][1]["mean"], report_of(folders, *words[:-2])["table"][1]["mean"]
    assert cut != whole
    assert capsys.readouterr().out.count("4 pixels cut from each side") == 2


def test_fid_against_other_faces_needs_no_pairs(folders, capsys, monkeypatch):
    """Other names, another number, another size."""
    no_inception(monkeypatch)
    for index in range(5):
        write_png(face(20 + index, 48), folders / "real" / "deep" / f"other{index}.png")
    (folders / "real" / "broken.png").write_bytes(b"no picture")
    report = report_of(folders, "--sr", folders / "sr", "--reference", folders / "real")
    assert [row["metric"] for row in report["table"]] == ["fid", "kid"] and report["table"][0]["n"] == 4
    assert report["images"] == [{"name": name} for name in ("0.png", "1.png", "2.png", "only_sr.png")]
    printed = capsys.readouterr().out
    assert "fid and kid: against 5 images of" in printed and "left out of the reference: " in printed
    both = report_of(folders, "--sr", folders / "sr", "--hr", folders / "hr", "--reference", folders / "real",
                     "--metrics", "psnr", "fid")  # fmt: skip
    evaluator = Evaluator(["fid"])
    for index in range(5):
        evaluator.update_reference(face(20 + index, 48)[None])
    evaluator.update(torch.stack([read_image(folders / "sr" / f"{i}.png") for i in range(3)]))
    assert both["table"][1]["mean"] == pytest.approx(evaluator.table()[0].mean)
    assert both["table"][0]["metric"] == "psnr" and both["source"]["reference"] == str(folders / "real")


def test_one_real_face_is_no_reference(folders, monkeypatch):
    no_inception(monkeypatch)
    save(folders / "real", "0.png")
    with pytest.raises(ElsfaceError, match=r"1 readable images.*two or more"):
        run("--sr", folders / "sr", "--reference", folders / "real")


@pytest.fixture
def bare(monkeypatch):
    """A machine with nothing but PyTorch: no package of data files, no network."""

    def nowhere(name: str) -> None:
        return None

    def no_network(*arguments: object) -> None:
        raise OSError("no network here")

    check_installed.cache_clear()
    monkeypatch.setattr("elsface_lite.packages.importlib.util.find_spec", nowhere)
    monkeypatch.setattr("elsface_lite.metrics.networks.downloaded_trunk", no_network)


def test_what_can_be_measured_is_printed_though_networks_are_missing(folders, capsys, bare):
    report = folders / "report.json"
    assert main(["evaluate", "--sr", str(folders / "sr"), "--hr", str(folders / "hr"), "--json", str(report)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[1:6]] == ["psnr", "psnr_y", "ssim", "ssim_y", "mae"]
    for metric in ("lpips", "fid", "kid"):
        (line,) = (line for line in printed if line.startswith(f"{metric} was left out: "))
        assert "pip install" in line and line in json.loads(report.read_text(encoding="utf-8"))["notes"]


def test_a_metric_that_was_named_and_is_missing_is_an_error_before_the_work(folders, capsys, bare, monkeypatch):
    monkeypatch.setattr("elsface_lite.metrics.pairs.read_image", lambda path: pytest.fail("the work has begun"))
    for metrics in (["psnr", "lpips"], ["identity"], ["kid", "psnr"]):
        assert main(["evaluate", "--sr", str(folders / "sr"), "--hr", str(folders / "hr"), "--metrics", *metrics]) == 2
        error = capsys.readouterr().err
        assert " cannot be measured: " in error and "pip install" in error and error.count("\n") == 1
    assert main(["evaluate", "--sr", str(folders / "sr"), "--reference", str(folders / "hr")]) == 2
    assert "fid cannot be measured: " in capsys.readouterr().err


def test_a_missing_package_is_told_from_missing_weights(bare, monkeypatch):
    monkeypatch.setattr("elsface_lite.metrics.networks.find_file", lambda name: None)
    with pytest.raises(ElsfaceError, match=r'fid cannot .*torchmetrics .*`pip install "elsface-lite\[metrics\]"`'):
        Evaluator(["fid"])


def test_lpips_that_torchvision_can_download_is_not_left_out(bare, monkeypatch):
    monkeypatch.setattr("elsface_lite.metrics.networks.NEEDS", {"lpips": ("alex", ())})
    assert Evaluator().notes[0].startswith("lpips was left out")
    monkeypatch.setattr("elsface_lite.metrics.networks.downloaded_trunk", lambda net: {})
    assert not Evaluator().notes


def test_versions_of_what_is_not_installed_are_not_named(monkeypatch):
    monkeypatch.setattr("elsface_lite.metrics.report.PACKAGES", ("torch", "no-such-package"))
    assert set(versions()) == {"elsface-lite", "python", "torch"}


def test_people_by_their_places_in_a_table_of_another_program(tmp_path):
    """A mark at the beginning and semicolons, as spreadsheets write them; two pictures of one name."""
    save(tmp_path / "faces", "p1/1.png", "p2/1.png", "p3/1.png")
    table = tmp_path / "people.csv"
    table.write_text("\ufefffile;identity\np1/1.png;p1\np2/1.png;p2\np3/1.png;p3\n", encoding="utf-8")
    words = ("--weights", "bicubic", "--faces", tmp_path / "faces", "--size", 32, *FAST)
    assert [image["name"] for image in report_of(tmp_path, *words)["images"]] == ["p1/1", "p2/1", "p3/1"]
    assert len(report_of(tmp_path, *words, "--people", table, "--held-out", 2)["images"]) == 2
    table.write_text("picture,name\np1/1.png,p1\n", encoding="utf-8")
    with pytest.raises(ElsfaceError, match="picture,name"):
        run(*words, "--people", table, "--held-out", 2)


def test_the_cases_that_people_reported(tmp_path, capsys):
    """../shared/cases/eval: each ends with a table, or with one line."""
    cases = shared("cases/eval/extensions").parent
    codes = {}
    for case in sorted(cases.iterdir()):
        words = ["--sr", str(case / "sr"), "--hr", str(case / "hr"), "--metrics", "psnr"]
        codes[case.name] = main(["evaluate", *words])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("elsface-lite")]
        assert len(lines) == (codes[case.name] == 2)
    assert {name for name, code in codes.items() if code} == {"case", "size_off_by_border", "suffix"}
    words = ["--sr", str(cases / "suffix" / "sr"), "--hr", str(cases / "suffix" / "hr"), "--metrics", "psnr"]
    assert main(["evaluate", *words, "--pattern", "{}_SwinIR"]) == 0


# Metrics of one's own


def test_a_metric_of_ones_own_stands_in_table_and_report(folders, capsys):
    def worst_pixel(sr: Tensor, hr: Tensor) -> Tensor:
        return (sr - hr).abs().amax((1, 2, 3))

    mine = Metric(worst_pixel, "worst", False, "of 1", "the largest difference")
    evaluator = measured(FolderPairs(folders / "sr", folders / "hr"), mine)
    assert "worst" not in IMAGE_METRICS
    assert "of 1, the largest difference" in render_table(evaluator)
    worst = evaluator.values()["worst"].argmax().item()
    assert choose_faces(evaluator)[-1].index == worst
