"""Chapter 08: paired differences, luck, the margin, the bare high-pass, and three exercises about fair comparisons."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from scipy.stats import t as student
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...network.elsface import ELSFace, ELSFaceConfig
from .compare import NO_GRADIENT, Checks, Function, compare

OF_THE_CNN_STREAM = {"cnn_blocks", "cnn_kernel", "cnn_recursions"}
OF_THE_HFEBS = {"hfebs", "hfeb_blocks", "hfeb_kernel", "hfeb_skip"}


def _factor(free: float, comparisons: int = 1, sides: int = 2) -> float:
    return float(student.ppf(1 - 0.05 / sides / comparisons, df=free))


def _scores(*shape: int, seed: int = 0) -> Tensor:
    """Like the PSNRs of a table: rows differ by much, columns a little, and each number has luck of its own."""
    random = torch.Generator().manual_seed(seed)
    rows, luck = (torch.randn(some, generator=random).double() for some in ((shape[0], 1), shape))
    return 28 + rows + 0.1 * torch.arange(shape[1]) + 0.05 * luck


def _numbers(answer: Any) -> Function:
    """The function, with its two numbers as a tuple, however it gives them."""

    def numbers(*case: Any) -> Any:
        found = answer(*case)
        if found is None:
            return None
        first, second = found
        return float(first), float(second)

    return numbers


def check_paired_difference(answer: Any) -> str:
    def right(
        variant: Tensor, against: Tensor, width: float = 1, root: bool = True, correction: int = 1, factor: Any = None
    ) -> tuple[float, float]:
        gains, count = variant - against, len(variant)
        spread = gains.std(correction=correction).item() / (math.sqrt(count) if root else 1)
        return gains.mean().item(), width * spread * (factor or _factor(count - 1))

    def apart(variant: Tensor, against: Tensor) -> tuple[float, float]:
        count = len(variant)
        spread = ((variant.var() + against.var()) / count).sqrt().item()
        return (variant - against).mean().item(), spread * _factor(count - 1)

    mistakes: dict[str, Function] = {
        "The sign is wrong: what has the variant more than all parts?": lambda v, a: right(a, v),
        "1.96 is for a deviation that is known: `factor(number - 1)` is for one that is guessed.": lambda v, a: right(
            v, a, factor=1.96
        ),
        "The factor has one degree of freedom less than there are seeds.": lambda v, a: right(
            v, a, factor=_factor(len(v))
        ),
        "The mean of several differences is steadier than one: divide by the root of their number.": lambda v, a: right(
            v, a, root=False
        ),
        "A guessed standard deviation divides by the number less 1.": lambda v, a: right(v, a, correction=0),
        "That is the whole width: half of it is asked for, from the mean to one end.": lambda v, a: right(v, a, 2),
        "Those are not paired: take the differences seed by seed, then their standard deviation.": apart,
        "Those are the ends: the mean and half of the width are asked for.": lambda v, a: (
            right(v, a)[0] - right(v, a)[1],
            sum(right(v, a)),
        ),
        "The factor for half of the width is missing.": lambda v, a: right(v, a, factor=1),
    }
    cases = [tuple(_scores(2, seeds, seed=seeds)) for seeds in (2, 3, 5)]
    return compare(_numbers(answer), right, [*cases, cases[0][::-1]], mistakes, tolerance=1e-4)  # one is a loss


def _luck(y: Tensor, rows: bool = True, columns: bool = True, whole: bool = True) -> tuple[float, int]:
    rest = y - rows * y.mean(1, keepdim=True) - columns * y.mean(0) + whole * y.mean()
    free = (y.shape[0] - 1) * (y.shape[1] - 1)
    return math.sqrt(rest.square().sum().item() / free), free


def check_luck(answer: Any) -> str:
    def divided(count: Callable[[int, int], int], given: bool = True) -> Function:
        """Another number for the degrees of freedom; `given` whether it is what comes back as well."""

        def wrong(y: Tensor) -> tuple[float, int]:
            sigma, free = _luck(y)
            other = count(*y.shape)
            return sigma * math.sqrt(free / other), other if given else free

        return wrong

    mistakes: dict[str, Function] = {
        "The mean of everything was taken away twice: add it once.": lambda y: _luck(y, whole=False),
        "Only the rows' means are taken away: what a seed gives to all is still in it.": lambda y: _luck(
            y, columns=False, whole=False
        ),
        "Only the columns' means are taken away: what the variants are worth is still in it.": lambda y: _luck(
            y, rows=False, whole=False
        ),
        "That is the variance: take the root.": lambda y: (_luck(y)[0] ** 2, _luck(y)[1]),
        "The sum of squares is divided by all numbers: divide it by the degrees of freedom.": divided(
            lambda v, s: v * s, given=False
        ),
        "The degrees of freedom are not the number of values: how many of them does the rest leave free?": divided(
            lambda v, s: v * s
        ),
        "V n - 1 counts too many: rows and columns both sum to zero.": divided(lambda v, s: v * s - 1),
        "V (n - 1) counts one too many a seed: the columns sum to zero as well.": divided(lambda v, s: v * (s - 1)),
    }
    cases = [(_scores(*shape, seed=shape[0]),) for shape in ((12, 2), (4, 3), (3, 5))]
    return compare(_numbers(answer), _luck, cases, mistakes, tolerance=1e-5)


def check_margin(answer: Any) -> str:
    def right(
        y: Tensor, k: int, two: int = 2, sides: int = 2, share: bool = True, root: bool = True, free: Any = None
    ) -> float:
        sigma, degrees = _luck(y)
        degrees = free(*y.shape) if free else degrees
        return sigma * math.sqrt(two / (y.shape[1] if root else 1)) * _factor(degrees, k if share else 1, sides)

    mistakes: dict[str, Function] = {
        "The number of comparisons is ignored: they share the 5 %.": lambda y, k: right(y, k, share=False),
        "The number of comparisons does not multiply the margin: it divides the 5 %.": lambda y, k: (
            k * right(y, k, share=False)
        ),
        "A difference has the luck of two means: the 2 under the root is missing.": lambda y, k: right(y, k, two=1),
        "The mean over seeds is steadier than one run: divide by the root of their number.": lambda y, k: right(
            y, k, root=False
        ),
        "Luck goes both ways: 2.5 % on each side, shared by the comparisons.": lambda y, k: right(y, k, sides=1),
        "1.96 is for luck that is known; this one was guessed.": lambda y, k: (
            _luck(y)[0] * math.sqrt(2 / y.shape[1]) * 1.96
        ),
        "The factor takes the degrees of freedom of `luck`.": lambda y, k: right(y, k, free=lambda v, s: s - 1),
        "The factor takes the degrees of freedom, not the number of values.": lambda y, k: right(
            y, k, free=lambda v, s: v * s
        ),
    }
    cases = [(_scores(12, 2), 11), (_scores(5, 3, seed=1), 1), (_scores(5, 2, seed=2), 4)]
    return compare(answer, right, cases, mistakes, tolerance=1e-4)


def _small() -> ELSFace:
    """A network that is not silent: its last convolution, zero at the start, is drawn as well."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ELSFace(ELSFaceConfig.lite(channels=12, hfebs=2, hfeb_blocks=1, out_channels=4))
        nn.init.normal_(network.upsample[-1].weight, std=0.1)  # type: ignore[arg-type]
    return network


