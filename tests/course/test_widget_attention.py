"""The widgets of chapter 04, driven from code: the pictures follow, and the numbers are right."""

import base64
import re
import time
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
import torch
from clicks import click
from PIL import Image

from elsface_lite.course.frequency import band_psnr
from elsface_lite.course.widgets import attention_explorer, hfeb_explorer
from elsface_lite.course.widgets.hfeb import BANDS, IDLE
from elsface_lite.data.degradation import downscale, quantize
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.transformer import WindowAttention


@pytest.fixture(scope="module")
def faces() -> dict[str, torch.Tensor]:
    photographs = portraits()
    return {"astronaut": photographs["astronaut"][:, 30:158, 160:288], "other": photographs["astronaut"][:, :128, :128]}


def small(**changes) -> ELSFace:
    torch.manual_seed(0)
    sizes = dict(channels=16, depth=2, rstb_recursions=2, hfebs=2, hfeb_blocks=1)
    model = ELSFace(ELSFaceConfig.lite(**sizes | changes)).eval()
    torch.nn.init.normal_(model.transformer.rstb.layers[-1].attention.bias_table, std=1.0)
    torch.nn.init.normal_(model.upsample[-1].weight, std=0.1)  # it starts at zero
    return model


@pytest.fixture(scope="module")
def model() -> ELSFace:
    return small()


@pytest.mark.parametrize(
    ("control", "value"), [("face", "other"), ("row", 3), ("column", 30), ("head", 2), ("layer", 3)]
)
def test_every_control_of_the_attention_changes_the_picture(model, faces, control, value):
    panel = attention_explorer(model, faces)
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == 4


def decoded(html: str) -> list[torch.Tensor]:
    """The pictures of a panel that are WebP, in their order: (h, w, 3) each."""
    found = re.findall(r"data:image/webp;base64,([^\"]+)", html)
    return [torch.from_numpy(np.array(Image.open(BytesIO(base64.b64decode(data))).convert("RGB"))) for data in found]


def test_both_maps_have_one_scale_and_a_ring_around_the_token_that_asks(model, faces):
    """Equal weights have equal colours in both, and the scale beside them says how much yellow is."""
    panel = attention_explorer(model, {"astronaut": faces["astronaut"]})
    panel.controls["row"].value, panel.controls["column"].value, panel.controls["head"].value = 11, 10, 1
    _, *maps = decoded(panel.picture.value)
    highest = max(panel.values[name].max().item() for name in ("weights", "by_place"))
    assert f"yellow {100 * highest:.1f} %; even weights would be 1.6 %" in panel.picture.value
    for name, shown in zip(("weights", "by_place"), maps, strict=True):
        middles = shown[12::24, 12::24].numpy() / 255
        expected = mpl.colormaps["viridis"]((panel.values[name] / highest).numpy())[..., :3]
        np.testing.assert_allclose(middles, expected, atol=0.01)
        corners = shown[::24, ::24].float() / 255 - torch.tensor([0.90, 0.62, 0.0])
        assert (corners.abs().amax(-1) < 0.01).nonzero().tolist() == [[3, 2]]


def test_a_token_and_a_face_are_clicked(model, faces):
    panel = attention_explorer(model, faces)
    assert 'data-grid="32 32" data-at="12 12"' in panel.picture.value
    click(panel.picture, row=3, column=30)
    assert 'data-at="3 30"' in panel.picture.value and "row 3, column 30" in panel.picture.value
    click(panel.children[0], pick=1)
    assert panel.controls["face"].value == "other"
    assert 'data-pick="1" aria-checked="true"' in panel.children[0].value
    assert 'data-pick="0" aria-checked="false"' in panel.children[0].value


def test_a_menu_of_one_layer_is_not_shown(faces):
    one, many = (attention_explorer(small(rstb_recursions=n, depth=2 if n > 1 else 1), faces) for n in (1, 2))
    assert one.controls["layer"] not in one.children[1].children and many.controls["layer"] in many.children[1].children


def test_the_blocks_of_a_silent_stream_say_why_they_do_nothing(model, faces):
    panel = hfeb_explorer(model, faces)
    assert IDLE not in panel.picture.value and not panel.controls["hfeb1"].disabled
    panel.controls["transformer"].value = False
    assert IDLE in panel.picture.value and panel.controls["hfeb1"].disabled
    panel.controls["transformer"].value = True
    assert IDLE not in panel.picture.value and not panel.controls["hfeb1"].disabled


def test_the_weights_are_those_that_the_layer_uses(model, faces):
    """With values that name their token, what attention gives back is the weight of that token."""
    panel = attention_explorer(model, {"astronaut": faces["astronaut"]})
    seen = []
    attention = model.transformer.rstb.layers[0].attention
    hook = attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with torch.inference_mode():
        model(downscale(faces["astronaut"][None], 4))
        hook.remove()
        naming = WindowAttention(16, 4, 8)
        naming.load_state_dict(attention.state_dict())
        torch.nn.init.eye_(naming.proj.weight)
        torch.nn.init.zeros_(naming.proj.bias)
        windows, mask = (*seen[0], None)[:2]
        # Head 1 has channels 4 to 7 of the values: the first of them is 1 for token 9 of each window, and else 0.
        plain = naming.qkv.forward
        naming.qkv.forward = lambda x: torch.cat(
            [plain(x)[..., :32], (torch.arange(64) == 9).float()[None, :, None].expand(len(x), 64, 16)], dim=-1
        )
        expected = naming(windows, mask)[5, 26, 4]  # window 5 of 16, token 26 of it: row 8 + 3, column 8 + 2
    panel.controls["row"].value, panel.controls["column"].value = 11, 10
    panel.controls["head"].value, panel.controls["layer"].value = 1, 0
    assert panel.values["weights"].sum().item() == pytest.approx(1, abs=1e-5)
    assert panel.values["weights"][1, 1].item() == pytest.approx(expected.item(), rel=1e-4)
    assert panel.values["itself"] == pytest.approx(panel.values["weights"][3, 2].item())
    assert f"takes from {panel.values['effective']:.1f} of 64 tokens" in panel.picture.value
    assert f"{100 * panel.values['weights'].max().item():.2f} % each" in panel.picture.value


