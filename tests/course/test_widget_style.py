"""The style mixer, driven from code."""

import time

import pytest
import torch

from elsface_lite.course.widgets import style_mixer
from elsface_lite.data.degradation import downscale
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig


def small(**changes) -> ELSFace:
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(channels=16, hfebs=1, hfeb_blocks=1, **changes)).eval()
    # Untrained styles hardly differ between faces: far larger weights make them differ.
    if model.prepare.encoder is not None:
        model.prepare.encoder.to_styles.weight.data *= 100
    return model


@pytest.fixture(scope="module")
def model() -> ELSFace:
    return small()


@pytest.fixture(scope="module")
def faces() -> dict[str, torch.Tensor]:
    photographs = portraits()
    return {
        "eileen": photographs["astronaut"][:, 30:158, 160:288],
        "grace": photographs["grace_hopper"][:, 160:288, 200:328],
    }


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("face", "grace"),
        ("donor", "zero"),
        ("donor", "mean of these faces"),
        ("stream", "CNN stream"),
        ("stream", "Transformer stream"),
        ("channels", (3, 3)),
        ("channels", (0, 7)),
        ("mix", 0),
        ("mix", 30),
    ],
)
def test_every_control_changes_the_picture(model, faces, control, value):
    panel = style_mixer(model, faces)
    before = panel.picture.value
    panel.controls[control].value = value
    assert panel.picture.value != before
    assert panel.picture.value.count("<img alt=") == 5


def psnr(sr: torch.Tensor, hr: torch.Tensor) -> float:
    return -10 * (sr[0].clamp(0, 1) - hr).square().mean().log10().item()


def test_its_numbers_are_those_of_the_network(model, faces):
    panel = style_mixer(model, faces)
    lr, other = (downscale(face[None], 4) for face in faces.values())
    hr = faces["eileen"]
    with torch.inference_mode():
        own, donor = model.prepare.encoder(lr), model.prepare.encoder(other)
        assert panel.values["own"] == pytest.approx(psnr(model(lr), hr), abs=1e-3)
        mixed = own.clone()
        mixed[:, 1, 2:6] += 5 * (donor - own)[:, 1, 2:6]
        hook = model.prepare.encoder.register_forward_hook(lambda *_: mixed)
        expected = psnr(model(lr), hr)
        hook.remove()
    for name, value in {"stream": "Transformer stream", "channels": (2, 5), "mix": 5}.items():
        panel.controls[name].value = value
    assert panel.values["mixed"] == pytest.approx(expected, abs=1e-3)
    assert panel.values["moved"] == pytest.approx((mixed - own).abs().max().item(), rel=1e-4)
    assert f"{panel.values['mixed'] - panel.values['own']:+.3f} dB" in panel.picture.value


def test_nothing_mixed_changes_nothing_and_the_network_is_left_as_it_was(model, faces):
    panel = style_mixer(model, faces)
    panel.controls["mix"].value = 0
    assert panel.values["own"] == panel.values["mixed"]
    assert panel.values["moved"] == 0
    panel.controls["mix"].value = 1
    panel.controls["donor"].value = "eileen"
    assert panel.values["own"] == panel.values["mixed"]
    assert not model.prepare.encoder._forward_hooks


def test_the_hook_goes_even_when_the_network_fails(faces):
    model = small()
    panel = style_mixer(model, faces)
    model.upsample = None
    with pytest.raises(TypeError):
        panel.controls["mix"].value = 2
    assert not model.prepare.encoder._forward_hooks


@pytest.mark.parametrize(("style", "weight"), [("scale", 0.0), ("residual", 1.0)])
def test_a_style_of_zero_draws_the_weight_that_it_means(faces, style, weight, monkeypatch):
    drawn = []
    panel = style_mixer(small(style=style), faces)
    monkeypatch.setattr("elsface_lite.course.widgets.style._bars_html", lambda *bars: drawn.append(bars[2]) or "")
    panel.controls["donor"].value = "zero"
    assert [bars.tolist() for bars in drawn] == [pytest.approx([weight] * 16, abs=1e-6)] * 2


def test_a_network_of_one_stream_has_one_set_of_bars(faces):
    panel = style_mixer(small(streams="transformer"), faces)
    assert panel.controls["stream"].options == ("both streams", "Transformer stream")
    assert panel.picture.value.count("<img alt=") == 4


def test_a_redraw_is_quick(model, faces):
    panel = style_mixer(model, faces)
    cpu = time.process_time()
    for mix in (0.25, 2, 10, 30):
        panel.controls["mix"].value = mix
    # Of the processor's time, so that a busy machine does not count.
    assert (time.process_time() - cpu) / 4 < 0.3


def test_what_cannot_be_mixed_is_refused(model, faces):
    with pytest.raises(ElsfaceError, match="no latent styles"):
        style_mixer(small(style="none"), faces)
    with pytest.raises(ElsfaceError, match="two faces or more, not 1"):
        style_mixer(model, {"eileen": faces["eileen"]})
    with pytest.raises(ElsfaceError, match=r"grace must be \(3, h, w\), h and w multiples of 4, not \(3, 127, 128\)"):
        style_mixer(model, faces | {"grace": faces["grace"][:, 1:]})
    with pytest.raises(ElsfaceError, match="grace must be"):
        style_mixer(model, faces | {"grace": faces["grace"][:1]})
