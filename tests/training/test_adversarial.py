"""The adversarial loss: it trains apart from the network, and learns what detail looks like."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elsface_lite.training.adversarial import AdversarialLoss, Discriminator, squared_gradients


def pair(seed: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    """A smooth SR and an HR that is the same with detail."""
    random = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(torch.rand(4, 3, size // 4, size // 4, generator=random), (size, size), mode="bilinear")
    return 0.8 * smooth + 0.1, 0.8 * smooth + 0.2 * torch.rand(4, 3, size, size, generator=random)


def test_the_networks_loss_leaves_the_discriminator_and_its_update_the_network():
    loss, (sr, hr) = AdversarialLoss(), pair()
    sr.requires_grad_()
    loss(sr, hr).backward()
    assert sr.grad.abs().sum() > 0 and all(weight.grad is None for weight in loss.parameters())
    sr.grad, before = None, [weight.clone() for weight in loss.parameters()]
    loss.update(sr, hr)
    assert sr.grad is None and not any(weight.requires_grad for weight in loss.parameters())
    changed = [not torch.equal(old, new) for old, new in zip(before, loss.parameters(), strict=True)]
    assert all(changed[:-1]) and not changed[-1], "the last bias cancels in the difference of two judgements"


def test_it_learns_to_tell_detail_and_its_loss_then_wants_more():
    torch.manual_seed(0)
    loss = AdversarialLoss(Discriminator(8), learning_rate=2e-3, penalty=0.01)
    first = loss.update(*pair(0)).item()
    for seed in range(1, 40):
        last = loss.update(*pair(seed)).item()
    assert first == pytest.approx(math.log(2), abs=0.05) and last < 0.8 * first
    sr, hr = pair(99)
    assert loss(sr, hr) > loss((sr + hr) / 2, hr) > loss(hr, hr)
    assert loss(hr, hr).item() == pytest.approx(math.log(2), rel=1e-5)


def test_the_penalty_is_the_squared_slope():
    """Of a discriminator that is a sum of what it sees, the slope is known."""
    images = [torch.rand(2, 3, 8, 8, requires_grad=True) for _ in range(2)]
    judgements = [3 * image.sum((1, 2, 3)) for image in images]
    assert squared_gradients(judgements, images).item() == pytest.approx(2 * 9 * 3 * 8 * 8)
    assert squared_gradients(judgements, [image.detach() for image in images]) == 0


def test_a_steep_discriminator_is_held_back():
    """The penalty comes in every eighth step, and then flattens."""
    steep = {}
    for penalty in (0.0, 100.0):
        torch.manual_seed(0)
        loss = AdversarialLoss(Discriminator(8), learning_rate=2e-3, penalty=penalty)
        for seed in range(17):
            loss.update(*pair(seed))
        images = [image.requires_grad_() for image in pair(99)]
        steep[penalty] = squared_gradients([loss.judge(image) for image in images], images).item()
    assert steep[100.0] < 0.5 * steep[0.0]


def test_it_goes_on_bit_for_bit():
    whole, resumed = (AdversarialLoss(Discriminator(8)) for _ in range(2))
    for seed in range(5):
        whole.update(*pair(seed))
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for seed in range(5, 12):
        assert torch.equal(whole.update(*pair(seed)), resumed.update(*pair(seed)))


def test_another_discriminator_is_an_argument():
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, image: Tensor) -> Tensor:
            return self.weight * image.square().mean((1, 2, 3))

    loss, (sr, hr) = AdversarialLoss(Flat()), pair()
    assert loss(sr, hr) > math.log(2)
