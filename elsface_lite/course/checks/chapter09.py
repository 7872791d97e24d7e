"""Chapter 09: the expected loss, Haar bands, the adversarial loss and its penalty; its exercises: exercises09.py."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...training.adversarial import AdversarialLoss, Discriminator, squared_gradients
from ..wavelet import haar_bands
from .compare import FORGOTTEN, Checks, Function, compare


def random(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1], the same for a seed."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def expected_loss(answer: Tensor, faces: Tensor, chances: Tensor, power: int) -> Tensor:
    """What chapter 09 asks for first: the mean over all faces that fit, each as often as it is the true one.

    Args:
        answer: (3, h, w).
        faces: (n, 3, h, w).
        chances: (n,), with the sum 1.
        power: 1 for L1, 2 for squares.
    """
    return (chances * (answer - faces).abs().pow(power).flatten(1).mean(1)).sum()


def check_expected_loss(answer: Any) -> str:
    def of(a: Tensor, faces: Tensor) -> Tensor:
        return (a - faces).abs().flatten(1)

    mistakes: dict[str, Function] = {
        "The chances are ignored: a likelier face has to count for more.": lambda a, f, c, p: of(a, f).pow(p).mean(),
        "You divide by the number of faces as well: the chances have the sum 1 already.": lambda a, f, c, p: (
            c * of(a, f).pow(p).mean(1)
        ).mean(),
        "The sum over pixels should be a mean.": lambda a, f, c, p: (c * of(a, f).pow(p).sum(1)).sum(),
        "Power first, then the mean over the pixels: yours is a power of a mean.": lambda a, f, c, p: (
            c * of(a, f).mean(1).pow(p)
        ).sum(),
        "That is the loss of the mean face: take the loss of each face first, then the mean of the losses.": (
            lambda a, f, c, p: (a - torch.einsum("n,n...->...", c, f)).abs().pow(p).mean()
        ),
        "Without absolute values errors cancel: power 1 needs them.": lambda a, f, c, p: (
            c * (a - f).pow(p).flatten(1).mean(1)
        ).sum(),
        "The power is ignored: L1 whatever is asked for.": lambda a, f, c, p: (c * of(a, f).mean(1)).sum(),
        "The power is ignored: squares whatever is asked for.": lambda a, f, c, p: (c * of(a, f).pow(2).mean(1)).sum(),
    }
    cases = []
    for seed, (n, height, width) in enumerate([(2, 6, 5), (5, 4, 4), (3, 3, 8)]):
        chances = random(n, seed=seed + 9) + 0.1
        faces = random(n, 3, height, width, seed=seed)
        cases.append((random(3, height, width, seed=seed + 5), faces, chances / chances.sum(), 1 + seed % 2))
    return compare(answer, expected_loss, cases, mistakes, tolerance=1e-5)


def _grouped(bands: list[Tensor]) -> Tensor:
    """(b, 9, h, w) ordered by colour first: what a convolution by groups gives."""
    return torch.stack(bands, 2).flatten(1, 2)


def check_haar_bands(answer: Any) -> str:
    def bands(image: Tensor, order: tuple[int, ...] = (0, 1, 2), factor: float = 1.0) -> tuple[Tensor, Tensor]:
        low, high = haar_bands(image)
        parts = high.split(3, 1)
        return factor * low, factor * torch.cat([parts[i] for i in order], 1)

    def everywhere(image: Tensor) -> tuple[Tensor, Tensor]:
        a, b = image[..., :-1, :-1], image[..., :-1, 1:]
        c, d = image[..., 1:, :-1], image[..., 1:, 1:]
        return (a + b + c + d) / 2, torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2

    mistakes: dict[str, Function] = {
        "Divide by 2, not by 4: then the bands have the squares that the pixels have.": lambda x: bands(x, factor=0.5),
        "Sums and differences of four have to be divided by 2.": lambda x: bands(x, factor=2.0),
        "Only the low band is divided rightly: the high ones need the same factor.": lambda x: (
            haar_bands(x)[0], 2 * haar_bands(x)[1]
        ),
        "The first two high bands are swapped: along x, left less right, comes first.": lambda x: bands(x, (1, 0, 2)),
        "The order should be: along x, along y, crosswise.": lambda x: bands(x, (2, 0, 1)),
        "The signs of the high bands are turned: the left and the upper pixel count as plus.": lambda x: (
            haar_bands(x)[0], -haar_bands(x)[1]
        ),
        "The nine are sorted by colour: all three colours of a band come first, then the next band.": lambda x: (
            haar_bands(x)[0], _grouped(list(haar_bands(x)[1].split(3, 1)))
        ),
        "The blocks overlap: take every second pixel only.": everywhere,
        "Low and high are swapped.": lambda x: haar_bands(x)[::-1],
    }  # fmt: skip
    cases = [(random(*shape, seed=i),) for i, shape in enumerate([(2, 3, 8, 12), (1, 3, 6, 4), (3, 3, 2, 2)])]
    return compare(answer, haar_bands, cases, mistakes, tolerance=1e-5)


def _judges() -> list[tuple[AdversarialLoss, Tensor, Tensor]]:
    """Losses with discriminators of their own, and SR and HR."""
    cases = []
    for seed, (n, height, width) in enumerate([(2, 32, 16), (3, 16, 16)]):
        torch.manual_seed(seed)
        loss, hr = AdversarialLoss(Discriminator(8)), random(n, 3, height, width, seed=seed)
        loss.discriminator.layers[-1].weight.mul_(10)  # type: ignore[index, union-attr]  # a mean is no sum of means then
        cases.append((loss, (0.7 * hr + 0.3 * random(n, 3, height, width, seed=seed + 5)).detach(), hr))
    return cases


def check_adversarial_loss(answer: Any) -> str:
    mistakes: dict[str, Function] = {
        "That is what the discriminator minimises: the network wants SR to look more real than HR.": lambda m, s, h: (
            F.softplus(m.judge(s) - m.judge(h)).mean()
        ),
        "The judge sees pictures, one at a time: you show it the difference of two.": lambda m, s, h: F.softplus(
            m.judge(h - s)
        ).mean(),
        "SR is judged alone: relativistic means, compared with HR.": lambda m, s, h: F.softplus(-m.judge(s)).mean(),
        "Each judgement is compared, then comes the mean: you compare the means.": lambda m, s, h: F.softplus(
            m.judge(h).mean() - m.judge(s).mean()
        ),
        "SR is compared with the mean of all judgements of HR: compare place by place.": lambda m, s, h: F.softplus(
            m.judge(h).mean() - m.judge(s)
        ).mean(),
        "A sum over all judgements: one number, their mean, is asked for.": lambda m, s, h: F.softplus(
            m.judge(h) - m.judge(s)
        ).sum(),
        "The mean over the judgements is missing.": lambda m, s, h: F.softplus(m.judge(h) - m.judge(s)),
        "The softplus is missing: a plain difference has no end.": lambda m, s, h: (m.judge(h) - m.judge(s)).mean(),
        "That is a ReLU: softplus is smooth, log(1 + exp(x)).": lambda m, s, h: F.relu(m.judge(h) - m.judge(s)).mean(),
        "That is a hinge: softplus is smooth, log(1 + exp(x)).": lambda m, s, h: F.relu(
            1 + m.judge(h) - m.judge(s)
        ).mean(),
        "That is a sigmoid: softplus is log(1 + exp(x)).": lambda m, s, h: (m.judge(h) - m.judge(s)).sigmoid().mean(),
        "The sign of the logarithm is turned.": lambda m, s, h: F.logsigmoid(m.judge(s) - m.judge(h)).mean(),
        "The exponential is taken without 1 +: softplus is log(1 + exp(x)).": lambda m, s, h: (
            (m.judge(h) - m.judge(s)).exp().mean()
        ),
    }
    cases = _judges()
    problem = compare(answer, AdversarialLoss.forward, cases, mistakes, tolerance=1e-4)
    for loss, sr, hr in cases if not problem else []:
        mine, theirs = (_to_sr(function, loss, sr, hr) for function in (answer, AdversarialLoss.forward))
        problem = problem or compare(mine, theirs, [(sr,)], tolerance=1e-4, gradient=True)
    return problem


def _to_sr(function: Function, loss: AdversarialLoss, sr: Tensor, hr: Tensor) -> Function:
    """A function of SR alone, to which the gradient has to come."""
    return lambda sr: function(loss, sr, hr)


class _Curved(nn.Module):
    """A judge whose slope differs from place to place."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.first(image).tanh())


