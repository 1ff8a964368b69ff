"""The one exception that a user is meant to read."""


class MotagsError(Exception):
    """A mistake that the user can mend: one sentence that says what, where and how."""
