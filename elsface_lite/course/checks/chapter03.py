"""Chapter 03: the residual block, the stream, its receptive field, and three exercises about how far it sees."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...network.blocks import ResidualBlock
from ...network.cnn import CNNStream
from .compare import FORGOTTEN, Checks, compare


def _features(channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn((2, channels, height, width), generator=torch.Generator().manual_seed(seed))


def check_residual_block(answer: Any) -> str:
    cases = []
    for seed, (channels, kernel) in enumerate([(4, 3), (3, 5), (2, 3)]):
        torch.manual_seed(seed)
        mine, theirs = answer(channels, kernel), ResidualBlock(channels, kernel)
        if [w.shape for w in mine.parameters()] != [w.shape for w in theirs.parameters()]:
            return _built(mine, theirs)
        mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))
        cases.append((mine, theirs, _features(channels, 9, 7 + seed, seed)))
    for mine, _, x in cases:
        before = x.clone()
        if mine(x) is None:
            return FORGOTTEN
        if not torch.equal(x, before):
            return "It writes into its own input, which whoever called it still has: make a new tensor."
    mistakes = {
        "The input is not added.": lambda block, x: block.body(x.clone()),
        "A ReLU comes after the sum: what is negative in the input has to get past.": lambda block, x: (
            x + block.body(x.clone())
        ).relu(),
        "There is no ReLU between the convolutions.": lambda block, x: x + block.body[2](block.body[0](x)),
        "A ReLU comes before the first convolution.": lambda block, x: x + block.body(x.relu()),
        "What is added is scaled by 0.1: this block adds all of it.": lambda block, x: x + 0.1 * block.body(x.clone()),
        "Your ReLU lets a part of negative values through: a plain ReLU is asked for.": lambda block, x: (
            x + block.body[2](F.leaky_relu(block.body[0](x)))
        ),
        "Your ReLU lets a fifth of negative values through: a plain ReLU is asked for.": lambda block, x: (
            x + block.body[2](F.leaky_relu(block.body[0](x), 0.2))
        ),
        "Beyond the border you reflect: zero padding is asked for, as `conv` does it.": lambda block, x: (
            x + _padded(block.body[2], _padded(block.body[0], x, "reflect").relu(), "reflect")
        ),
        "Beyond the border you repeat the last value: zero padding is asked for, as `conv` does it.": lambda block, x: (
            x + _padded(block.body[2], _padded(block.body[0], x, "replicate").relu(), "replicate")
        ),
        "A ReLU comes after the second convolution: what is added could never be negative.": lambda block, x: (
            x + block.body(x.clone()).relu()
        ),
    }
    for mine, theirs, x in cases:
        hints = {words: partial(mistake, theirs) for words, mistake in mistakes.items()}
        problem = compare(mine, theirs, [(x,)], hints, tolerance=1e-5) or _learns(mine, theirs, x)
        if problem:
            return problem
    return ""


def _learns(mine: nn.Module, theirs: nn.Module, x: Tensor) -> str:
    """What is wrong with its gradients, beside the reference's with the weights of the answer themselves."""

    def carried(block: nn.Module, x: Tensor) -> Any:
        weights: dict[str, Tensor] = dict(zip(dict(theirs.named_parameters()), block.parameters(), strict=True))
        return torch.func.functional_call(theirs, weights, (x,))

    return compare(lambda block, x: block(x), carried, [(mine, x)], tolerance=1e-5, gradient=True)


def _padded(layer: Any, x: Tensor, mode: str) -> Tensor:
    half = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(x, 4 * [half], mode=mode), layer.weight, layer.bias)


def _built(mine: nn.Module, theirs: nn.Module) -> str:
    if not list(mine.parameters()):
        return "It has no weights yet: `__init__` should put conv, ReLU, conv into self.body."
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in mine.modules()):
        return "There is a batch normalisation in it: this block has none."
    shapes = ([tuple(w.shape) for w in block.parameters()] for block in (mine, theirs))
    return "Its weights should have the shapes {1}; yours have {0}. Two convolutions of kernel_size.".format(*shapes)


def check_stream_forward(answer: Any) -> str:
    cases = []
    for seed, (channels, blocks, kernel, recursions) in enumerate([(3, 1, 3, 2), (2, 2, 5, 3), (4, 1, 3, 1)]):
        torch.manual_seed(seed)
        cases.append((CNNStream(channels, blocks, kernel, recursions), _features(channels, 8, 9 + seed, seed)))

    def passes(stream: Any, x: Tensor, more: int = 0, first: float = 0, last: float = 0) -> Tensor:
        begin = x
        for _ in range(stream.recursions + more):
            x = stream.body(x) + first * begin + last * x
        return x

    mistakes = {
        "This is one pass, whatever self.recursions says.": lambda stream, x: stream.body(x),
        "This is one pass too many.": lambda stream, x: passes(stream, x, 1),
        "This is one pass too few.": lambda stream, x: passes(stream, x, -1),
        "You add the first input after every pass: the stream itself has no such shortcut.": lambda stream, x: passes(
            stream, x, first=1
        ),
        "You add its input to what each pass gives: the stream itself has no such shortcut.": lambda stream, x: passes(
            stream, x, last=1
        ),
        "You add the input at the end: the stream itself has no such shortcut.": lambda stream, x: (
            x + passes(stream, x)
        ),
        "You add up the outputs of passes over the same input: each pass goes over the last one's output.": (
            lambda stream, x: stream.recursions * stream.body(x)
        ),
        "Each pass goes over the first input, and is added: it should go over the last one's output.": (
            lambda stream, x: x + stream.recursions * stream.body(x)
        ),
    }
    return compare(answer, CNNStream.forward, cases, mistakes, tolerance=1e-5, gradient=True)


