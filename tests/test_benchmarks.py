"""The benchmarks' page agrees with their tables, and what they measure is what they say."""

import csv
import time

import pytest
import torch
from conftest import ROOT
from programs import program
from torch.nn.functional import avg_pool2d

from elsface_lite.course.faces import made_up_people
from elsface_lite.data.degradation import generator
from elsface_lite.data.images import write_png
from elsface_lite.data.inputs import as_image
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.weights import load_pretrained, pretrained_names

FOLDER = ROOT / "benchmarks"
TABLES = ("inference", "parts", "training", "scaling", "imports")


PULLED = """\
import ipywidgets, torch
from elsface_lite.course.widgets.live import Panel, Picture
from elsface_lite.course.widgets.pictures import picture_html

def panel(live):
    slider, box = ipywidgets.FloatSlider(min=0, max=1, step=0.01, description="grey", continuous_update=live), Panel()
    box.picture = Picture()
    def draw(change=None):
        box.picture.value = picture_html(torch.full((3, 8, 8), slider.value), "grey", f"{slider.value}")
    slider.observe(draw, names="value")
    draw()
    box.children = [slider, box.picture]
    return box"""


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """The programs import each other as they do when they are started."""
    monkeypatch.syspath_prepend(FOLDER)


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_of_one_machine_and_two_threads():
    rows = [row for name in TABLES for row in read(name)]
    assert len({row["machine"] for row in rows}) == 1
    assert {row["threads"] for row in rows} == {"2"}


def test_table_of_the_gpu_names_one_card_and_stays_below_its_ceilings():
    rows = read("gpu")
    assert len({row["machine"] for row in rows}) == 1
    assert {row["what"] for row in rows} == {"ceiling", "training", "inference"}
    assert all(0 < float(row["share"]) <= 1 for row in rows if row["what"] == "inference")


def test_the_gpu_benchmark_says_what_it_needs(monkeypatch):
    gpu = program("benchmarks/gpu.py")
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA GPU"):
        gpu.main()


def test_parts_are_those_of_the_shipped_weights():
    gmac = {row["network"]: float(row["gmac"]) for row in read("parts") if row["part"] == "all"}
    parts = program("benchmarks/parts.py")
    models = {name: load_pretrained(name) for name in pretrained_names()}
    assert {model.config for model in models.values()} == {models[name].config for name in gmac if name in models}
    for name in gmac.keys() & models.keys():  # the others are of these networks, trained otherwise
        model = models[name]
        side = 128 // model.config.scale
        with torch.inference_mode():
            assert parts.gmac(model, torch.rand(1, 3, side, side))["all"] == pytest.approx(gmac[name], rel=1e-3), name


@pytest.mark.slow
def test_page_is_drawn_from_the_tables(tmp_path):
    page = program("benchmarks/page.py")
    page.main(tmp_path)
    names = {"goals.csv", *(f"{name}.svg" for name in page.FIGURES)}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: python benchmarks/page.py"


def test_seconds_are_those_that_pass():
    timing = program("benchmarks/timing.py")
    waits = {"short": 0.002, "long": 0.15}
    measured = timing.seconds({name: lambda wait=wait: time.sleep(wait) for name, wait in waits.items()}, rounds=3)
    for name, wait in waits.items():
        assert wait <= measured[name] < 5 * wait


def test_plain_network_is_the_same_function():
    inference = program("benchmarks/inference.py")
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.paper(hfebs=1, depth=2)).eval()
    lr = torch.rand(2, 3, 24, 32)
    with torch.inference_mode():
        expected = model(lr)
        assert (inference.plain(model)(lr) - expected).abs().max() < 1e-5
        assert inference.plain(model).transformer.rstb.layers[0].attention.forward.func is inference.explicit_attention


def test_parts_make_the_whole():
    parts = program("benchmarks/parts.py")
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(channels=16, hfeb_blocks=1)).eval()
    rows = {row["part"]: row for row in parts.rows_of("small", model, torch.float32)}
    assert set(rows) == {*parts.PARTS, "all", "rest"}
    assert rows["all"]["milliseconds"] == pytest.approx(
        sum(row["milliseconds"] for name, row in rows.items() if name != "all")
    )
    # The bicubic skip, which is no part, counts no multiply-adds.
    assert rows["all"]["gmac"] == pytest.approx(sum(rows[name]["gmac"] for name in parts.PARTS))