@contextmanager
def _classes_kept(network: nn.Module) -> Iterator[None]:
    """What a function does to whole classes ends with the block."""
    classes = {kind for part in network.modules() for kind in type(part).__mro__ if issubclass(kind, nn.Module)}
    kept = {kind: vars(kind)["forward"] for kind in classes if "forward" in vars(kind)}
    try:
        yield
    finally:
        for kind, forward in kept.items():
            kind.forward = forward


POISONS = "It changes a class, and so every network that is built later: change the parts of this network alone."
COPY = "In a copy it still uses the network that it was made of, and the trainer copies a network for its averages."


@torch.no_grad()
def check_only_r(answer: Any) -> str:
    network, x = _small(), torch.rand(1, 12, 9, 8, generator=torch.Generator().manual_seed(0))
    names, other = list(network.state_dict()), cast(nn.Module, _small().hfebs[1].high_pass)
    before = other(x)
    with _classes_kept(network):
        answer(network)
        if not torch.equal(other(x), before):
            return POISONS
        if list(network.state_dict()) != names:
            return "Names or number of the parameters have changed: weights of before could not be loaded."
        parts = [hfeb.high_pass for hfeb in cast(Any, network.hfebs)]
        silenced = not any(part.upsample[0].weight.any() for part in parts)
        with torch.enable_grad():
            deaf = not all(part(x).requires_grad for part in parts)
        # In a copy with other weights, as the trainer makes it.
        problem = _subtracting(network, x, silenced) or _subtracting(copy.deepcopy(network), x, silenced, COPY)
        return problem or (NO_GRADIENT if deaf else "")