def side(blocks: int, kernel: int, recursions: int) -> int:
    """Side of the receptive field of a CNN stream, in positions of its grid."""
    return 1 + recursions * (2 + 2 * blocks * (kernel - 1))


def check_side(answer: Any) -> str:
    cases = [(2, 5, 2), (1, 3, 1), (3, 7, 4), (2, 3, 3)]
    mistakes = {
        "That is how far it sees to one side: there are two, and the position itself.": lambda b, k, r: (
            (side(b, k, r) - 1) // 2
        ),
        "The position itself is missing: 1 more.": lambda b, k, r: side(b, k, r) - 1,
        "A block has two convolutions.": lambda b, k, r: 1 + r * (2 + b * (k - 1)),
        "The 3x3 convolution at the start of each pass is missing.": lambda b, k, r: 1 + r * 2 * b * (k - 1),
        "It counts once; each pass has one 3x3 convolution.": lambda b, k, r: 3 + r * 2 * b * (k - 1),
        "A kernel adds k - 1 positions to the side, not k.": lambda b, k, r: 1 + r * (3 + 2 * b * k),
        "Reaches add up from pass to pass; the position itself does not.": lambda b, k, r: r * side(b, k, 1),
        "A kernel adds k - 1 positions to the side, half of them on the left and half on the right.": lambda b, k, r: (
            1 + r * (1 + b * (k - 1))
        ),
        "You take kernel 3 for the blocks whatever is asked for.": lambda b, k, r: side(b, 3, r),
        "The recursions are ignored.": lambda b, k, r: side(b, k, 1),
        "You multiply: a second convolution sees as far again from each position, and that adds up.": lambda b, k, r: (
            float(3**r * k ** (2 * b * r))
        ),
    }
    return compare(answer, side, cases, mistakes, tolerance=1e-6)


def check_corner(answer: Any) -> str:
    if answer != int(answer):
        return "Passes come in whole numbers."
    reach, fewer = ((side(2, 5, int(answer) - less) - 1) // 2 for less in (0, 1))
    if reach < 63:
        return f"With {answer} it sees {reach} positions to each side, and the other corner is 63 away."
    return f"With {answer} it does see the corner, but so it does with fewer." if fewer >= 63 else ""


def check_dilated(answer: Any) -> str:
    torch.manual_seed(0)
    network, size = answer(4), 41
    if network is None:
        return FORGOTTEN
    # With weights and biases above zero no ReLU cuts a path off, so that what is seen is what can be seen.
    for weight in network.parameters():
        weight.data = weight.data.abs() + 0.01
    x = torch.rand(1, 4, size, size, requires_grad=True)
    y = network(x)
    if y.shape != x.shape:
        return f"{tuple(x.shape)} became {tuple(y.shape)}: with dilation d the padding is d."
    y[0, :, size // 2, size // 2].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = (seen.any(axis).nonzero().flatten() for axis in (1, 0))
    height, width = (int(found.max() - found.min()) + 1 for found in (rows, columns))
    kernels = [layer.kernel_size for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    if kernels != [(3, 3)] * 3:
        return f"Three convolutions of 3x3 are asked for; yours have the kernels {kernels}."
    if (height, width) != (15, 15):
        return f"The receptive field is {height}x{width}, from its first to its last position; 15x15 is asked for."
    holes = height * width - int(seen.sum())
    return f"The field is 15x15, but {holes} positions within it are not seen." if holes else ""


def check_step(answer: Any) -> str:
    def step(blocks: int, kernel: int, through: float = 1 / 18, convolutions: int = 2, axes: int = 2) -> float:
        inside = convolutions * axes * (kernel**2 - 1) / 12
        return axes * (3**2 - 1) / 12 + blocks * through / (1 + through) * inside

    mistakes = {
        "The square has two axes, and the distance both.": lambda b, k: step(b, k, axes=1),
        "Both convolutions of a block spread the energy.": lambda b, k: step(b, k, convolutions=1),
        "Of a mixture's energy, 1/19 went through the block, not 1/18.": lambda b, k: step(b, k, 1 / 17),
        "A block has two convolutions and a ReLU: 1/18 comes through.": lambda b, k: step(b, k, 1 / 6),
        "The 3x3 convolution at the start is missing.": lambda b, k: step(b, k) - 4 / 3,
    }
    return compare(answer, step, [(0, 3), (1, 3), (3, 5), (2, 7)], mistakes, tolerance=0.01)


CHECKS: Checks = {
    "ResidualBlock": check_residual_block,
    "CNNStream.forward": check_stream_forward,
    "side": check_side,
    "03.1": check_corner,
    "03.2": check_dilated,
    "03.3": check_step,
}
