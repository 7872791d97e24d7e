"""Muon: what it changes, by how much, and that it is an optimizer like any other."""

import copy
import pickle

import pytest
import torch
from torch import nn

from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.optim import Muon, muon_groups, orthogonalize

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
    hidden, rest = (set(map(id, group["params"])) for group in muon_groups(model))
    names = {name for name, weight in model.named_parameters() if id(weight) in hidden}
    assert len(hidden) + len(rest) == len(list(model.parameters()))
    assert "transformer.rstb.layers.0.attention.qkv.weight" in names
    assert "hfebs.0.blocks.0.body.0.weight" in names
    left = {name for name, weight in model.named_parameters() if name not in names and weight.ndim > 1}
    assert left == {
        "prepare.head.0.weight",
        "prepare.encoder.body.0.weight",
        "transformer.rstb.layers.0.attention.bias_table",
        "upsample.2.weight",
    }


class Odd(nn.Module):
    """Of everything something: what joins features, and what only looks like it."""

    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(4, 1, 1))
        self.tokens = nn.Parameter(torch.rand(16, 8))
        self.joins = nn.Conv2d(8, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.colours = nn.Conv2d(8, 3, 1)
        self.table = nn.Embedding(9, 8)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.again = nn.Sequential(self.joins, nn.Linear(8, 16), nn.BatchNorm2d(8))


def test_scalars_tables_and_kernels_in_groups_go_to_adam():
    model = Odd()
    hidden, rest = (group["params"] for group in muon_groups(model))
    assert [id(weight) for weight in hidden] == [id(model.joins.weight), id(model.again[1].weight)]
    assert len(rest) + 2 == len(list(model.parameters()))
    assert [len(group["params"]) for group in muon_groups(nn.BatchNorm2d(4))] == [0, 2]
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer = Muon(model.parameters())  # without groups, the shape decides
    optimizer.step()
    moved = {name for name, weight in model.named_parameters() if "momentum" in optimizer.state[weight]}
    assert moved >= {"joins.weight", "tokens", "depthwise.weight"} and "temperature" not in moved


def test_the_first_steps_are_what_they_were():
    """Bit for bit those of Muon as it trained the shipped weights; and its numbers, as it gave them on another day."""

    def by_hand(model: ELSFace, states: dict, adam: torch.optim.Adam, rate: float) -> None:
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and 3 not in weight.shape[:2] and not name.endswith("bias_table"):
                momentum = states.setdefault(name, torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - 0.95)
                update = torch.stack([weight.grad.lerp(momentum, 0.95)]).flatten(2)
                scale = 0.2 * max(update.shape[1:]) ** 0.5
                weight.data.sub_(orthogonalize(update)[0].view(weight.shape), alpha=rate * scale)
                weight.grad = None
        adam.step()

    torch.manual_seed(0)
    model = ELSFace(TINY).to(memory_format=torch.channels_last)
    twin = copy.deepcopy(model)
    ours, states = Muon(muon_groups(model), 1e-3, (0.9, 0.99)), {}
    adam = torch.optim.Adam(twin.parameters(), 1e-3, (0.9, 0.99))
    for step in range(5):
        rate = 1e-3 * (1 + step)
        for group in [*ours.param_groups, *adam.param_groups]:
            group["lr"] = rate
        torch.manual_seed(step)
        lr, hr = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 64, 64)
        for network, optimizer in ((model, ours), (twin, adam)):
            optimizer.zero_grad()
            (network(lr) - hr).abs().mean().backward()
        ours.step()
        by_hand(twin, states, adam, rate)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True)), step
    sums = {name: weight.double().sum().item() for name, weight in model.state_dict().items()}
    assert sums["cnn.body.0.weight"] == pytest.approx(-0.25937, abs=1e-3)
    assert sums["upsample.2.weight"] == pytest.approx(-0.18108, abs=1e-3)
    assert sums["transformer.rstb.layers.0.attention.qkv.weight"] == pytest.approx(-5.99465, abs=1e-3)
    assert sums["prepare.encoder.to_styles.bias"] == pytest.approx(0.56171, abs=1e-3)


def test_the_closure_comes_first_and_may_compute_gradients():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), torch.rand(4, 8)
    twin = copy.deepcopy(model)
    optimizer, plain = Muon(model.parameters()), Muon(twin.parameters())

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        with torch.no_grad():  # as some loops call it
            loss = optimizer.step(closure=closure)
        plain.zero_grad()
        expected = twin(x).square().mean()
        expected.backward()
        assert plain.step() is None
        assert torch.equal(loss, expected)
        assert all(weight.grad is not None for weight in model.parameters()), "the gradients are not used up"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_it_works_with_schedulers_hooks_scalers_and_copies():
    model = ELSFace(TINY)
    optimizer = Muon(muon_groups(model), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    called = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(2):
        scaler.scale(model(torch.rand(1, 3, 8, 8)).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    assert called == ["before", "after"] * 2
    assert {group["lr"] for group in optimizer.param_groups} == {0.025}
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        for group in twin.param_groups:
            for weight in group["params"]:
                weight.grad = torch.ones_like(weight)
        twin.step()
        assert twin.state_dict().keys() == optimizer.state_dict().keys()
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(3))], "orthogonal": False, "lr": 1.0})
    assert optimizer.param_groups[-1]["momentum"] == 0.95


def test_weight_decay_shrinks_every_parameter_by_the_same_share():
    model = ELSFace(TINY)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1.0)
            weight.grad = torch.zeros_like(weight)
    Muon(muon_groups(model), lr=0.1, weight_decay=0.5).step()
    for weight in model.parameters():
        torch.testing.assert_close(weight, torch.full_like(weight, 0.95))


def test_low_precision_weights_are_stepped_in_float32():
    weight = nn.Parameter(torch.randn(8, 8, dtype=torch.bfloat16))
    assert one_step(Muon([weight], lr=0.1), weight, torch.randn(8, 8, dtype=torch.bfloat16)).isfinite().all()
    assert orthogonalize(torch.eye(4, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"lr": -1.0}, {"betas": (1.0, 0.9)}, {"weight_decay": -1.0}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError):
        Muon([nn.Parameter(torch.ones(2, 2))], **wrong)


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
    ours = Muon(layers[0].parameters(), lr=0.01)
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
    change = one_step(Muon(kernel.parameters(), lr=0.01), kernel.weight, torch.randn(64, 32, 3, 3))
    assert 0.1 < change.square().mean().sqrt() / 0.01 < 0.4  # Adam's is 0.2 to 0.4 in practice (Liu et al. 2025)


def test_memory_layout_does_not_matter():
    changes = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        kernel = nn.Conv2d(32, 64, 3).to(memory_format=layout)
        changes.append(one_step(Muon(kernel.parameters(), lr=0.01), kernel.weight, torch.randn(64, 32, 3, 3)))
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
    train(whole, Muon(muon_groups(whole), lr=1e-3), range(4))
    first = Muon(muon_groups(halves[0]), lr=1e-3)
    train(halves[0], first, range(2))
    halves[1].load_state_dict(halves[0].state_dict())
    second = Muon(muon_groups(halves[1]), lr=1e-3)
    second.load_state_dict(first.state_dict())
    train(halves[1], second, range(2, 4))
    for a, b in zip(whole.parameters(), halves[1].parameters(), strict=True):
        assert torch.equal(a, b)