def _subtracting(network: Any, x: Tensor, silenced: bool, words: str = "") -> str:
    """What is wrong if some high-pass, with new weights, does not give what its body gives."""
    random = torch.Generator().manual_seed(len(words))  # a copy gets others
    for parameter in network.parameters():
        parameter.copy_(0.05 * torch.randn(parameter.shape, generator=random))
    parts = [hfeb.high_pass for hfeb in network.hfebs]
    wanted, found = ([function(x) for function in some] for some in ([part.body for part in parts], parts))
    if all(map(torch.equal, found, wanted)):
        return ""
    if words:
        return words
    if silenced:
        return "You set weights to zero: training would move them again. Nothing may be subtracted, whatever they are."
    if all(torch.equal(one, wanted[-1]) for one in found):
        return "Every high-pass gives the body of the last one: a function made in a loop sees the last `part`."
    first = next(i for i, (one, other) in enumerate(zip(found, wanted, strict=True)) if not torch.equal(one, other))
    return f"The high-pass of HFEB {first} still gives something else than `body(x)`."


def check_seeds(answer: Any) -> str:
    seeds, comparisons, sigma, wanted = float(answer), 11, 0.01, 0.01
    if seeds != round(seeds) or seeds < 2:
        return "A whole number of seeds is asked for, two or more: with one seed there are no degrees of freedom."

    def margin(number: float) -> float:
        return sigma * math.sqrt(2 / number) * _factor(comparisons * (number - 1), comparisons)

    if margin(seeds) > wanted:
        return f"With {seeds:.0f} seeds the margin is {margin(seeds):.4f} dB: too wide still."
    if seeds > 2 and margin(seeds - 1) <= wanted:
        return f"With {seeds:.0f} seeds the margin is {margin(seeds):.4f} dB: enough, but fewer do it too."
    return ""


def _costs(config: ELSFaceConfig) -> tuple[float, float]:
    """Parameters, and multiply-adds for a face."""
    network = ELSFace(config)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 32, 32))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 2


def check_opponent(answer: Any) -> str:
    if answer.hfebs:
        return "It still has HFEBs: hfebs=0, and with them goes hfeb_skip."
    lite = ELSFaceConfig.lite()
    before, after = lite.to_dict(), answer.to_dict()
    changed = {name for name in before if before[name] != after[name]} - OF_THE_CNN_STREAM - OF_THE_HFEBS
    if changed:
        return f"You also changed {', '.join(sorted(changed))}, a confounder: only the CNN stream may grow."
    shares = [mine / theirs for mine, theirs in zip(_costs(answer), _costs(lite), strict=True)]
    if all(0.9 <= share <= 1.1 for share in shares):
        return ""
    told = "It has {:.0%} of the parameters and {:.0%} of the multiply-adds".format(*shares)
    return f"{told}; both should be near 100 %. Which field multiplies one and not the other?"


def check_idea(answer: Any) -> str:
    network, lr = _small(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    old = {id(parameter) for parameter in network.parameters()}
    with torch.no_grad():
        before = network(lr)
    with _classes_kept(network), torch.enable_grad():
        answer(network)
        if not torch.allclose(_small()(lr), before, atol=1e-5):
            return POISONS
        parameters = list(network.parameters())
        new = [i for i, parameter in enumerate(parameters) if id(parameter) not in old]
        after = network(lr)
        if after.shape != before.shape:
            return f"The faces should stay {tuple(before.shape)}; yours are {tuple(after.shape)}."
        if not new:
            return "The network has no parameter that it did not have: make your idea a module, and the module a part."
        apart = (after - before).abs().max().item()
        if not apart < 1e-4:
            return f"It does not begin as nothing: the faces change by up to {255 * apart:.2g} levels of 255."
        weights = torch.rand(after.shape, generator=torch.Generator().manual_seed(1))
        grads = torch.autograd.grad((weights * after).sum(), [parameters[i] for i in new], materialize_grads=True)
        if not all(grad.isfinite().all() for grad in grads):
            return "The first gradient is infinite or NaN, and one step would make the weights so."
        if not any(grad.any() for grad in grads):
            return "No new parameter gets a gradient: it begins as nothing, and stays nothing."
        return _deaf_copy(network, new, lr)


@torch.no_grad()
def _deaf_copy(network: nn.Module, new: list[int], lr: Tensor) -> str:
    """What is wrong if a copy answers as before when its new parameters, here by their places, change."""
    before, twin = network(lr), copy.deepcopy(network)
    random = torch.Generator().manual_seed(2)
    parameters = list(twin.parameters())
    for i in new:
        parameters[i].add_(torch.randn(parameters[i].shape, generator=random))
    return COPY if torch.allclose(twin(lr), before, atol=1e-5) else ""


CHECKS: Checks = {
    "paired_difference": check_paired_difference,
    "luck": check_luck,
    "margin": check_margin,
    "only_r": check_only_r,
    "08.1": check_seeds,
    "08.2": check_opponent,
    "08.3": check_idea,
}
