"""What a chapter asks its reader: tasks, exercises and predictions, answered in words and remembered."""

import traceback
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from numbers import Number
from types import FunctionType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..inference.box import Box
from .checks import CHECKS
from .checks.compare import several, unanswered
from .record import keep, mark, recall

Check = Callable[..., bool | None]


def _numbers(found: Any) -> tuple[float, ...]:
    return tuple(map(float, found))


def _picture(found: Any) -> Image.Image:
    return Image.fromarray(np.asarray(found).astype(np.uint8))


# What a chapter goes on with, where that is no tensor in the precision of the arguments.
KINDS: dict[str, torch.dtype | Callable[[Any], Any]] = {
    "lost": torch.float64,
    "side": int,
    "relative_position_index": torch.int64,
    "train_step": float,
    "rate_share": float,
    "bootstrap_interval": _numbers,
    "fit_box": lambda found: (Box(*_numbers(found[0])), float(found[1])),
    "sign_test": float,
    "difference_interval": _numbers,
    "noisy": _picture,
}


def check(name: str, answer: Any, *given: Any) -> Any:
    """Says whether an answer is right or what is wrong with it, and remembers that it was right.

    Args:
        name: of a task, such as "downscale", or of an exercise, such as "01.2".
        answer: the reader's function, class or value; what is still `...` is no answer.
        given: what of the chapter the check needs.

    Returns:
        The answer if it is right, else None: `mine or theirs` goes on with the reader's own code where it can.
    """
    if unanswered(answer):
        print(f"○ {name}: not answered yet.")
        return None
    problem = wrong(name, answer, *given)
    print(f"{mark(not problem)} {name}: {f'not yet. {problem}' if problem else 'right.'}")
    if problem:
        return None
    keep(f"solved {name}", True)
    return _for_the_chapter(name, answer) if isinstance(answer, FunctionType) else answer


def wrong(name: str, answer: Any, *given: Any) -> str:
    """What is wrong with an answer, in a sentence or two; "" if it is right. Arguments as for `check`."""
    try:
        return CHECKS[name](answer, *given)
    except Exception as error:  # the reader's code may raise anything
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return f"You gave {_described(answer)}; {problem}{_where(error, (answer,))}"


def predict(question: str, guess: Any) -> None:
    """Keeps what the reader expects of an experiment, a number or a word; `outcome` shows it beside what came out."""
    if guess is ...:
        print("○ no prediction yet: put one in place of the three dots, and run this cell again.")
        return
    keep(f"predicted {question}", guess)
    print(f"{mark(True)} kept: {guess}")


def outcome(question: str, found: Any) -> None:
    """Shows what came out of an experiment beside what the reader predicted."""
    guess = recall(f"predicted {question}")
    print(f"You predicted: {'nothing' if guess is None else guess}. It is: {found}.")


def _for_the_chapter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A right answer as the chapter needs it: its inputs stay as they are, its result is of the finished one's kind.

    So NumPy, a plain number or another precision do as well as what the finished definition gives.
    """

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        copies, named = list(map(_copy, arguments)), {word: _copy(value) for word, value in named.items()}
        precisions = (value.dtype for value in (*copies, *named.values()) if isinstance(value, Tensor))
        kind = KINDS.get(name) or reduce(torch.promote_types, precisions, torch.float32)
        return _as(kind, function(*copies, **named))

    return call


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _as(kind: torch.dtype | Callable[[Any], Any], result: Any) -> Any:
    if not isinstance(kind, torch.dtype):
        return kind(result)
    if several(result):
        return tuple(_as(kind, part) for part in result)
    if not isinstance(result, Tensor | np.ndarray | Number | Sequence):  # nothing, a dictionary of states, a network
        return result
    return torch.as_tensor(result, dtype=kind)


def expects(what: str) -> Callable[[Check], Check]:
    """Decorates a check, which may then rely on getting the kind of answer that it asks for.

    Args:
        what: that kind, in words, such as "a number".

    Returns:
        The decorator. Where the check, or a function that it was given, raises an exception, the decorated one prints
        what was wanted, what came, and the line of the reader's function in which it happened, and returns False.
    """

    def decorate(check: Check) -> Check:
        @wraps(check)
        def checked(*answers: Any) -> bool | None:
            try:
                return check(*answers)
            except Exception as error:  # the reader's code may raise anything
                got = " and ".join(map(_described, answers))
                problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                print(f"not yet: this takes {what}. You gave {got}; {problem}{_where(error, answers)}")
                return False

        return checked

    return decorate


def _described(answer: Any) -> str:
    if isinstance(answer, Tensor):
        return f"a tensor of shape {tuple(answer.shape)}"
    if isinstance(answer, type):
        return f"the class {answer.__name__}"
    if isinstance(answer, nn.Module):
        return f"a {type(answer).__name__}"
    if callable(answer):
        return f"the function {getattr(answer, '__name__', answer)}"
    return f"{type(answer).__name__} {answer!r:.40}"


def _where(error: Exception, answers: tuple[Any, ...]) -> str:
    """The last line of the reader's own functions that the error came through."""
    parts = [part for answer in answers for part in (answer, *getattr(answer, "__dict__", {}).values())]
    files = {part.__code__.co_filename for part in parts if hasattr(part, "__code__")}
    steps = [step for step in traceback.extract_tb(error.__traceback__)[2:] if step.filename in files]
    return f" (in line {steps[-1].lineno} of its cell: {steps[-1].line})" if steps else ""
