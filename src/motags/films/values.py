"""What a cell of a catalogue says: texts, ids, nothing. Files and records read alike."""

import math
from typing import Any

READ = ("id", "title", "year", "text", "plot", "synopsis", "lead", "tagline", "tags")  # columns; others are passed over


class Unreadable(str):
    """The reason why a row could not be parsed, in the place of the row."""

    __slots__ = ()


def plain_text(value: Any) -> Any:
    """A text without blanks around it; an absent one may be null, NaN or blank. Other types stay as they are.

    Raises:
        ValueError: text that is no UTF-8, which came in as lone surrogates.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError("not valid UTF-8")
        return value.strip() or None
    return value


def id_text(value: Any) -> Any:
    """An id as text; it may come as a whole number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else plain_text(value)
