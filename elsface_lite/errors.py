"""The one error that a user's input can cause, and what a slip of the pen may have meant."""

import difflib
from collections.abc import Iterable


class ElsfaceError(ValueError):
    """Something that the user can mend: the message says in one line what is wrong and what to do."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question after an unknown word, such as " (did you mean epochs?)"; "" if no known one is like it."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
