"""The one error that a user's input can cause."""


class ElsfaceError(ValueError):
    """Something that the user can mend: the message says in one line what is wrong and what to do."""
