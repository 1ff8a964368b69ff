"""Films that are in memory, as dictionaries, cleaned as those of a catalogue are."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from motags.errors import MotagsError
from motags.films.columns import TEXTS, shown
from motags.films.files import Row
from motags.films.reading import Reading
from motags.films.text import Entry, TextRules
from motags.films.values import FACTS, Unreadable

log = logging.getLogger(__name__)

TELLING = {*TEXTS, "title", "tagline", *FACTS}  # columns by which something can be known of a film
MISSING = {"NAType", "NaTType"}  # of pandas: they stand for nothing


def read_entries(rows: Iterable[Mapping[str, Any]], rules: TextRules, first: int = 0) -> list[Entry]:
    """The films of dictionaries, with columns named and cells written in any way that a catalogue may have them.

    Lists may be arrays too, and NaN or pandas' NA stand for nothing. Paths of posters and trailers begin in the working
    folder, or are absolute. A film without an id has its number. Facts that can't be read are left out.

    Args:
        rules: which text of a film is read.
        first: number of the first film.

    Raises:
        MotagsError: a film can't be used, which its number names; or no column of the films is known.
    """
    frame = _Frame(rows, first)
    reading = Reading(None, with_tags=False, frame=frame)
    entries = []
    for number, row in reading:
        if isinstance(row, dict) and row.get("id") is None:
            row["id"] = str(number)
        entry = rules.entry(row)
        if not isinstance(entry, Entry):
            raise MotagsError(f"film {number}: {entry}")
        entries.append(entry)
    if entries and not any(column.field in TELLING for column in reading.columns):
        raise MotagsError(
            f"no column of the films is known: they have {shown(frame.names)}; read are {', '.join(TEXTS)} and "
            f"{', '.join(FACTS)}"
        )
    if said := reading.said():
        log.info("%s: %s", reading.name, "; ".join(said))
    return entries


class _Frame:
    """Dictionaries as a `files.Frame`."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], first: int) -> None:
        self._rows, self._first = list(rows), first
        keys = dict.fromkeys(key for row in self._rows if isinstance(row, Mapping) for key in row)
        self.names = [key for key in keys if isinstance(key, str)]
        self.noted: list[str] = []

    def rows(self, names: list[str]) -> Iterator[Row]:
        """See `Frame`."""
        for number, row in enumerate(self._rows, start=self._first):
            if isinstance(row, Mapping):
                yield number, {name: _plain(row[name]) for name in names if name in row}
            else:
                yield number, Unreadable(f"expected a dictionary of columns, got a {type(row).__name__}")


def _plain(cell: Any) -> Any:
    """A cell as JSON would have it: lists for arrays, numbers and texts of Python, None for what is missing."""
    if isinstance(cell, np.datetime64):
        return str(cell)
    if hasattr(cell, "tolist"):  # numpy, and columns of pandas
        cell = cell.tolist()
    elif hasattr(cell, "as_py"):  # pyarrow
        cell = cell.as_py()
    elif isinstance(cell, os.PathLike):
        return os.fsdecode(cell)
    if isinstance(cell, list | tuple):
        return [_plain(part) for part in cell]
    return None if type(cell).__name__ in MISSING else cell