Penalty = Callable[[list[Tensor], list[Tensor]], Any]


def _penalty(function: Penalty, seed: int, asked: bool = True) -> tuple[Any, list[Tensor | None], bool]:
    """What a penalty is for a judge of its own, its gradients to the judge's weights, and whether some lie in them."""
    judge = _Curved(seed)
    shape = [(2, 3, 6, 4), (3, 3, 4, 8)][seed % 2]
    images = [(random(*shape, seed=seed + i)).requires_grad_(asked) for i in (3, 8)]
    judgements = [judge(2 * image) for image in images]
    found, weights = function(judgements, images), list(judge.parameters())
    left = any(weight.grad is not None for weight in weights)
    if not isinstance(found, Tensor) or not found.requires_grad or found.ndim:
        return found, [], left
    return found, list(torch.autograd.grad(found, weights, allow_unused=True)), left


def _slopes(judgements: list[Tensor], images: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad([one.sum() for one in judgements], images, create_graph=True))


def _each_slope(judgements: list[Tensor], images: list[Tensor]) -> list[Tensor]:
    """A gradient for every single judgement."""
    pairs = zip(judgements, images, strict=True)
    return [torch.autograd.grad(one, image, create_graph=True)[0] for some, image in pairs for one in some.flatten()]


def _squares(slopes: list[Tensor]) -> Tensor:
    return torch.stack([slope.square().sum() for slope in slopes]).sum()


