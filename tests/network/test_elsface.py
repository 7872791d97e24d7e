"""The network: its sizes, its options, and that it is the authors' network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import shared

from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.transformer import WindowAttention, shifted_window_mask, to_windows

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
# The names of the golden tensors -> ours.
TRACE_NAMES = {
    "style": "style",
    "cnn": "cnn",
    "transformer_before_hfeb": "transformer",
    "transformer_after_hfeb": "hfeb",
    "output": "sr",
}
TINY = dict(
    channels=8, heads=2, head_blocks=1, cnn_blocks=1, cnn_kernel=3, hfebs=1, hfeb_blocks=1, hfeb_kernel=3,
    out_channels=4,
)  # fmt: skip


def tiny(**changes) -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.paper(**(TINY | changes))).eval()


def parameters(model: ELSFace) -> int:
    return sum(p.numel() for p in model.parameters())


def golden_parameter(number: int, name: str, shape: list[int]) -> torch.Tensor:
    """The fill rule that golden.json states."""
    s = np.random.RandomState(number).standard_normal(shape)
    if "norm" in name and name.endswith("weight"):
        s = 1 + 0.1 * s
    elif len(shape) > 1 and "bias_table" not in name:
        s *= np.sqrt(0.7 / np.prod(shape[1:]))
    else:
        s *= 0.05
    return torch.from_numpy(s).float()


@pytest.mark.slow
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"depth{case['depth']}")
def test_golden(case):
    """24 values of five tensors of the authors' network, whose every parameter a rule fills."""
    state = {
        p["reference_name"]: golden_parameter(k, p["reference_name"], p["shape"])
        for k, p in enumerate(case["parameters"])
    }
    model = ELSFace(ELSFaceConfig.paper(depth=case["depth"])).eval()
    model.load_reference_state_dict(state)
    bgr = torch.from_numpy(np.random.RandomState(1000).random_sample((2, 3, 32, 32))).float()
    with torch.no_grad():
        trace = model.trace(bgr.flip(1))
    trace["sr"] = trace["sr"].flip(1)
    for name, golden in case["tensors"].items():
        tensor = trace[TRACE_NAMES[name]]
        assert list(tensor.shape) == golden["shape"]
        error = (tensor.flatten()[golden["index"]] - torch.tensor(golden["value"])).abs().max()
        print(f"depth {case['depth']}, {name}: {error / golden['std']:.1e} of its std")
        assert error <= 1e-4 * golden["std"]


@pytest.fixture(scope="module")
def reference_model() -> ELSFace:
    model = ELSFace(ELSFaceConfig.paper())
    state = torch.load(shared("reference/parity/state_dict.pt"), weights_only=True)
    model.load_reference_state_dict(state)
    return model


@pytest.mark.slow
def test_parity_forward(reference_model):
    fixture = torch.load(shared("reference/parity/forward_small.pt"), weights_only=True)
    reference_model.eval()
    with torch.no_grad():
        for bgr, expected in zip(fixture["inputs"], fixture["outputs"], strict=True):
            error = (reference_model(bgr.flip(1)).flip(1) - expected).abs().max() / expected.std()
            print(f"forward {tuple(bgr.shape)}: {error:.1e} of the output's std")
            assert error <= 1e-4


def test_parameter_counts():
    """The authors' network part by part, as reference/network.md counts it."""
    model = ELSFace(ELSFaceConfig.paper())
    assert parameters(model) == 6_620_733
    parts = {
        "head": (model.prepare.head, 781_680),
        "style encoder": (model.prepare.encoder, 376_680),
        "CNN stream": (model.cnn, 392_700),
        "Transformer stream": (model.transformer, 63_270 + 240 + 32_460),  # RSTB, two LayerNorms, convolution
        "HFEBs": (model.hfebs, 4_842_240),
        "upsampler": (model.upsample, 131_463),
    }
    assert {name: parameters(part) for name, (part, _) in parts.items()} == {n: c for n, (_, c) in parts.items()}
    assert parameters(ELSFace(ELSFaceConfig.lite())) == 1_573_899


@pytest.mark.parametrize("preset", [ELSFaceConfig.paper, ELSFaceConfig.lite])
def test_scales(preset):
    """x4 and x8 at full width; x2 and x16 come with the design."""
    for scale in (2, 4, 8, 16):
        model = ELSFace(preset(scale=scale, **({"hfebs": 1, "hfeb_blocks": 1} if scale in (2, 16) else {}))).eval()
        with torch.no_grad():
            assert model(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16 * scale, 16 * scale)


