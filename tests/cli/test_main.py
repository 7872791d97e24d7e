"""The command line as a user types it: what is printed, what is written, and the exit code."""

import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from PIL import Image
from png import png_bytes

import elsface_lite
from elsface_lite import ELSFace, ELSFaceConfig, downscale, pretrained_names, read_image, save_pretrained, write_png
from elsface_lite.cli.main import COMMANDS, main
from elsface_lite.cli.terminal import color, complain
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.inference.info import ready

TINY = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "out_channels": 4}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_pretrained(ELSFace(ELSFaceConfig.lite(**TINY)), path)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one good photograph in it."""
    write_png(downscale(portraits()["astronaut"][None], 4)[0], tmp_path / "photos" / "good.png")
    return tmp_path / "photos"


def run(capsys: pytest.CaptureFixture, *words: str | Path) -> tuple[int, str, list[str]]:
    """The exit code, stdout, and the lines of stderr, of which each must be a clear one."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert "Traceback" not in out + err
    assert all(line.startswith("elsface-lite: ") for line in lines)
    return code, out, lines


def files(folder: Path) -> list[str]:
    """All but the record of `restore`."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else ()
    return sorted(name for name in found if not name.endswith(".jsonl"))


def test_restore_a_photograph(capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, errors = run(capsys, "restore", photos / "good.png", "--out", out, "--weights", weights)
    assert (code, errors) == (0, [])
    head, row, searched, last = text.splitlines()
    assert head.split() == ["picture", "faces", "restored", "seconds"] and row.split()[:3] == [
        str(photos / "good.png"),
        "1",
        "1",
    ]
    assert searched == "searched for faces of 14 pixels or more; --smallest changes that"
    assert last == f"1 restored, 0 failed: see {out}"
    assert 140 < read_image(out / "good.png").shape[-1] < 170  # four times the face
    code, _, _ = run(capsys, "restore", photos, "--paste", "--out", tmp_path / "pasted", "--weights", weights)
    assert code == 0
    assert read_image(tmp_path / "pasted" / "good.png").shape == (3, 512, 512)


def test_restore_lr_faces(capsys: pytest.CaptureFixture, weights: str, tmp_path: Path) -> None:
    for number in range(3):
        write_png(torch.rand(3, 32, 32), tmp_path / "lr" / f"{number}.png")
    words = ["restore", tmp_path / "lr", "--lr", "--out", tmp_path / "out", "--weights", weights]
    code, text, _ = run(capsys, *words, "--batch-size", "2", "--device", "cpu")
    assert code == 0
    assert text == f"3 restored, 0 failed: see {tmp_path / 'out'}\n"
    assert files(tmp_path / "out") == ["0.png", "1.png", "2.png"]


def test_what_was_done_is_written_and_shown(
    capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table, JSON, lists of faces out and in; and a face that is left alone says why."""
    (photos / "notes.txt").write_text("no picture", encoding="utf-8")
    words = ["restore", photos, "--out", tmp_path / "out", "--weights", weights, "--paste", "--size-as-input"]
    code, text, _ = run(capsys, *words, "--json", tmp_path / "r.json", "--boxes-out", tmp_path / "boxes.json")
    assert code == 0 and "1 files passed over, which are no pictures: 1 .txt" in text
    assert read_image(tmp_path / "out" / "good.png").shape == (3, 128, 128)
    (row,) = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert row["files"] == [str(tmp_path / "out" / "good.png")] and row["faces"][0]["judgement"] == "restored"
    monkeypatch.setattr("elsface_lite.inference.work.search", None)  # the list is enough
    monkeypatch.setattr("elsface_lite.inference.judge.LARGEST", 20)
    code, text, _ = run(capsys, *words, "--resume")
    assert code == 0 and text.splitlines()[0] == f"0 restored, 0 failed, 1 were there: see {tmp_path / 'out'}"
    code, text, _ = run(capsys, *words, "--faces", tmp_path / "boxes.json")
    assert code == 0 and "large as it is, with 39 pixels" in text and "0 restored, 0 failed, 1 left as they are" in text
    assert "searched" not in text


