"""The widgets of chapter 06: what they draw of a run is what the run did."""

import base64
import re
import time
from pathlib import Path

import pytest
import torch
from torchvision.utils import make_grid

from elsface_lite.course.widgets import progress_slider, training_curves
from elsface_lite.data.images import write_png
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.weights import WEIGHTS

PANELS = ("loss", "PSNR of validation faces, dB", "learning rate")


def drawing(box) -> str:
    """The last SVG of a widget, as text."""
    return base64.b64decode(re.findall(r"svg\+xml;base64,([^\"]+)", box.picture.value)[-1]).decode()


def records(steps: int) -> list[dict[str, float]]:
    rows = [{"step": step, "loss": 1 / step, "learning_rate": 1e-3 / step} for step in range(1, steps + 1)]
    for row in rows[4::5]:
        row["psnr"] = 20 + row["step"]
    return rows


def test_curves_grow_with_each_record():
    curves = training_curves(bicubic=22.5)
    assert "waiting" in curves.picture.value and "nothing yet" in drawing(curves)
    shown = set()
    for record in records(10):
        curves.report(record)
        shown.add(curves.picture.value)
    assert len(shown) == 10
    assert all(title in drawing(curves) for title in PANELS) and "bicubic 22.50" in drawing(curves)
    assert "step 10, loss 0.1000, PSNR 30.00 dB" in curves.picture.value
    assert 'alt="Training curves to step 10: loss from 1.0000 to 0.1000' in curves.picture.value
    assert "validation PSNR from 25.00 to 30.00 dB; bicubic 22.50 dB" in curves.picture.value


def test_a_resumed_run_takes_the_place_of_the_steps_that_it_does_again():
    curves = training_curves()
    for record in records(8):
        curves.report(record)
    curves.report({"step": 5, "loss": 0.5, "learning_rate": 1e-3})
    assert [record["step"] for record in curves.records] == [1, 2, 3, 4, 5]
    assert curves.records[-1]["loss"] == 0.5


@pytest.mark.parametrize(("control", "value"), [("smooth", 10), ("start", 0.5)])
def test_every_control_changes_the_curves(control, value):
    curves = training_curves()
    for record in records(40):
        curves.report(record)
    before = drawing(curves)
    curves.controls[control].value = value
    assert drawing(curves) != before


def test_smoothing_is_a_mean_of_the_last_values():
    curves = training_curves()
    for step in range(1, 7):
        curves.report({"step": step, "loss": float(step % 2)})
    corners = re.findall(r'points="([^"]*)"', drawing(curves))
    assert corners[0] == corners[1]
    curves.controls["smooth"].value = 3
    heights = [float(corner.split(",")[1]) for corner in re.findall(r'points="([^"]*)"', drawing(curves))[1].split()]
    one, zero = heights[0], next(float(c.split(",")[1]) for c in corners[0].split()[1:])
    means = [(zero - y) / (zero - one) for y in heights]
    assert means == pytest.approx([1, 1 / 2, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3], abs=0.01)  # the last one twice


def test_odd_values_are_drawn_or_left_out():
    curves = training_curves()
    for step, loss in enumerate([0.5, float("nan"), float("inf"), 0.5, -0.1], 1):
        curves.report({"step": step, "loss": loss})
    assert "nan" not in drawing(curves) and "inf" not in drawing(curves)
    single = training_curves()
    single.report({"step": 1, "loss": 0.0, "psnr": 30.0, "learning_rate": 0.0})
    assert all(title in drawing(single) for title in PANELS)


def test_a_constant_rate_is_drawn_at_its_height():
    curves = training_curves()
    for step in (1, 2):
        curves.report({"step": step, "loss": 0.5, "learning_rate": 0.002})
    assert ">0.002<" in drawing(curves) and ">-0.2<" not in drawing(curves)


@pytest.mark.parametrize("log", sorted(WEIGHTS.glob("*.csv")), ids=lambda path: path.stem)
def test_the_logs_of_the_shipped_weights_are_drawn_quickly(log):
    curves = training_curves(log)
    assert len(curves.records) == len(log.read_text(encoding="utf-8").splitlines()) - 1
    assert any("psnr" in record for record in curves.records)
    start = time.process_time()
    curves.controls["smooth"].value = 25
    # A generous multiple of the few ms that one takes; processor time, for the tests may share the machine.
    assert time.process_time() - start < 0.15


def test_a_log_of_a_running_or_an_odd_run(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,loss,psnr\n20,0.5,\n40,0.25,25\n60,0.2", encoding="utf-8")
    assert training_curves(log).records == [
        {"step": 20, "loss": 0.5}, {"step": 40, "loss": 0.25, "psnr": 25}, {"step": 60, "loss": 0.2}
    ]  # fmt: skip
    log.write_text("step,loss\n", encoding="utf-8")
    assert "waiting" in training_curves(log).picture.value
    log.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ElsfaceError, match="no column `step`"):
        training_curves(log)
    with pytest.raises(ElsfaceError, match="cannot read the log"):
        training_curves(tmp_path / "nothing.csv")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Three sheets as `Run.save_samples` writes them: two faces, nearer to HR at each step."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    lr, bicubic, hr = torch.rand(3, 2, 3, 64, 64)
    for step, error in ((20, 0.4), (40, 0.2), (60, 0.1)):
        sr = (hr + error * (0.5 - hr)).clamp(0, 1)
        rows = torch.stack([lr, bicubic, sr, hr], 1).flatten(0, 1)
        write_png(make_grid(rows, nrow=4, padding=2, pad_value=1), folder / "samples" / f"{step:07d}.png")
    return folder


def test_progress_shows_the_face_at_each_validation(run):
    panel = progress_slider(run)
    shown = {}
    for step in panel.controls["step"].options:
        panel.controls["step"].value = step
        shown[step] = panel.picture.value
        assert f"step {step}, {panel.psnr[step]:.2f} dB" in panel.picture.value
    assert list(shown) == [20, 40, 60] and len(set(shown.values())) == 3
    assert panel.psnr[40] - panel.psnr[20] == pytest.approx(6.02, abs=0.1)
    assert panel.picture.value.count("<img alt=") == 5


def test_the_face_menu_shows_another_face(run):
    panel = progress_slider(run)
    before, first = panel.picture.value, dict(panel.psnr)
    panel.controls["face"].value = 1
    assert panel.picture.value != before and panel.psnr != first


def test_progress_is_redrawn_quickly(run):
    panel = progress_slider(run)
    start = time.process_time()
    for step in (40, 60, 20):
        panel.controls["step"].value = step
    assert (time.process_time() - start) / 3 < 0.15


def test_no_run_and_odd_sheets_are_refused(tmp_path):
    with pytest.raises(ElsfaceError, match="no sheet of samples"):
        progress_slider(tmp_path)
    write_png(torch.rand(3, 30, 50), tmp_path / "samples" / "0000001.png")
    with pytest.raises(ElsfaceError, match="is no sheet"):
        progress_slider(tmp_path)