@pytest.mark.slow
def test_networks_are_measured_beside_each_other(faces, tmp_path, monkeypatch):
    """Also where HR has fewer pixels than SR: LR faces of 32 pixels, of HR faces of 64."""
    perception, table = program("benchmarks/perception.py"), tmp_path / "table.csv"
    words = ["--networks", "bicubic", "lite-x4", "--metrics", "psnr", "ssim", "--first", "2"]
    words += ["--degradation", "blind", "--side", "32"]
    psnr = {}
    for size in (64, 128):
        monkeypatch.setattr("sys.argv", ["x", "--faces", str(faces), *words, "--size", str(size), "--csv", str(table)])
        perception.main()
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["network"] for row in rows] == ["bicubic", "bicubic", "lite-x4", "lite-x4"]
        assert {tuple(row[key] for key in ("n", "side", "degradation", "sharpness")) for row in rows} == {
            ("2", "32", "blind", "0")
        }
        psnr[size] = float(rows[0]["mean"])
    assert 15 < psnr[128] < psnr[64] < 40, "of a face that is half as wide, each LR pixel holds twice as much"


def test_the_page_opens_with_what_the_tables_say():
    page = program("benchmarks/page.py")
    opening = (FOLDER / "README.md").read_text(encoding="utf-8").split("![")[0]
    measured = {row["what"].replace("the same", "it"): row["measured"] for row in page.table("goals")}
    float32, half = (page.fastest("lite-x4", 1, forms) for forms in (page.FLOAT32, page.BFLOAT16))
    for form, row in (("float32", float32), ("bfloat16", half)):
        assert f"{float(row['milliseconds a face']):.0f} ms" in opening and form in opening
    plain = measured["it in bfloat16, times as fast as plain float32"]
    assert all(f"{times} times" in opening for times in plain.split(" and "))
    (times,) = [value for what, value in measured.items() if "paper's network in torch.compile" in what]
    assert f"{times} times as long" in opening
    assert f"{28_600:,} faces a second" in opening and "| 28,600 |" in (FOLDER / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_the_slider_is_measured_and_drawn(faces, tmp_path, monkeypatch):
    """A block of rows for each sharpness, and a curve of each metric over them."""
    perception, page = program("benchmarks/perception.py"), program("benchmarks/page.py")
    asked, table = [], tmp_path / "sharpness.csv"
    load = lambda name, sharpness: asked.append(sharpness) or load_pretrained(name)  # noqa: E731
    monkeypatch.setattr(perception, "load_pretrained", load)
    words = ["--networks", "lite-x4", "--sharpness", "0", "0.5", "1", "--metrics", "psnr", "lpips", "--first", "2"]
    monkeypatch.setattr("sys.argv", ["x", "--faces", str(faces), *words, "--csv", str(table)])
    perception.main()
    with table.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert asked == [0, 0.5, 1] and [row["sharpness"] for row in found[::2]] == ["0", "0.5", "1"]
    more = [row | {"metric": metric, "low": ""} for row in found[::2] for metric in ("fid", "identity")]
    monkeypatch.setattr(page, "table", lambda name: found + more)
    assert page.draw_sharpness().axes[0].get_ylabel() == "PSNR, dB, n = 2"


@pytest.mark.slow
def test_kinds_are_those_of_the_files_and_of_the_cheeks(tmp_path, monkeypatch):
    """Grey of two brightnesses with a yellow tint: the light half is light, the dark half is dark."""
    kinds, metrics = program("benchmarks/kinds.py"), ["psnr", "lpips"]  # the distance of identities needs dlib
    monkeypatch.setattr(kinds, "METRICS", metrics)
    monkeypatch.setattr(kinds, "ORDER", "lpips")
    noise = torch.Generator().manual_seed(0)
    for name, level in (("lab_0", 0.85), ("lab_1", 0.85), ("ai_0", 0.2), ("ai_1", 0.2)):
        face = level + 0.02 * torch.randn(3, 128, 128, generator=noise) - torch.tensor([0, 0, 0.08])[:, None, None]
        write_png(face.clamp(0, 1), tmp_path / f"{name}.png")
    words = ["--faces", str(tmp_path), "--networks", "bicubic", "lite-x4"]
    monkeypatch.setattr("sys.argv", ["x", *words, "--csv", str(tmp_path / "t.csv"), "--sheet", str(tmp_path / "s.png")])
    kinds.main()
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["network"], row["kind"], row["metric"]): row for row in csv.DictReader(file)}
    assert {kind: rows["lite-x4", kind, "psnr"]["n"] for _, kind, _ in rows} == {
        "all": "4", "ai": "2", "lab": "2", "skin: light": "2", "skin: dark": "2",
    }  # fmt: skip
    for metric in metrics:
        assert rows["lite-x4", "lab", metric]["mean"] == rows["lite-x4", "skin: light", metric]["mean"]
    assert float(rows["bicubic", "all", "psnr gain"]["mean"]) == 0
    sheet = as_image(tmp_path / "s.png")
    assert sheet.shape == (3, 4 * 130 + 2, 3 * 130 + 2)  # no face twice