PENALTIES: dict[str, Penalty] = {
    "You take the gradient of each single judgement: take that of the sum of all judgements of a batch.": lambda j, x: (
        _squares(_each_slope(j, x)) / j[0].numel()
    ),
    "Only the first batch is penalised: add up both.": lambda j, x: _squares(_slopes(j, x)[:1]) / j[0].numel(),
    "Only the second batch is penalised: add up both.": lambda j, x: _squares(_slopes(j, x)[1:]) / j[0].numel(),
    "A sum: divide by the number of judgements of one batch.": lambda j, x: _squares(_slopes(j, x)),
    "You divide by the number of images: a judge gives several judgements an image.": lambda j, x: (
        _squares(_slopes(j, x)) / len(x[0])
    ),
    "You divide by the number of pixels: divide by that of judgements.": lambda j, x: (
        _squares(_slopes(j, x)) / x[0].numel()
    ),
    "You divide by the judgements of both batches: those of one are meant, since the two are added up.": lambda j, x: (
        _squares(_slopes(j, x)) / (2 * j[0].numel())
    ),
    "Those are norms: the squares are asked for, without a root.": lambda j, x: torch.stack(
        [slope.flatten(1).norm(dim=1).sum() / j[0].numel() for slope in _slopes(j, x)]
    ).sum(),
    "You take the gradient of the mean judgement, and square that: take that of the sum, and divide at the end.": (
        lambda j, x: _squares(_slopes([one.mean() for one in j], x))
    ),
}


@torch.enable_grad()
def check_squared_gradients(answer: Any) -> str:
    for seed in range(3):
        (found, gradients, left), (right, wanted, _) = (_penalty(f, seed) for f in (answer, squared_gradients))
        if found is None:
            return FORGOTTEN
        value = torch.as_tensor(found).detach()
        if value.shape != ():
            return f"One number is asked for; yours has the shape {tuple(value.shape)}."
        if not math.isclose(value.item(), right.item(), rel_tol=1e-3):
            return _known_penalty(value, seed) or f"You give {value.item():.4g} and not {right.item():.4g}."
        if left:
            return "The value is right, but gradients are left in the judge's weights: `autograd.grad` leaves none."
        if not gradients:
            return "The value is right, but the discriminator cannot learn from it: `create_graph=True` is missing."
        pairs = zip(gradients, wanted, strict=True)
        if not all(theirs is None or (mine is not None and _near(mine, theirs)) for mine, theirs in pairs):
            return "The value is right, but not its gradient to the discriminator's weights: detach nothing."
    try:
        nothing = float(_penalty(answer, 0, asked=False)[0])
    except RuntimeError:
        return "Where the images ask for no gradient (`images[0].requires_grad` is False) it should give 0."
    return "" if nothing == 0 else f"Where the images ask for no gradient it should give 0, not {nothing:.4g}."


def _near(mine: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def _known_penalty(value: Tensor, seed: int) -> str:
    for words, mistake in PENALTIES.items():
        if math.isclose(_penalty(mistake, seed)[0].item(), value.item(), rel_tol=1e-4):
            return words
    return ""


CHECKS: Checks = {
    "expected_loss": check_expected_loss,
    "haar_bands": check_haar_bands,
    "AdversarialLoss.forward": check_adversarial_loss,
    "squared_gradients": check_squared_gradients,
}
