"""Facts of a film in whatever notation they come: names in lists, minutes, paths of posters and trailers.

A fact that can't be read is counted and left out; it never costs its film.
"""

import math
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from motags.films.tags import CERTAIN, LONGEST, SEPARATORS, in_brackets, of_object, parsed, recurring, split, unescaped
from motags.films.values import LISTS, SURROGATE, Cleaner, whole_number

PEOPLE = ("directors", "writers", "cast")
CODES = {"countries": "iso_3166_1", "languages": "iso_639_1"}  # of TMDB's objects: they go before names
IN_NO_NAME = ("|", ";", "\n", "\t")
SUFFIX = r"(?:jr|sr|i{2,3}|iv|esq|m\.?d|ph\.?d|inc|incorporated|llc|l\.l\.c|ltd|limited|co|corp|l\.?p|s\.?a|gmbh)"
# a comma between names: "Robert Downey, Jr." and "Metro-Goldwyn-Mayer, Inc." are one name each
COMMA = re.compile(rf",(?!\s*{SUFFIX}\.?\s*(?:[,;|/]|$))", re.IGNORECASE)
HOURS = r"(\d{1,2})\s*(?:h|hrs?|hours?)\.?[\s,]*(?:and\s+)?"
LENGTH = re.compile(rf"(?:{HOURS})?(?:(\d{{1,4}})(?:\.0+)?\s*(?:m|mins?|minutes?)?\.?)?")
ISO_8601 = re.compile(r"pt(?:(\d{1,2})h)?(?:(\d{1,4})m)?(?:\d{1,2}s)?")
LONGEST_FILM = 1000  # minutes
ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]*://|data:", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FactReader:
    """Reads cells that hold facts, and counts what it leaves out in the cleaner's `counts`.

    `facts` are those that can't be read, `files` posters and trailers that are addresses or lie outside the folder.

    Args:
        folder: where the paths of files begin and must stay; None: in the working folder, and they may lead anywhere.
    """

    def __init__(self, cleaner: Cleaner, folder: Path | None) -> None:
        self._cleaner, self._folder = cleaner, folder
        self._real_folder = lru_cache(1024)(os.path.realpath)  # films share their folders

    def value(self, field: str, cell: Any, separator: str) -> Any:
        """What a cell says of one of `values.FACTS`; `separator` stands between the names of a text."""
        if field in LISTS:
            return self.names(field, cell, separator)
        return self.minutes(cell) if field == "runtime" else self.file(cell)

    def names(self, field: str, cell: Any, separator: str = "|") -> list[str]:
        """The names of a list, each once; of countries and languages the codes, where objects say them."""
        try:
            parts = self._parts(cell, _splitter(separator, field))
        except ValueError:
            self._leave_out("facts")
            return []
        keys = (CODES[field], "name") if field in CODES else ("name",)
        names = list(dict.fromkeys(name for part in parts if (name := self._name(part, keys)) is not None))
        if sum(map(len, names)) > LONGEST:
            self._leave_out("facts")
            return []
        return names

    def _parts(self, cell: Any, separator: str | re.Pattern[str]) -> Iterable[Any]:
        """The parts of a list. Raises ValueError where it can't be read."""
        if isinstance(cell, str | bytes):
            text = self._cleaner.text(cell)
            if text is None:
                return []
            if len(text) > LONGEST:
                raise ValueError(f"a list of more than {LONGEST:,} letters")
            bracketed = in_brackets(text)
            return split(text, separator) if bracketed is None else parsed(bracketed)
        if isinstance(cell, set | frozenset):
            return sorted(cell, key=str)  # a set has no order of its own
        if isinstance(cell, dict):
            cell = of_object(cell)
        elif cell is None or _is_nan(cell):
            return []
        if not isinstance(cell, list | tuple):
            raise ValueError("no list")
        return cell

    def _name(self, part: Any, keys: tuple[str, ...]) -> str | None:
        if isinstance(part, dict):
            part = next((own for key in keys if isinstance(own := part.get(key), str) and own.strip()), part)
        if part is None or _is_nan(part):
            return None
        name = self._cleaner.text(part) if isinstance(part, str | bytes) else part
        if name is None or (isinstance(name, str) and not SURROGATE.search(name)):
            return name
        self._leave_out("facts")
        return None

    def minutes(self, cell: Any) -> int | None:
        """A length in minutes: "148", 148.0, "148 min", "2h 28m", "PT148M"; None where there is none, or 0."""
        number = whole_number(cell)
        if number is None:
            text = self._cleaner.text(cell)
            if text is None:
                return None
            number = _minutes(text.casefold()) if isinstance(text, str) else None
        if number is not None and 0 <= number <= LONGEST_FILM:
            return number or None
        self._leave_out("facts")
        return None

    def file(self, cell: Any) -> str | None:
        """The path of a file, from the working folder; whether it is there is not looked at."""
        text = cell.strip() if isinstance(cell, str) else self._cleaner.text(cell)  # a path may look like markup
        if text is None or (isinstance(text, str) and self._cleaner.is_nothing(text)):
            self._cleaner.counts["nothing"] += bool(text)
            return None
        if not isinstance(text, str) or SURROGATE.search(text) or CONTROL.search(text):
            self._leave_out("facts")
        elif ADDRESS.match(text) or not (self._folder is None or self._is_inside(self._folder, text)):
            self._leave_out("files")
        else:
            return str(self._folder / text) if self._folder else text
        return None

    def _is_inside(self, folder: Path, text: str) -> bool:
        """Whether a path that begins in a folder stays there, also where it holds `..` or symbolic links."""
        parent, name = os.path.split(folder / text)
        real = os.path.join(self._real_folder(parent), name)  # noqa: PTH118, `resolve` takes ten times as long
        if name in {".", ".."} or os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        root = self._real_folder(str(folder)).rstrip(os.sep) + os.sep
        return not text.startswith("/") and (real + os.sep).startswith(root)

    def _leave_out(self, count: str) -> None:
        self._cleaner.counts[count] += 1


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _minutes(text: str) -> int | None:
    found = (LENGTH.fullmatch(text) or ISO_8601.fullmatch(text)) if text else None
    if not found or not any(found.groups()):
        return None
    hours, minutes = (int(part or 0) for part in found.groups())
    return 60 * hours + minutes