@pytest.mark.slow
def test_a_widget_is_pulled(tmp_path, monkeypatch):
    """One that answers while it is pulled, and one that waits until it is let go."""
    program_ = program("benchmarks/widgets.py")
    monkeypatch.setattr(program_, "__file__", str(tmp_path / "widgets.py"))
    monkeypatch.setattr(program_, "STEPS", 1)
    monkeypatch.setattr(program_, "SET_UP", PULLED)
    monkeypatch.setattr(program_, "WIDGETS", {"answers": "panel(True)", "waits": "panel(False)"})
    program_.main()
    with (tmp_path / "widgets.csv").open(encoding="utf-8", newline="") as file:
        answers, waits = csv.DictReader(file)
    assert answers["pulled"] == waits["pulled"] == "grey"
    assert 1 <= int(answers["redraws in 60 moves"]) <= 60 and 0 < float(answers["behind, first, ms"]) < 3000
    assert waits["redraws in 60 moves"] == "0" and waits["behind, first, ms"] == ""


def test_degradations_do_one_thing_at_a_time():
    """Of six seeds: blur takes detail away, noise leaves more than clean pixels have, and JPEG about as much."""
    perception, hr = program("benchmarks/perception.py"), made_up_people()[0][:, ::2, ::2]

    def detail(name: str) -> float:
        spoil = perception.degradation_of(name, 4)
        lr = torch.stack([spoil(hr, generator(seed)) for seed in range(6)])
        return (lr - avg_pool2d(lr, 3, 1, 1)).square()[..., 1:-1, 1:-1].mean().item()

    clean = detail("bicubic")
    assert detail("blur") < 0.8 * clean
    assert detail("noise") > 1.05 * clean
    assert 0.8 * clean < detail("jpeg") < 1.05 * clean


def test_what_was_saved_once_is_hardly_changed_by_being_saved_again():
    """Halved colours, too: red and blue in turns, from pixel to pixel, are one colour afterwards."""
    saved = program("benchmarks/perception.py").saved
    face = made_up_people()[0][:, ::2, ::2]
    once = saved(face, 75)
    assert once.shape == face.shape
    assert 0 < 3 * (saved(once, 75) - once).abs().mean() < (once - face).abs().mean()
    stripes = torch.zeros(3, 16, 16)
    stripes[0, :, ::2], stripes[2, :, 1::2] = 0.6, 0.6
    assert (stripes[0] - stripes[2]).std() > 8 * (saved(stripes, 98)[0] - saved(stripes, 98)[2]).std()


def test_the_page_of_photographs_sums_up_the_table_of_finding():
    with (FOLDER / "finding.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    faces, none = ([row for row in rows if (row["there"] != "0") == there] for there in (True, False))
    names = ("there", "found before", "found")
    sums = [sum(int(row[name]) for row in some) for some in (faces, none) for name in names]
    said = "Of 508 faces in all it found 261, with one false alarm; now 445 are found, with 14."
    assert sums == [508, 261, 445, 0, 1, 14] and said in (ROOT / "docs/photographs.md").read_text(encoding="utf-8")
