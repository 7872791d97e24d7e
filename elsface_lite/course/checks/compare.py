"""An answer compared with the module on several inputs, and the difference put into words."""

import copy
import dis
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]
Checks = dict[str, Callable[..., str]]  # what is wrong with an answer, by the name of the task
FORGOTTEN = "It gives back None: did you forget to `return` the result?"
NO_GRADIENT = "No gradient comes back through it, so nothing before it could learn: stay in torch, without detach."
LEVEL = 1 / 255


def unanswered(answer: Any) -> bool:
    """Whether nothing has been written yet: a value `...` or None, a function with nothing in it, a class of such.

    A function that computes and forgets to return is an answer.
    """
    if isinstance(answer, type):
        methods = [
            value for name, value in vars(answer).items() if isinstance(value, FunctionType) and name != "__init__"
        ]
        return all(map(unanswered, methods))
    if not isinstance(answer, FunctionType):
        return answer is ... or answer is None
    steps = [step for step in dis.get_instructions(answer) if step.opname not in ("RESUME", "NOP", "CACHE")]
    return len(steps) <= 2 and all(step.argval in (None, "") for step in steps)


def compare(
    answer: Function,
    reference: Function,
    cases: Sequence[tuple[Any, ...]],
    mistakes: Mapping[str, Function] | None = None,
    tolerance: float = 1e-4,
    gradient: bool = False,
) -> str:
    """What is wrong with a function that should do what another does.

    Args:
        answer: the reader's; it may work in NumPy or another precision, and may write into its arguments.
        reference: the module's.
        cases: arguments to try both with; modules among them are copied, as tensors are.
        mistakes: plausible wrong functions, each under the words that help whoever wrote it.
        tolerance: largest difference of a right result, in absolute value.
        gradient: whether gradients must come through, to every floating-point tensor among the arguments.

    Returns:
        "" if nothing is.
    """
    results = []
    for case in cases:
        got, expected = answer(*copy.deepcopy(case)), reference(*copy.deepcopy(case))
        if got is None:
            return FORGOTTEN
        results.append((case, _tensors(got), _tensors(expected)))
    for case, got, expected in results:
        if len(got) != len(expected):
            return f"It gives back {len(got)} thing(s); {len(expected)} are asked for."
        if not all(map(_close, got, expected, [tolerance] * len(got))):
            hint = _known([(case, got) for case, got, _ in results], mistakes or {}, tolerance)
            return hint or _difference(case, got, expected)
    return next(filter(None, (_gradients(answer, reference, case) for case in cases)), "") if gradient else ""


def several(result: Any) -> bool:
    """Whether an answer gives back more than one thing: in a tuple, or tensors in a list."""
    return isinstance(result, tuple) or (isinstance(result, list) and any(isinstance(x, Tensor) for x in result))


def _tensors(result: Any) -> list[Tensor]:
    parts = result if several(result) else (result,)
    # A Python int may be too large for a tensor of integers, and of a fraction torch knows nothing.
    return [torch.as_tensor(float(part) if isinstance(part, Real) else part).detach().double() for part in parts]


def _close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    return got.shape == expected.shape and bool(((got - expected).abs() <= tolerance).all())


def _known(results: list[tuple[tuple[Any, ...], list[Tensor]]], mistakes: Mapping[str, Function], near: float) -> str:
    """The words for the mistake that gives just what the answer gave."""
    for words, mistake in mistakes.items():
        try:
            made = [_tensors(mistake(*copy.deepcopy(case))) for case, _ in results]
        except (RuntimeError, ValueError, IndexError):  # the mistake does not even run here; the answer did
            continue
        same = [all(map(_close, got, wrong, [near] * len(got))) for (_, got), wrong in zip(results, made, strict=True)]
        if all(same):
            return words
    return ""


def _difference(case: tuple[Any, ...], got: list[Tensor], expected: list[Tensor]) -> str:
    where = f"For {', '.join(map(described, case))}"
    for mine, theirs in zip(got, expected, strict=True):
        if mine.shape != theirs.shape:
            return f"{where} the shape should be {tuple(theirs.shape)}; yours is {tuple(mine.shape)}."
        if not mine.isfinite().all():
            return f"{where} there are infinite values, or values that are no numbers (NaN)."
    far = [(mine - theirs).abs() for mine, theirs in zip(got, expected, strict=True)]
    worst = max(range(len(far)), key=lambda i: far[i].max().item() if far[i].numel() else 0.0)
    place = torch.unravel_index(far[worst].argmax(), far[worst].shape)
    at = tuple(int(index) for index in place)
    yours, right = (values[worst][at].item() for values in (got, expected))
    share = (far[worst] > 1e-6).double().mean().item()
    where_off = f" at {at}, and {share:.0%} of the values are off" if far[worst].numel() > 1 else ""
    digits = next((n for n in (4, 6, 9) if f"{yours:.{n}g}" != f"{right:.{n}g}"), 17)
    return f"{where} you give {yours:.{digits}g} and not {right:.{digits}g}{where_off}."


def described(value: Any) -> str:
    """An argument in words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, type):
        return value.__name__
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}" if isinstance(value, torch.nn.Module) else f"{value!r:.60}"


def refuses(answer: Function, *case: Any) -> bool:
    """Whether it raises a ValueError, as its docstring says; another error is not what its caller waits for."""
    try:
        answer(*case)
    except ValueError:
        return True
    except Exception:  # the reader's code may raise anything
        return False
    return False


@torch.enable_grad()  # a chapter that looks at a finished network has gradients off
def _gradients(answer: Function, reference: Function, case: tuple[Any, ...]) -> str:
    """Whether the gradients that come back are the reference's."""
    found = []
    for function in (answer, reference):
        arguments = copy.deepcopy(case)
        leaves = [value.requires_grad_() for value in arguments if isinstance(value, Tensor)]
        leaves += [weight for value in arguments if isinstance(value, torch.nn.Module) for weight in value.parameters()]
        try:
            result = function(*[value * 1 if isinstance(value, Tensor) else value for value in arguments])
        except RuntimeError as error:
            if "numpy()" in str(error):  # torch refuses to hand over what needs a gradient
                return NO_GRADIENT
            raise
        if not isinstance(result, Tensor) or not result.requires_grad:
            return NO_GRADIENT
        weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(0)).to(result)
        found.append(torch.autograd.grad((result * weights).sum(), leaves, allow_unused=True))
    for mine, theirs in zip(*found, strict=True):
        if theirs is not None and (mine is None or not torch.allclose(mine, theirs, atol=1e-4, rtol=1e-3)):
            return "The values are right, but some gradient is not: does every input reach the result through torch?"
    return ""