def test_quiet_says_nothing_and_a_long_table_is_cut(
    capsys: pytest.CaptureFixture, weights: str, tmp_path: Path
) -> None:
    photo = downscale(portraits()["astronaut"][None], 4)[0]
    for number in range(3):
        write_png(photo, tmp_path / "in" / f"{number}.png")
    words = ["restore", tmp_path / "in" / "*.png", "--out", tmp_path / "out", "--weights", weights]
    assert run(capsys, *words, "--quiet") == (0, "", [])
    from elsface_lite.cli import restore

    restore.ROWS, before = 2, restore.ROWS
    try:
        cut, whole = run(capsys, *words)[1], run(capsys, *words, "--verbose")[1]
    finally:
        restore.ROWS = before
    assert "and 1 more: --verbose shows all" in cut and cut.count(".png") == 2 and whole.count(".png") == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--weights", "mine.onnx"], "say --runtime onnx"),
        (["--device", "privateuseone:0"], "the device 'privateuseone:0' cannot be used here"),
        (["--faces", "gone.json"], "cannot read gone.json"),
        (["--scale", "2"], "give paste as well"),
        (["--quality", "200"], "1 to 100"),
    ],
)
def test_what_cannot_be_is_one_line(capsys: pytest.CaptureFixture, photos: Path, words: list[str], says: str) -> None:
    code, text, (line,) = run(capsys, "restore", photos, "--out", photos / "out", *words)
    assert (code, text) == (2, "") and says in line


def bad_inputs(folder: Path) -> dict[str, str]:
    """Makes every bad input that there is; gives what must be said of each."""
    folder.mkdir()
    good = folder / "whole.jpg"
    Image.new("RGB", (64, 64), "teal").save(good)
    (folder / "text.png").write_text("This is a text.", encoding="utf-8")
    (folder / "zero.png").touch()
    (folder / "half.jpg").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "huge.png").write_bytes(png_bytes(20_000, 20_000, 8, 2, b""))
    (folder / "empty").mkdir()
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    good.rename(folder / "faceless.jpg")
    return {
        "text.png": "not an image",
        "zero.png": "is empty",
        "half.jpg": "is damaged",
        "huge.png": "too large (20000x20000",
        "empty": "holds no image",
        "one.png": "no face found",
        "faceless.jpg": "no face found",
        "nowhere.png": "does not exist",
    }


@pytest.mark.parametrize("paste", [False, True])
def test_every_bad_input_is_one_line_and_the_others_are_done(
    capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path, paste: bool
) -> None:
    bad = bad_inputs(tmp_path / "bad")
    out = tmp_path / "out"
    inputs = [tmp_path / "bad" / name for name in bad]
    words = ["restore", *inputs, photos, "--out", out, "--weights", weights] + ["--paste"] * paste
    code, text, errors = run(capsys, *words)
    assert code == 2
    assert text.splitlines()[-1] == f"1 restored, {len(bad)} failed: see {out}"
    assert len(errors) == len(bad)
    for (name, says), line in zip(bad.items(), errors, strict=True):
        assert name in line
        assert says in line
    assert files(out) == ["good.png"]


@pytest.mark.parametrize(
    "name", ["text.png", "half.jpg", "huge.png", "empty", "one.png", "faceless.jpg", "nowhere.png"]
)
def test_each_bad_input_alone(capsys: pytest.CaptureFixture, weights: str, tmp_path: Path, name: str) -> None:
    says = bad_inputs(tmp_path / "bad")[name]
    words = ["restore", tmp_path / "bad" / name, "--out", tmp_path / "out", "--weights", weights]
    code, text, (line,) = run(capsys, *words)
    assert code == 2 and text.splitlines()[-1] == "0 restored, 1 failed"
    assert says in line
    assert files(tmp_path / "out") == []


