"""What is asked of any module: its kind, what is in its wrapping, and to be in evaluation mode for a while."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from stress import times
from torch import nn

from elsface_lite import ELSFace, ELSFaceConfig, super_resolve
from elsface_lite.network.blocks import ResidualBlock, padded
from elsface_lite.network.modules import evaluating, kind, unwrapped

TINY = ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1)


def test_the_kind_of_a_module_is_whose_computation_it_does():
    class Adds(ResidualBlock):
        def __init__(self, channels):
            super().__init__(channels)

        def describe(self):
            return "mine"

    class Computes(Adds):
        def forward(self, x):
            return x

    class Inside(ELSFace):
        def _run(self, lr, trace):
            return lr

    assert kind(ResidualBlock(4)) is kind(Adds(4)) is ResidualBlock
    assert kind(Computes(4)) is Computes
    assert kind(Inside(TINY)) is Inside
    assert kind(nn.ReLU()) is nn.ReLU
    patched = ResidualBlock(4)
    patched.forward = lambda x: x
    assert kind(patched) is nn.Module


def test_a_network_is_found_in_its_wrapping():
    model = nn.Linear(2, 2)
    compiled = torch.compile(model, backend="eager")
    for wrapped in (model, compiled, nn.DataParallel(model), nn.DataParallel(compiled)):
        assert unwrapped(wrapped) is model


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    model[1].eval()
    with pytest.raises(KeyError), evaluating(model), evaluating(model):
        assert not model[0].training
        raise KeyError
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert model is evaluating(model).__enter__()


def test_threads_that_share_a_network_see_one_mode():
    """Each would see the other's `train()` in the middle of its work."""
    seen = []

    class Watched(nn.Module):
        def forward(self, lr):
            seen.append(self.training)
            ready.wait(0.01)
            seen.append(self.training)
            return lr

    ready, model = threading.Event(), Watched()
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: super_resolve(torch.rand(2, 3, 8, 8), model, 1), range(40)):
            pass
    assert len(seen) == 160 and not any(seen)
    assert model.training


def test_padding_repeats_the_border_up_to_a_multiple():
    x = torch.rand(1, 2, 7, 8)
    assert padded(x, 4).shape == (1, 2, 8, 8)
    assert torch.equal(padded(x, 4)[..., 7, :], x[..., 6, :])
    assert padded(x[..., :4, :], 4).data_ptr() == x.data_ptr()


@pytest.mark.slow
@pytest.mark.no_cover  # PyTorch compiles in Python, which takes longer where branches are counted
@pytest.mark.parametrize("size", [(32, 32), (32, 31), (33, 31)][: times(3, 2)], ids=str)
def test_a_compiled_network_can_be_trained(size):
    torch.manual_seed(0)
    model = ELSFace(TINY)
    nn.init.normal_(model.upsample[-1].weight, std=0.1)
    lr, gradients = torch.rand(1, 3, *size), []
    torch._dynamo.reset()
    for network in (model, torch.compile(model, backend="aot_eager", dynamic=False)):
        model.zero_grad()
        network(lr).square().mean().backward()
        gradients.append([weight.grad.clone() for weight in model.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.no_cover
def test_torch_export_takes_named_sizes():
    """Any batch, and sides of whole windows: elsewhere the pads would be conditions on the sizes."""
    torch.manual_seed(0)
    model = ELSFace(TINY).eval()
    nn.init.normal_(model.upsample[-1].weight, std=0.1)
    batch, height, width = (torch.export.Dim(name, min=2, max=64) for name in ("batch", "height", "width"))
    with torch.no_grad():
        program = torch.export.export(
            model, (torch.rand(2, 3, 40, 48),), dynamic_shapes=({0: batch, 2: 8 * height, 3: 8 * width},)
        )
        for size in ((2, 3, 16, 16), (3, 3, 32, 24)):
            lr = torch.rand(*size)
            assert (program.module()(lr) - model(lr)).abs().max() < 1e-5