@pytest.mark.parametrize("grid", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (17, 30), (32, 32), (40, 33)])
def test_any_size(grid, size):
    with torch.no_grad():
        sr = tiny(grid=grid)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert sr.isfinite().all()


OPTIONS = {
    "paper": {},
    "style residual": {"style": "residual"},
    "style none": {"style": "none"},
    "no HFEB": {"hfebs": 0},
    "HFEB skip": {"hfeb_skip": True},
    "no recursion": {"cnn_recursions": 1, "rstb_recursions": 1},
    "CNN only": {"streams": "cnn", "hfebs": 0},
    "Transformer only": {"streams": "transformer"},
    "Transformer skip": {"transformer_skip": True},
    "shifted windows": {"depth": 2},
    "bicubic skip": {"bicubic_skip": True},
    "LR grid": {"grid": 1},
    "window 4": {"window": 4},
    "MLP ratio": {"mlp_ratio": 4},
}


def test_with_the_bicubic_skip_an_untrained_network_is_bicubic_and_can_learn():
    model = tiny(bicubic_skip=True)
    lr = torch.rand(1, 3, 16, 16)
    sr = model(lr)
    assert torch.equal(sr, torch.nn.functional.interpolate(lr, scale_factor=4, mode="bicubic"))
    sr.square().sum().backward()
    assert model.upsample[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS.keys())
def test_options_train(changes):
    """Every option builds, runs, and every parameter of it gets a gradient."""
    model = tiny(**changes)
    torch.nn.init.normal_(model.upsample[-1].weight)  # with the bicubic skip it starts at zero, and stops gradients
    sr = model(torch.rand(1, 3, 16, 16))
    assert sr.shape == (1, 3, 64, 64)
    sr.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_options_change_the_function():
    """With the same seed, no two options give the same output."""
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        outputs = {name: tiny(**changes)(lr) for name, changes in OPTIONS.items()}
    names = list(outputs)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert not torch.allclose(outputs[first], outputs[second]), f"{first} and {second}"


def test_recursion_costs_no_parameters():
    assert parameters(tiny()) == parameters(tiny(cnn_recursions=1, rstb_recursions=1))


def test_left_out_parts_are_not_built():
    assert tiny(style="none").prepare.encoder is None
    assert tiny(streams="cnn", hfebs=0).transformer is None
    assert tiny(streams="transformer").cnn is None
    assert len(tiny(hfebs=0).hfebs) == 0


def test_bicubic_skip():
    """A network whose last convolution is zero only enlarges."""
    model = tiny(bicubic_skip=True)
    with torch.no_grad():
        for p in model.upsample[2].parameters():
            p.zero_()
        lr = torch.rand(1, 3, 12, 9)
        assert torch.equal(model(lr), F.interpolate(lr, scale_factor=4, mode="bicubic"))


def test_transformer_skip():
    """The features go around the stream: what it adds is what it gives without the skip."""
    model = tiny(transformer_skip=True)
    features = torch.rand(1, model.config.channels, 12, 9)
    with torch.no_grad():
        whole = model.transformer(features)
        model.transformer.skip = False
        torch.testing.assert_close(whole, features + model.transformer(features))


def test_trace():
    model = ELSFace(ELSFaceConfig.paper()).eval()
    lr = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        trace = model.trace(lr)
        assert torch.equal(trace["sr"], model(lr))
    shapes = {name: tuple(tensor.shape) for name, tensor in trace.items()}
    at_grid = (2, 60, 32, 32)
    assert shapes == {
        "head": (2, 120, 16, 16), "style": (2, 2, 60), "cnn": at_grid, "transformer": at_grid, "hfeb": at_grid,
        "fused": at_grid, "sr": (2, 3, 64, 64),
    }  # fmt: skip
    assert list(trace) == ["head", "style", "cnn", "transformer", "hfeb", "fused", "sr"]
    assert torch.equal(trace["fused"], trace["cnn"] + trace["hfeb"])
    assert not tiny(streams="cnn", hfebs=0, style="none").trace(lr).keys() & {"style", "transformer", "hfeb"}


def test_style_depends_on_whole_face_and_pools_nothing_at_32():
    encoder = tiny().prepare.encoder
    assert encoder.body(torch.rand(1, 3, 32, 32)).shape[-2:] == (4, 4)
    lr = torch.rand(1, 3, 32, 32, requires_grad=True)
    encoder(lr).sum().backward()
    assert (lr.grad.abs().sum((0, 1)) > 0).all()