def test_an_unwritable_folder(capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        code, text, (line,) = run(capsys, "restore", photos, "--out", out, "--weights", weights)
        assert (code, text) == (2, "")
        assert "cannot write into" in line
        assert "Choose another folder" in line
    assert files(tmp_path) == ["file", "photos", "photos/good.png"]


def test_wrong_or_damaged_weights(capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(Path(weights).read_bytes()[:-1])
    for name, says in (("nothing-x9", "there are no weights 'nothing-x9'"), (str(damaged), "is damaged")):
        code, text, (line,) = run(capsys, "restore", photos, "--out", tmp_path / "out", "--weights", name)
        assert (code, text) == (2, "")
        assert says in line
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path) -> None:
    words = ["restore", photos, "--out", tmp_path / "out", "--weights", weights, "--device", "warp-drive"]
    code, _, (line,) = run(capsys, *words)
    assert code == 2
    assert "'cpu'" in line


def test_an_interruption_is_quiet(
    capsys: pytest.CaptureFixture, photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("elsface_lite.data.photograph.Photograph.write", stop)
    code, _, (line,) = run(capsys, "restore", photos, "--out", tmp_path / "out", "--weights", weights)
    assert code == 130
    assert "interrupted" in line
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["restore"], "required: INPUT"),
        (["restore", "a.png", "--format", "jpgg"], "--format: invalid choice: 'jpgg'"),
        (["restore", "a.png", "--wieghts", "x"], "there is no --wieghts (did you mean --weights?)"),
    ],
)
def test_a_wrong_command_line_is_explained(capsys: pytest.CaptureFixture, words: list[str], says: str) -> None:
    code, text, (line,) = run(capsys, *words)
    assert (code, text) == (2, "") and says in line and line.endswith("see elsface-lite restore --help.")


def test_info_can_be_pasted_into_a_bug_report(capsys: pytest.CaptureFixture) -> None:
    code, text, errors = run(capsys, "info")
    assert (code, errors) == (0, [])
    for part in (elsface_lite.__version__, torch.__version__, "device", "threads", "ORL faces", "face detection"):
        assert part in text
    for name in pretrained_names():
        assert f"{name}: ok" in text
    assert str(Path.home()) not in text


def refuse(name: str) -> None:
    raise ElsfaceError(f"{name} needs a pretrained network that is not installed.")


def test_info_says_what_is_missing(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"broken")
    monkeypatch.setattr("elsface_lite.network.pretrained.WEIGHTS", tmp_path)
    monkeypatch.setattr("elsface_lite.inference.info.PACKAGES", ("torch", "no-such-package"))
    code, text, _ = run(capsys, "info")
    assert code == 0
    assert "no-such-package not installed" in text
    assert "damaged" in text
    said = ready()
    assert said.startswith("Not ready:\nweights: broken: ") and "damaged" in said
    monkeypatch.undo()
    monkeypatch.setattr("elsface_lite.inference.info.find_file", refuse)
    assert ready().startswith("Ready. Optional, and not installed: LPIPS (AlexNet), LPIPS (VGG16), ")
    monkeypatch.setattr("elsface_lite.inference.info.find_file", lambda name: None)
    assert ready() == "Ready."


