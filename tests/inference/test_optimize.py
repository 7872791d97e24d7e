"""A network for inference only: the same faces within the stated bounds, and the original untouched."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, downscale, load_pretrained, quantize, save_pretrained
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.inference.export import OnnxModel
from elsface_lite.inference.optimize import Filled, is_optimized, optimize, recompute
from elsface_lite.metrics.image import psnr


@pytest.fixture(scope="module")
def hr() -> torch.Tensor:
    return load_faces(orl_faces().paths[::50], 128, enlarge=True).float() / 255


@pytest.mark.slow
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


def paper_like(**changes) -> ELSFace:
    """A network whose 12 channels are no whole vectors, and which says something."""
    torch.manual_seed(0)
    sizes = dict(channels=12, heads=2, hfebs=2, hfeb_blocks=1, head_blocks=1, rstb_recursions=1, out_channels=8)
    return ELSFace(ELSFaceConfig.paper(**(sizes | changes))).eval()


class Dark(ELSFace):
    """Another forward: half of what the network says, and a face's mean."""

    def forward(self, lr):
        return super().forward(lr) / 2 + lr.mean(0, keepdim=True).mean((2, 3), keepdim=True)


class Inward(ELSFace):
    """Another forward that reaches into a stage."""

    def forward(self, lr):
        return self.upsample(self.cnn.body[0](self.prepare(lr).unbind(1)[0]))


class Renamed(ELSFace):
    """A subclass that changes nothing of the computation."""

    def describe(self):
        return "mine"


class Foreign(nn.Module):
    """A block of somebody's own: depthwise, normalised over groups, with a softmax over channels and a view."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.GroupNorm(2, channels)

    def forward(self, x):
        y = self.norm(self.depthwise(x.clone()))
        y = (y.view if x.is_contiguous() else y.reshape)(len(x), -1).view(x.shape)
        return x + y.softmax(1) + x.mean(0, keepdim=True)


def swap(model: ELSFace, place: str) -> ELSFace:
    """Puts foreign layers into a network."""
    channels = model.config.channels
    if place == "an HFEB":
        model.hfebs[0] = Foreign(channels)
    elif place == "a block of an HFEB":
        model.hfebs[0].blocks[0] = Foreign(channels)
    elif place == "the CNN stream":
        model.cnn = Foreign(channels)
    elif place == "the head":
        model.prepare.head[1] = Foreign(2 * channels)
    elif place == "a depthwise convolution":
        model.cnn.body[0] = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    elif place == "a softmax over channels":
        model.hfebs[1].high_pass.body[1] = nn.Softmax(1)
    elif place == "a padding that repeats":
        model.cnn.body[0].padding_mode = "reflect"
    elif place == "a shuffle of channels":
        model.cnn.body[1].body[1] = nn.ChannelShuffle(2)
    elif place == "a bottleneck":
        model.cnn.body[0] = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1))
    return model


PLACES = [
    "an HFEB", "a block of an HFEB", "the CNN stream", "the head", "a depthwise convolution", "a softmax over channels",
    "a padding that repeats", "a shuffle of channels", "a bottleneck",
]  # fmt: skip


@torch.inference_mode()
def largest_difference(model: nn.Module, fast: nn.Module, lr: torch.Tensor) -> float:
    """In units of what the network says at most."""
    expected = model(lr)
    return ((fast(lr) - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("place", PLACES)
def test_foreign_layers_are_left_alone_and_give_the_same_numbers(place, monkeypatch):
    monkeypatch.setattr("elsface_lite.inference.optimize.CACHE", 1)
    model = swap(paper_like(), place)
    fast = optimize(model)
    assert largest_difference(model, fast, torch.rand(3, 3, 16, 16)) < 1e-5
    filled = [name for name, module in fast.named_modules() if isinstance(module, Filled)]
    assert 1 <= len(filled) <= 3, f"the stages beside it are filled up: {filled}"
    foreign = [module for module in fast.modules() if isinstance(module, Foreign)]
    assert all(module.depthwise.weight.is_contiguous() for module in foreign)


@pytest.mark.parametrize("cls", [Dark, Inward, Renamed])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_forward_of_a_subclass_is_the_one_that_runs(cls, dtype, monkeypatch):
    monkeypatch.setattr("elsface_lite.inference.optimize.CACHE", 1)
    model = cls(paper_like().config).eval()
    fast = optimize(model, dtype)
    assert type(fast) is cls
    assert largest_difference(model, fast, torch.rand(3, 3, 16, 16)) < (1e-5 if dtype == torch.float32 else 0.05)
    assert any(isinstance(module, Filled) for module in fast.modules()) is (cls is Renamed and dtype == torch.float32)


def test_a_forward_that_the_object_was_given_runs():
    model = paper_like()
    model.forward = lambda lr: torch.zeros(len(lr), 3, 1, 1)
    assert not optimize(model)(torch.rand(2, 3, 16, 16)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_network_may_be_passed(dtype):
    class Both(nn.Module):
        """Two inputs, one of them by name, and two outputs, as no network of ours."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), Foreign(8))

        def forward(self, x, *, more):
            y = self.layers(x + more)
            return y.float(), y.flatten(1).float().view(len(x), -1)

    torch.manual_seed(0)
    model, x = Both(), torch.rand(2, 3, 9, 9)
    fast = optimize(model, dtype)
    assert model.training and not fast.training
    with torch.inference_mode():
        for a, b in zip(model.eval()(x, more=x), fast(x, more=x), strict=True):
            assert (a - b).abs().max() < (1e-5 if dtype == torch.float32 else 0.1)
    assert optimize(nn.Sequential(nn.Conv2d(3, 3, 1)), dtype)(x).dtype == torch.float32


