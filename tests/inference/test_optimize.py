"""A network for inference only: the same faces within the stated bounds, and the original untouched."""

import copy

import pytest
import torch

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, downscale, load_pretrained, quantize, save_pretrained
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.inference.optimize import optimize, recompute
from elsface_lite.metrics.image import psnr


@pytest.fixture(scope="module")
def hr() -> torch.Tensor:
    return load_faces(orl_faces().paths[::50], 128).float() / 255


@pytest.mark.parametrize("config", [ELSFaceConfig.paper(hfebs=1), ELSFaceConfig.lite(depth=2)], ids=["paper", "lite"])
def test_float32_is_equal(config, hr):
    torch.manual_seed(0)
    model = ELSFace(config).eval()
    torch.nn.init.normal_(model.upsample[-1].weight, std=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = optimize(model)
    lr = downscale(hr[:2], 4)
    with torch.inference_mode():
        assert (fast(lr) - model(lr)).abs().max() < 1e-5
        assert (fast(lr[..., :21, :30]) - model(lr[..., :21, :30])).abs().max() < 1e-5
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


@pytest.mark.parametrize(("cache", "parts"), [(2**30, [7]), (3 * 8 * 16 * 16 * 4, [3, 3, 1]), (1, [1] * 7)])
def test_a_batch_is_computed_in_parts_that_stay_in_the_cache(monkeypatch, cache, parts):
    monkeypatch.setattr("elsface_lite.inference.optimize.CACHE", cache)
    torch.manual_seed(0)
    model = ELSFace(ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1)).eval()
    fast, lr, seen = optimize(model), torch.rand(7, 3, 16, 16), []
    fast.prepare.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    with torch.inference_mode():
        assert (fast(lr) - model(lr)).abs().max() < 1e-5
    assert seen == parts


@pytest.mark.parametrize("weights", ["lite-x4", "lite-x8"])
def test_bfloat16_keeps_psnr(weights, hr):
    model = load_pretrained(weights)
    fast = optimize(model, torch.bfloat16)
    lr = downscale(hr, model.config.scale)
    with torch.inference_mode():
        whole, rounded = (psnr(quantize(network(lr)), hr).mean() for network in (model, fast))
        assert fast(lr[:1]).dtype == torch.float32
    assert abs(whole - rounded) < 0.02


@pytest.mark.parametrize("streams", ["both", "cnn", "transformer"])
def test_recompute_gives_the_same_gradients(streams):
    torch.manual_seed(0)
    hfebs = dict(hfebs=0, hfeb_skip=False) if streams == "cnn" else dict(hfebs=1)
    model = ELSFace(ELSFaceConfig.lite(channels=16, streams=streams, hfeb_blocks=2, cnn_blocks=3, **hfebs))
    torch.nn.init.normal_(model.upsample[-1].weight, std=0.1)
    frugal = copy.deepcopy(model)
    recompute(frugal)
    lr, kept = torch.rand(2, 3, 16, 16), []
    for network in (model, frugal):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x):
            loss = network(lr).square().mean()
        kept.append(sum(sizes))
        loss.backward()
    print(f"{streams}: {kept[1] / kept[0]:.2f} of what was kept for the backward pass")
    assert kept[1] < 0.75 * kept[0]
    for (name, one), two in zip(model.named_parameters(), frugal.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-7), name
    assert model.state_dict().keys() == frugal.state_dict().keys()


def test_an_optimized_network_can_be_optimized_again_and_not_be_saved(tmp_path):
    torch.manual_seed(0)
    fast = optimize(ELSFace(ELSFaceConfig.paper(hfebs=1, hfeb_blocks=1)))
    lr = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(optimize(fast)(lr), fast(lr))
    with pytest.raises(ElsfaceError, match="as it was before `optimize`"):
        save_pretrained(fast, tmp_path / "fast.safetensors")
    assert not list(tmp_path.iterdir())