def names_separator(texts: Iterable[str], field: str) -> tuple[str, bool]:
    """What stands between the names of a column's texts, and whether commas had to be judged. It refuses nothing.

    `|`, `;`, tabs and line ends stand in no name, and separate. Commas separate where most texts that hold one hold
    several; people also where most have two words on either side; companies where most texts hold one or most parts
    recur, as `/` and `#` do; countries and languages always. Otherwise a text is one name.
    """
    texts = [unescaped(text.strip()) for text in texts if text.strip() and in_brackets(text.strip()) is None]
    splitters = {own: _splitter(own, field) for own in SEPARATORS}
    parts = {
        own: [text.split(by) if isinstance(by, str) else by.split(text) for text in texts]
        for own, by in splitters.items()
    }
    several = {own: sum(len(names) > 1 for names in parts[own]) for own in SEPARATORS}
    for own in sorted((own for own in SEPARATORS if several[own]), key=lambda own: -several[own]):
        if _separates(own, parts[own], field):
            return own, bool(several[","])
    return "|", bool(several[","])


def _splitter(separator: str, field: str) -> str | re.Pattern[str]:
    """What separates names; among codes CO and SA are no companies."""
    return COMMA if separator == "," and field not in CODES else separator


def _separates(separator: str, texts: list[list[str]], field: str) -> bool:
    """Whether a separator that makes these parts of texts stands between names."""
    several = [names for names in texts if len(names) > 1]
    if separator in IN_NO_NAME or (separator == "," and field in CODES):
        return True
    if separator == ",":
        lists = sum(len(names) > 2 for names in several)
        if field in PEOPLE:
            whole = sum(all(len(name.split()) > 1 for name in names) for names in several)
            return max(whole, lists) > CERTAIN * len(several)
        if lists > CERTAIN * len(several):
            return True
    return len(several) > CERTAIN * len(texts) or recurring(texts) >= CERTAIN