def test_what_cannot_be_copied_is_refused_by_name():
    model = nn.Module.__new__(OnnxModel)
    nn.Module.__init__(model)
    model.session = (part for part in ())
    with pytest.raises(ElsfaceError, match="OnnxModel cannot be copied"):
        optimize(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("make", [paper_like, lambda: swap(paper_like(), "an HFEB")], ids=["ours", "foreign block"])
def test_an_optimized_network_can_be_pickled_and_copied(make, dtype):
    fast, lr = optimize(make(), dtype), torch.rand(2, 3, 16, 16)
    file = io.BytesIO()
    torch.save(fast, file)
    file.seek(0)
    with torch.inference_mode():
        for twin in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast), torch.load(file, weights_only=False)):
            assert is_optimized(twin)
            assert torch.equal(twin(lr), fast(lr))
            twin.upsample[-1].bias.add_(1)
            assert not torch.equal(twin(lr), fast(lr)), "it computes with its own weights"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_ours_compute_in_channels_last_and_add_to_an_exact_bicubic_face(dtype):
    model, seen = ELSFace(ELSFaceConfig.lite(channels=12, heads=2, hfeb_blocks=1)), []  # adds nothing yet
    fast = optimize(optimize(model), dtype)
    for layer in fast.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, inputs, outputs: seen.append((inputs[0], outputs)))
    lr = torch.rand(2, 3, 16, 16)
    assert torch.equal(fast(lr), model.eval()(lr))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for pair in seen for x in pair)
    assert {x.dtype for pair in seen for x in pair} == {dtype}


def test_an_optimized_network_can_be_taken_to_another_precision():
    model, lr = paper_like(), torch.rand(2, 3, 16, 16)
    there = optimize(optimize(model), torch.bfloat16)
    assert largest_difference(model, there, lr) < 0.05
    assert largest_difference(model, optimize(there), lr) < 0.05
    assert next(optimize(there).parameters()).dtype == torch.float32


@pytest.mark.slow
def test_a_network_is_taken_out_of_its_wrapping():
    model, lr = paper_like(), torch.rand(2, 3, 16, 16)
    for wrapped in (torch.compile(model, backend="eager"), nn.DataParallel(model)):
        fast = optimize(wrapped)
        assert type(fast) is ELSFace
        assert largest_difference(model, fast, lr) < 1e-5