def test_even_weights_come_from_all_tokens_and_a_masked_window_from_its_own_part(faces):
    model = small()
    for layer in model.transformer.rstb.layers:
        for parameter in layer.attention.parameters():
            torch.nn.init.zeros_(parameter)
    panel = attention_explorer(model, {"astronaut": faces["astronaut"]})
    panel.controls["head"].value = 0
    assert panel.values["effective"] == pytest.approx(64, abs=1e-3)
    # The second layer shifts by four: the corner token shares its window with nothing but its corner of 4x4.
    panel.controls["layer"].value = 1
    panel.controls["row"].value = panel.controls["column"].value = 0
    assert panel.values["effective"] == pytest.approx(16, abs=1e-3)
    assert panel.values["itself"] == pytest.approx(1 / 16)


def test_a_size_that_the_window_does_not_divide(faces):
    panel = attention_explorer(small(), {"astronaut": faces["astronaut"][:, :120, :104]})
    panel.controls["layer"].value = 1
    for row, column in ((0, 0), (29, 25)):
        panel.controls["row"].value, panel.controls["column"].value = row, column
        assert panel.values["weights"].sum().item() == pytest.approx(1, abs=1e-5)
    assert (panel.controls["row"].max, panel.controls["column"].max) == (29, 25)


def test_a_grid_of_two_has_twice_the_tokens(faces):
    panel = attention_explorer(small(grid=2), {"astronaut": faces["astronaut"]})
    assert panel.controls["row"].max == 63


@pytest.mark.parametrize(("control", "value"), [("face", "other"), ("transformer", False), ("hfeb1", False)])
def test_every_control_of_the_hfebs_changes_the_picture(model, faces, control, value):
    panel = hfeb_explorer(model, faces)
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == (2 if control == "face" else 5)  # while all are on nothing differs


def test_all_on_is_the_network_and_a_block_that_is_off_is_left_out(model, faces):
    panel = hfeb_explorer(model, {"astronaut": faces["astronaut"]})
    hr = faces["astronaut"][None]
    lr = downscale(hr, 4)

    def error_of(network) -> tuple[float, torch.Tensor]:
        with torch.inference_mode():
            sr = quantize(network(lr))
        return -10 * (sr - hr).square().mean().log10().item(), band_psnr(sr, hr, BANDS)[0]

    whole, whole_bands = error_of(model)
    assert panel.values["psnr"] == pytest.approx(whole, abs=1e-3)
    assert panel.values["psnr_change"] == pytest.approx([0] * 5)
    panel.controls["hfeb2"].value = False
    without = small(hfebs=1)
    without.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("hfebs.1")})
    psnr, bands = error_of(without)
    assert panel.values["psnr"] == pytest.approx(psnr, abs=1e-3)
    assert panel.values["psnr_change"] == pytest.approx((bands - whole_bands).tolist(), abs=1e-3)
    assert f"restored, {psnr:.1f} dB" in panel.picture.value
    assert f"{panel.values['energy_change'][0]:+.2f}" in panel.picture.value
    panel.controls["transformer"].value = False
    assert panel.values["psnr"] != pytest.approx(psnr, abs=1e-6)


def test_redraws_are_quick_and_a_seen_choice_computes_nothing(model, faces, monkeypatch):
    attention, hfeb = attention_explorer(model, faces), hfeb_explorer(model, faces)
    hfeb.controls["hfeb1"].value = False
    monkeypatch.setattr(model, "forward", None)
    monkeypatch.setattr(model, "trace", None)
    start = time.perf_counter()
    for row in (1, 9, 20, 31):
        attention.controls["row"].value = row
        hfeb.controls["hfeb1"].value = row % 2 == 0
    # A generous multiple of the 20 ms that one takes on a quiet machine.
    assert (time.perf_counter() - start) / 8 < 0.15


@pytest.mark.parametrize("streams", ["cnn", "transformer"])
def test_a_model_without_what_is_to_be_shown_is_refused(faces, streams):
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(streams=streams, hfebs=0, hfeb_skip=False))
    with pytest.raises(ElsfaceError, match="HFEB"):
        hfeb_explorer(model, faces)
    if streams == "cnn":
        with pytest.raises(ElsfaceError, match="Transformer stream"):
            attention_explorer(model, faces)


def test_no_face_and_faces_of_two_sizes_are_refused(model, faces):
    for wrong in ({}, {"a": faces["astronaut"], "b": faces["astronaut"][:, :64, :64]}):
        with pytest.raises(ElsfaceError, match="one size"):
            attention_explorer(model, wrong)
    with pytest.raises(ElsfaceError, match="at least one face"):
        hfeb_explorer(model, {})
