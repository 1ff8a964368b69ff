"""The one exception that a user is meant to read, and the one refusal of a training that went astray."""

import math


class MotagsError(Exception):
    """A mistake that the user can mend: one sentence that says what, where and how."""


def refuse_infinite(loss: float, name: str, remedy: str) -> None:
    """Raise MotagsError where the loss called `name` is not finite; `remedy` says which parameter to change."""
    if not math.isfinite(loss):
        raise MotagsError(f"{name} became {loss}: {remedy}")
