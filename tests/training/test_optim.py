"""Muon: what it changes, by how much, and that its state is continued."""

import pytest
import torch
from torch import nn

from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.optim import Muon, hidden_weights, orthogonalize

TINY = ELSFaceConfig.lite(channels=16, hfebs=1, hfeb_blocks=1)


@pytest.mark.parametrize("shape", [(64, 576), (192, 64), (16, 16)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalize(matrix))
    # The quintic wavers around 1; singular values far below the norm may need a sixth step.
    assert values.max() < 1.25
    assert values.median() > 0.65
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert ((u @ v) * orthogonalize(matrix)).sum() > 0.7 * min(shape)


def test_only_weights_between_features_are_orthogonalised():
    model = ELSFace(TINY)
    names = hidden_weights(model).keys()
    assert "transformer.rstb.layers.0.attention.qkv.weight" in names
    assert "hfebs.0.blocks.0.body.0.weight" in names
    left = {name for name, weight in model.named_parameters() if name not in names and weight.ndim > 1}
    assert left == {
        "prepare.head.0.weight",
        "prepare.encoder.body.0.weight",
        "transformer.rstb.layers.0.attention.bias_table",
        "upsample.2.weight",
    }


def one_step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
    weight.grad = gradient.clone()
    before = weight.detach().clone()
    optimizer.step()
    return weight.detach() - before


def test_agrees_with_torch_on_matrices():
    """torch.optim.Muon computes the same in bfloat16, hence the bound."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    torch.manual_seed(0)
    layers = [nn.Linear(48, 96, bias=False) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    ours = Muon(layers[0], lr=0.01)
    theirs = torch.optim.Muon(
        layers[1].parameters(), lr=0.01, momentum=0.95, weight_decay=0, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(3):
        gradient = torch.randn(96, 48)
        a, b = one_step(ours, layers[0].weight, gradient), one_step(theirs, layers[1].weight, gradient)
        assert (a - b).norm() < 0.03 * b.norm()


def test_the_step_is_of_adams_size():
    torch.manual_seed(0)
    kernel = nn.Conv2d(32, 64, 3)
    change = one_step(Muon(kernel, lr=0.01), kernel.weight, torch.randn(64, 32, 3, 3))
    assert 0.1 < change.square().mean().sqrt() / 0.01 < 0.4  # Adam's is 0.2 to 0.4 in practice (Liu et al. 2025)


def test_memory_layout_does_not_matter():
    changes = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        kernel = nn.Conv2d(32, 64, 3).to(memory_format=layout)
        changes.append(one_step(Muon(kernel, lr=0.01), kernel.weight, torch.randn(64, 32, 3, 3)))
    torch.testing.assert_close(*changes)


def test_state_goes_on_where_it_was():
    def train(model: ELSFace, optimizer: Muon, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            model(torch.rand(1, 3, 16, 16)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(0)
    whole = ELSFace(TINY)
    halves = [ELSFace(TINY), ELSFace(TINY)]
    halves[0].load_state_dict(whole.state_dict())
    train(whole, Muon(whole, lr=1e-3), range(4))
    first = Muon(halves[0], lr=1e-3)
    train(halves[0], first, range(2))
    halves[1].load_state_dict(halves[0].state_dict())
    second = Muon(halves[1], lr=1e-3)
    second.load_state_dict(first.state_dict())
    train(halves[1], second, range(2, 4))
    for a, b in zip(whole.parameters(), halves[1].parameters(), strict=True):
        assert torch.equal(a, b)
