"""What the checks of the exercises share: an answer of the wrong kind gets one line that helps, and no traceback."""

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor

Check = Callable[..., bool | None]


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
    if callable(answer):
        return f"the function {getattr(answer, '__name__', answer)}"
    return f"{type(answer).__name__} {answer!r:.40}"


def _where(error: Exception, answers: tuple[Any, ...]) -> str:
    """The last line of the reader's own functions that the error came through."""
    files = {answer.__code__.co_filename for answer in answers if hasattr(answer, "__code__")}
    steps = [step for step in traceback.extract_tb(error.__traceback__)[2:] if step.filename in files]
    return f" (in line {steps[-1].lineno} of its cell: {steps[-1].line})" if steps else ""
