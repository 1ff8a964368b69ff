"""What a cell of a catalogue says: texts, ids, years, nothing. All commands and files read alike."""

import math
import re
from collections import Counter
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from typing import Any

from motags.films.markup import TOKEN, shown_text

LISTS = ("directors", "writers", "cast", "companies", "countries", "languages")
FACTS = (*LISTS, "runtime", "poster", "trailer")  # what never costs a film where it can't be read
READ = ("id", "title", "year", "text", "plot", "synopsis", "lead", "tagline", *FACTS, "tags")  # what a catalogue says

# Words that programs write where there is nothing; section `crawl` of params.yaml holds the same list
NOTHING = (
    "\\N", "nan", "<na>", "n/a", "na", "#n/a", "none", "null", "nil", "nat", "undefined", "-", "--", "—", "?", "[]",
    "{}", "(no genres listed)", "not available", "no overview found.",
)  # fmt: skip

SURROGATE = re.compile("[\ud800-\udfff]")
FORMAT = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
JOINERS = "\u200c\u200d"  # they shape letters of other scripts, and pictures
INVISIBLE = re.compile(f"(?<![^\x00-\x7f])[{JOINERS}]|[{JOINERS}](?![^\x00-\x7f])|(?![{JOINERS}])[{FORMAT}]")
ODD = re.compile(f"[<&{FORMAT}]")
NUMBER = re.compile(r"\d+\.0+")
YEAR = re.compile(r"(?<!\d)(?:18[7-9]|19\d|20\d)\d(?!\d)|(?<!\d)2100(?!\d)")
YEARS = range(1870, 2101)
EXACT = 2**53  # from there on a float is no certain whole number


class Unreadable(str):
    """The reason why a row could not be parsed, in the place of the row."""

    __slots__ = ()


def plain_text(value: Any) -> Any:
    """A text without blanks around it and letters that can't be seen; an absent one may be null, NaN or blank.

    Other types stay as they are.

    Raises:
        ValueError: text that is no UTF-8, which came in as lone surrogates.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if value.isascii():
            return value.strip() or None
        if SURROGATE.search(value):
            raise ValueError("not valid UTF-8: save the file as UTF-8")
        return INVISIBLE.sub("", value).strip() or None
    return value


def id_text(value: Any) -> Any:
    """An id as text; it may come as a whole number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else plain_text(value)


class Cleaner:
    """Cleans cells, and counts what it changes.

    Args:
        nothing: words that stand for nothing, whatever their case.

    Attributes:
        counts: of cells by what was done to them: `nothing`, `markup`, `invisible`, `years`, `ids`, `tags`, `lists`,
            `facts`, `files`.
    """

    def __init__(self, nothing: AbstractSet[str]) -> None:
        self.nothing = {word.strip().casefold() for word in nothing}
        self.longest = max(map(len, self.nothing), default=0)
        self.counts: Counter[str] = Counter()

    def text(self, value: Any) -> Any:
        """What a text shows, or None where it says nothing; whole numbers as text, other types as they are."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if not isinstance(value, str):
            return self._number(value)
        text = value.strip()
        if self.is_nothing(text):
            self.counts["nothing"] += bool(text)
            return None
        if (not text.isascii() or "<" in text or "&" in text) and ODD.search(text):
            text = self._visible(text).strip()
            if self.is_nothing(text):
                self.counts["nothing"] += 1
                return None
        return text

    def is_nothing(self, value: Any) -> bool:
        """Whether a value is no text, or one that says nothing."""
        if not isinstance(value, str):
            return True
        text = value.strip()
        return not text or (len(text) <= self.longest and text.casefold() in self.nothing)

    def _visible(self, text: str) -> str:
        if TOKEN.search(text) and (shown := shown_text(text)) != text:
            self.counts["markup"] += 1
            text = shown
        visible = INVISIBLE.sub("", text)
        self.counts["invisible"] += visible != text
        return visible

    def _number(self, value: Any) -> Any:
        if isinstance(value, float) and math.isnan(value):
            return None
        return str(whole) if (whole := whole_number(value)) is not None else value

    def id(self, value: Any) -> Any:
        """An id as text, with its markup: it names a film. A whole number may have come with decimals (862.0)."""
        value = value.strip() if isinstance(value, str) else self.text(value)
        if isinstance(value, str) and self.is_nothing(value):
            return None
        if isinstance(value, str) and NUMBER.fullmatch(value):
            self.counts["ids"] += 1
            return value.split(".")[0]
        return value

    def year(self, value: Any) -> int | None:
        """A year, also of a date; None where there is no year from 1870 to 2100, or more than one."""
        if isinstance(value, date):
            year: int | None = value.year
        elif (year := whole_number(value)) is None:
            value = self.text(value)
            if value is None:
                return None
            years = set(YEAR.findall(value)) if isinstance(value, str) else set()
            year = int(years.pop()) if len(years) == 1 else None
        if year in YEARS:
            return year
        self.counts["years"] += 1
        return None


def whole_number(value: Any) -> int | None:
    """The whole number that a number is; None where it is none, or can't be told for sure."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return None