@pytest.mark.slow
def test_demo_measures_and_draws(capsys: pytest.CaptureFixture, weights: str, tmp_path: Path) -> None:
    code, text, errors = run(capsys, "demo", "--out", tmp_path, "--weights", weights)
    assert (code, errors) == (0, [])
    rows = {line.split()[0]: [float(number) for number in line.split()[1:]] for line in text.splitlines()[2:6]}
    assert set(rows) == {"astronaut", "grace_hopper", "made_up_0", "made_up_12"}
    for bicubic_psnr, bicubic_ssim, psnr, ssim in rows.values():
        assert 15 < bicubic_psnr < 30
        assert 0.4 < bicubic_ssim < 0.9
        assert psnr > 5
        assert 0 < ssim < 1
    steps = [f"{name}-{step}.png" for name in rows for step in ("bicubic", "elsface", "hr", "lr")]
    assert files(tmp_path) == sorted(["demo.png", *steps])
    assert read_image(tmp_path / "astronaut-lr.png").shape == (3, 32, 32)
    assert read_image(tmp_path / "astronaut-elsface.png").shape == (3, 128, 128)


@pytest.mark.slow
def test_the_demo_is_better_than_bicubic_with_the_shipped_weights(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    _, text, _ = run(capsys, "demo", "--out", tmp_path)
    for line in text.splitlines()[2:6]:
        bicubic_psnr, bicubic_ssim, psnr, ssim = (float(number) for number in line.split()[1:])
        assert psnr > bicubic_psnr + 0.5
        assert ssim > bicubic_ssim + 0.03


def test_the_version_is_one(capsys: pytest.CaptureFixture) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == elsface_lite.__version__
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"elsface-lite {elsface_lite.__version__}\n"


def test_package_and_command_import_nothing_heavy() -> None:
    heavy = {
        "torch",
        "skimage",
        "scipy",
        "matplotlib",
        "torchvision",
        "torchmetrics",
        "lpips",
        "ipywidgets",
        "accelerate",
    }
    program = (
        "import sys, runpy, elsface_lite.cli.main\n"
        f"print(sorted({heavy!r} & set(sys.modules)))\n"
        "sys.argv = ['elsface-lite', '--version']\n"
        "runpy.run_module('elsface_lite', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines() == ["[]", f"elsface-lite {elsface_lite.__version__}"], done.stderr


def test_help_lists_the_commands_without_importing_them(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert all(command in listed for command in COMMANDS)


def test_every_public_name_is_there() -> None:
    for name in elsface_lite.__all__:
        assert getattr(elsface_lite, name) is not None
    assert callable(elsface_lite.restore)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["restores", "a.jpg"], "there is no command 'restores' (did you mean restore?): choose restore, evaluate"),
        (["fly"], "there is no command 'fly': choose restore"),
        (["train", "--faces", "x", "--out", "y", "--set", "train.epoch=3"], "no field epoch (did you mean epochs?)."),
        (["train", "--faces", "x", "--out", "y", "--start", "lite-x5"], "no weights 'lite-x5' (did you mean lite-x"),
        (["evaluate", "--sr", "x", "--hr", "y", "--metrics", "psnt"], "no metric 'psnt' (did you mean psnr?)"),
    ],
)
def test_a_slip_of_the_pen_is_understood(capsys: pytest.CaptureFixture, words: list[str], says: str) -> None:
    code, _, (line,) = run(capsys, *words)
    assert code == 2 and says in line


def test_the_bare_command_is_its_help(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    text = capsys.readouterr().out
    assert left.value.code == 0 and "examples:" in text and all(command in text for command in COMMANDS)


def test_numbers_are_whole_and_positive(capsys: pytest.CaptureFixture) -> None:
    for text in ("0", "-1", "abc", "1.5"):
        code, _, (line,) = run(capsys, "evaluate", "--size", text)
        assert code == 2 and f"--size: '{text}' is no whole number from 1 on" in line


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_breaks_an_error_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    complain("face.png: no face found of 20 pixels or more (200x200)")
    assert screen.getvalue() == (
        "elsface-lite: \033[31merror:\033[0m face.png: no face\nfound of 20 pixels or more (200x200)\n"
    )


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert color("error:", "red", Screen()) == "\033[31merror:\033[0m"
    assert color("error:", "red", io.StringIO()) == "error:"
    monkeypatch.setenv("NO_COLOR", "1")
    assert color("error:", "red", Screen()) == "error:"
