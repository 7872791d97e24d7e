"""The widget of chapter 03, driven from code: what a reader moves changes what they see, and its numbers are right."""

import time

import pytest
import torch

from elsface_lite.course.widgets import receptive_field_explorer
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig


def network(**changes) -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(hfebs=1, hfeb_blocks=1, **changes)).eval()


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return portraits()["astronaut"][None, :, 30:158, 160:288]


@pytest.mark.parametrize(
    ("control", "value"), [("weights", "random"), ("recursions", 4), ("row", 22), ("column", 5), ("kernel", 7)]
)
def test_every_control_changes_the_picture(face, control, value):
    panel = receptive_field_explorer(network(), face)
    if control == "kernel":
        assert panel.controls["kernel"].disabled
        panel.controls["weights"].value = "random"
        assert not panel.controls["kernel"].disabled
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == 2


@pytest.mark.parametrize(("kernel", "blocks", "recursions"), [(3, 1, 2), (5, 2, 1), (7, 1, 1)])
def test_the_numbers_are_those_of_the_stream(face, kernel, blocks, recursions):
    model = network(cnn_kernel=kernel, cnn_blocks=blocks, cnn_recursions=recursions)
    panel = receptive_field_explorer(model, face)
    panel.controls["row"].value = panel.controls["column"].value = 16
    values, side = panel.values, 1 + 2 * recursions * (1 + blocks * (kernel - 1))
    assert values["theory"] == side
    assert values["theory_share"] == min(side, 32) ** 2 / 32**2
    assert values["parameters"] == sum(parameter.numel() for parameter in model.cnn.parameters())
    weights = sum(parameter.numel() for parameter in model.cnn.parameters() if parameter.ndim == 4)
    assert values["multiply_adds"] == recursions * weights * 32**2
    assert values["effective"] <= values["theory"]
    assert f"{side} × {side} LR pixels" in panel.picture.value


def test_the_energy_is_that_of_exact_gradients(face):
    """The share of the position itself, against the gradients of all channels of a stream that is linear there."""
    model = network(cnn_blocks=0, cnn_recursions=1)
    panel = receptive_field_explorer(model, face)
    kernel = model.cnn.body[0].weight.detach().square().sum((0, 1))
    assert panel.values["centre"] == pytest.approx((kernel[1, 1] / kernel.sum()).item(), rel=0.15)
    with torch.no_grad():
        model.cnn.body[0].weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    panel = receptive_field_explorer(model, face)
    assert panel.values["centre"] == pytest.approx(1)
    assert panel.values["effective"] == 1 and panel.values["theory"] == 3


def test_sides_are_in_lr_pixels_at_twice_the_grid(face):
    model = network(grid=2, cnn_blocks=2, cnn_kernel=5, cnn_recursions=1)
    panel = receptive_field_explorer(model, face)
    assert panel.values["theory"] == 19 / 2
    panel.controls["row"].value = panel.controls["column"].value = 16
    assert panel.values["theory_share"] == 19**2 / 64**2


def test_the_square_is_cut_off_at_the_border(face):
    panel = receptive_field_explorer(network(), face)
    panel.controls["row"].value = panel.controls["column"].value = 0
    assert panel.values["theory"] == 13
    assert panel.values["theory_share"] == 7**2 / 32**2


def test_the_model_is_left_as_it_was(face):
    model = network()
    before = torch.get_rng_state()
    panel = receptive_field_explorer(model, face)
    panel.controls["recursions"].value = 4
    panel.controls["weights"].value = "random"
    assert model.cnn.recursions == model.config.cnn_recursions
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(before, torch.get_rng_state())


def test_a_redraw_is_quick(face):
    panel = receptive_field_explorer(network(), face)
    start = time.process_time()
    for row in (4, 10, 20, 28):
        panel.controls["row"].value = row
    # CPU time of both cores, so that neighbours do not count; a generous multiple of what one takes.
    assert (time.process_time() - start) / 4 < 0.3


def test_what_cannot_be_shown_is_refused(face):
    with pytest.raises(ElsfaceError, match="no CNN stream"):
        receptive_field_explorer(network(streams="transformer"), face)
    for odd in (face[0], face[:, :1], face[..., :-1], torch.cat([face, face])):
        with pytest.raises(ElsfaceError, match=r"give one, \(1, 3, h, w\)"):
            receptive_field_explorer(network(), odd)
