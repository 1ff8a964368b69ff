"""How a file of CSV is written: what stands between its cells, blanks after that, and what goes before a quote."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from motags.errors import MotagsError
from motags.films.columns import is_known

DELIMITERS = (",", ";", "\t", "|")
NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
WRITTEN = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}  # what is hard to write in a shell
FIRST_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)
NULL = re.compile(r"(?<![^,;\t|])\\N(?=[,;\t|\r\n]|$)")


@dataclass(frozen=True)
class Dialect:
    """How cells are written; `first_line` is whether a line `sep=;` goes before the header."""

    delimiter: str = ","
    blanks: bool = False
    escapes: bool = False
    first_line: bool = False

    def reader(self, lines: Iterable[str]) -> Any:
        """A reader of the standard library."""
        if self.escapes:  # MySQL's mark for nothing, which is no escaped N
            lines = (NULL.sub(r"\\\\N", line) for line in lines)
        escape = "\\" if self.escapes else None
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=self.blanks, escapechar=escape, strict=True)

    def said(self) -> Iterator[str]:
        """What is not as RFC 4180 has it."""
        if self.delimiter != ",":
            yield f"cells are separated by {NAMES.get(self.delimiter, repr(self.delimiter))}"
        if self.blanks:
            yield "blanks after separators are dropped"
        if self.escapes:
            yield "a backslash goes before quotes and separators in a cell"


def dialect_of(sample: str, whole: bool, delimiter: str = "") -> Dialect:
    """The plainest dialect in which the rows of a sample have no more cells than the header.

    Args:
        sample: the beginning of the text; whole: whether it is all of it; delimiter: if it is known.
    """
    first = FIRST_LINE.match(sample)
    sample = sample[first.end() :] if first else sample
    delimiter = delimiter or (first[1] if first else _delimiter(sample))
    header = next(_rows(Dialect(delimiter), sample), [])
    padded = len(header) > 1 and all(name.startswith(" ") for name in header[1:])
    tried = [Dialect(delimiter, blanks, escapes, bool(first)) for escapes in (False, True) for blanks in (False, True)]
    likely = {(padded, '\\"' in sample): -0.5}
    return min(tried, key=lambda own: _faults(own, sample, whole) + likely.get((own.blanks, own.escapes), 0.0))


def _rows(dialect: Dialect, sample: str) -> Iterator[list[str]]:
    return dialect.reader(io.StringIO(sample, newline=""))


def _delimiter(sample: str) -> str:
    """What makes most known columns of the header, then what makes most columns."""
    best, most = ",", (0, 1)
    for delimiter in DELIMITERS:
        try:
            header = next(_rows(Dialect(delimiter), sample), [])
        except csv.Error:
            continue
        found = sum(map(is_known, header)), len(header)
        best, most = (delimiter, found) if found > most else (best, most)
    return best


def _faults(dialect: Dialect, sample: str, whole: bool) -> float:
    rows: list[list[str]] = []
    broken = 0
    try:
        rows.extend(_rows(dialect, sample))
    except csv.Error as error:
        broken = 1000 if whole or "unexpected end" not in str(error) else 0
    if not whole:
        del rows[-1:]
    width = len(rows[0]) if rows else 0
    return broken + sum(len(row) > width and any(cell.strip() for cell in row[width:]) for row in rows)


def known_delimiter(delimiter: str) -> str:
    """The letter that a user named. Raises MotagsError where it is not one letter."""
    delimiter = WRITTEN.get(delimiter.casefold(), delimiter)
    if len(delimiter) > 1 or delimiter in {"\n", "\r", '"'}:
        raise MotagsError(f"--separator (crawl.delimiter) is {delimiter!r}: give one letter, such as ; or tab")
    return delimiter