def test_attention_is_softmax_attention():
    """In training and fused, against the formula, with and without a mask."""
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 4)
    torch.nn.init.normal_(attention.bias_table)
    mask = shifted_window_mask(8, 8, 4, 2)
    windows = torch.rand(3 * 4, 16, 8)
    for used in (None, mask):
        q, k, v = attention.qkv(windows).reshape(12, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / 2 + attention.bias()
        if used is not None:
            scores = scores + used.repeat(3, 1, 1)[:, None]
        expected = attention.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(12, 16, 8))
        assert torch.allclose(attention(windows, used), expected, atol=1e-6)
        with torch.no_grad():
            assert torch.allclose(attention(windows, used), expected, atol=1e-6)


def test_shifted_mask_separates_what_was_never_neighbours():
    """After a cyclic shift, two tokens of a window may attend exactly if they were less than a window apart before."""
    height = width = 12
    window, shift = 4, 2
    rows, cols = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([rows, cols], -1).roll((-shift, -shift), (0, 1))[None]
    place = to_windows(place, window).float()
    together = ((place[:, :, None] - place[:, None, :]).abs() < window).all(-1)
    assert torch.equal(shifted_window_mask(height, width, window, shift) == 0, together)


REFUSED = {
    "scale must be 2, 3, 4, 8 or 16": {"scale": 5},
    "grid 2 does not divide the scale 3": {"scale": 3},
    "grid must be 1": {"grid": 4},
    "7 heads do not divide 60 channels": {"heads": 7},
    "window must be even": {"window": 7},
    "cnn_kernel must be odd": {"cnn_kernel": 4},
    "hfeb_kernel must be odd": {"hfeb_kernel": 2},
    "channels must be at least 1": {"channels": 0},
    "cnn_recursions must be at least 1": {"cnn_recursions": 0},
    "hfebs must be at least 0": {"hfebs": -1},
    "there is no HFEB to skip": {"hfebs": 0, "hfeb_skip": True},
    "HFEBs end the Transformer stream": {"streams": "cnn"},
    "style must be one of": {"style": "add"},
    "streams must be one of": {"streams": "none"},
    "channels must be of type int": {"channels": 60.0},
    "bicubic_skip must be of type bool": {"bicubic_skip": 1},
    r"ELSFaceConfig has no field channel \(did you mean channels\?\)\.$": {"channel": 1},
    "ELSFaceConfig has no field colour; it has scale, .*channels": {"colour": 1},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError, match=message) as caught:
        ELSFaceConfig.paper(**REFUSED[message])
    assert str(caught.value).endswith(".")


def test_config_is_frozen_and_survives_a_dict():
    config = ELSFaceConfig.lite(scale=8, depth=2)
    assert ELSFaceConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(AttributeError):
        config.scale = 2


def reference_state(depth: int) -> dict[str, torch.Tensor]:
    case = GOLDEN["cases"][depth - 1]
    return {p["reference_name"]: torch.rand(p["shape"]) for p in case["parameters"]}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_load_reference_accepts(prefix):
    """DataParallel's prefix, mean-shift entries and buffers may be there."""
    state = {prefix + name: tensor for name, tensor in reference_state(2).items()}
    block = prefix + "layers_1.0.residual_group.blocks.1."
    extras = {
        prefix + "sub_mean.weight": torch.rand(3, 3, 1, 1),
        prefix + "add_mean.bias": torch.rand(3),
        block + "attn.relative_position_index": torch.zeros(64, 64, dtype=torch.long),
        block + "attn_mask": torch.zeros(64, 64, 64),
    }
    model = ELSFace(ELSFaceConfig.paper(depth=2))
    model.load_reference_state_dict(state | extras)
    first = state[prefix + "head_x2.0.0.weight"]
    assert torch.equal(model.prepare.head[0].weight, first.flip(1)), "BGR must have become RGB"
    assert torch.equal(model.prepare.encoder.body[0].weight, state[prefix + "encoder.encoder.0.0.weight"].flip(1))
    assert torch.equal(model.upsample[2].weight, state[prefix + "tail_x2.0.1.weight"].flip(0))
    assert torch.equal(model.upsample[2].bias, state[prefix + "tail_x2.0.1.bias"].flip(0))
    assert torch.equal(model.cnn.body[0].weight, state[prefix + "cnn_x2_1.0.0.weight"])


def test_load_reference_names_every_problem_and_changes_nothing():
    state = reference_state(1)
    del state["norm_1.bias"]
    state["head_x2.0.0.bias"] = torch.rand(7)
    state["something.else"] = torch.rand(1)
    model = ELSFace(ELSFaceConfig.paper())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        model.load_reference_state_dict(state)
    message = str(caught.value)
    for part in ("missing: transformer.norm_out.bias", "head_x2.0.0.bias is (7,), not (120,)", "something.else"):
        assert part in message
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
