"""A catalogue as training, tagging, suggesting, reviewing and checking read it: one way for all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from motags.films.columns import OWN_OUTPUT, Column, columns_of, refuse_without_text
from motags.films.files import CsvFrame, Frame, Row, opened, shown_name
from motags.films.tags import known_separator, separator_of, tag_list
from motags.films.values import NOTHING, READ, Cleaner, Unreadable

SAMPLE = 1000  # rows whose tags show what stands between them
MAX_SET_ASIDE = 0.05  # share of rows that may be set aside where nothing else is said
CHANGES = {
    "empty_rows": "{} empty rows passed over",
    "nothing": "{} cells say nothing (\\N, N/A and the like)",
    "markup": "markup taken out of {} texts",
    "invisible": "invisible letters taken out of {} texts",
    "years": "{} years that are none left out",
    "ids": "{} ids written with decimals",
    "tags": "{} tags that say nothing left out",
    "lists": "tags of {} films are lists written as text",
    "apostrophes": "{} apostrophes before formulas taken away",
}


@dataclass(frozen=True)
class ReadingRules:
    """How a catalogue is to be read; what is "" or not named is detected.

    Attributes:
        encoding: of text; delimiter: between the cells of CSV; separator: between the tags of one text;
        columns: names of columns by what they say; nothing: words that stand for nothing, in any case.
    """

    encoding: str = ""
    delimiter: str = ""
    separator: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nothing: tuple[str, ...] = NOTHING


class Reading:
    """The rows of a catalogue, cleaned, as a stream: (line, row) pairs; a row that can't be parsed is an `Unreadable`.

    A row has the fields of `values.READ` that the catalogue names; what is of a wrong type stays as it is.

    Attributes:
        name: what the catalogue is called in messages; columns: as they are taken; separators: between tags, by column;
        noted: how the file is written, where it is not plain; counts: of what was changed, by the keys of CHANGES;
        ignored: names of columns that are not read. All are complete when the rows are read.
    """

    def __init__(self, source: Path | None, rules: ReadingRules | None = None, with_tags: bool = True) -> None:
        self.source, self.rules, self.with_tags = source, rules or ReadingRules(), with_tags
        self.name = shown_name(source)
        self.columns: list[Column] = []
        self.separators: dict[str, str] = {}
        self.noted: list[str] = []
        self.ignored: set[str] = set()
        self._cleaner = Cleaner(frozenset(self.rules.nothing))
        self.counts: Counter[str] = self._cleaner.counts

    def __iter__(self) -> Iterator[Row]:
        """Read the rows.

        Raises:
            FileNotFoundError: there is no such file.
            MotagsError: it can't be read, or no column of it holds a text.
        """
        with opened(self.source, self.rules.encoding, self.rules.delimiter) as frame:
            self.noted = list(frame.noted)
            rows = self._begun(frame)
            yield from rows
            if isinstance(frame, CsvFrame) and frame.empty:
                self.counts["empty_rows"] = frame.empty

    def _begun(self, frame: Frame) -> Iterator[Row]:
        names = list(frame.names)
        self.columns = columns_of(names, self.rules.columns, self.name)
        taken = {column.name for column in self.columns}
        self.ignored |= {name for name in names if name.strip() and name not in taken}
        if unnamed := sum(not name.strip() for name in names):
            self.noted.append(f"{unnamed} columns without a name")
        rows: Iterator[Row] = iter(frame.rows([name for name in names if name in taken]))
        first = list(islice(rows, 1))
        if names and first:
            refuse_without_text(self.columns, names, self.name)
        titled = names and not any(column.field == "id" for column in self.columns)
        if titled:
            self.noted.append("no column of ids: title and year stand for it")
        if self.with_tags:
            first += islice(rows, SAMPLE)
            rows_of_sample = [row for _, row in first if isinstance(row, dict)]
            columns = [column for column in self.columns if column.field == "tags"]
            self.separators = {column.name: self._separator(column, rows_of_sample) for column in columns}
        named = {column.field for column in self.columns}
        plan = [*self.columns, *(Column(field, field) for field in READ if field not in named)]
        undo = set(names) >= OWN_OUTPUT and isinstance(frame, CsvFrame)
        return self._cleaned(chain(first, rows), plan, bool(titled), undo)

    def _separator(self, column: Column, rows: list[dict[str, Any]]) -> str:
        if self.rules.separator:
            return known_separator(self.rules.separator)
        cells = [str(cell) for row in rows if not self._cleaner.is_nothing(cell := row.get(column.name))]
        separator = separator_of(cells, self.name)
        if separator != "|":
            self.noted.append(f"{column.name} are separated by {separator!r}")
        return separator

    def _cleaned(self, rows: Iterable[Row], plan: list[Column], titled: bool, undo: bool) -> Iterator[Row]:
        known = {column.name for column in plan}
        texts = [column for column in plan if column.field not in {"id", "year", "tags"}]
        others = [column for column in plan if column.field in {"id", "year", "tags"}]
        for line, row in rows:
            if not isinstance(row, dict):
                yield line, row
                continue
            if not row.keys() <= known:
                self.ignored |= row.keys() - known
            if undo:
                row = {name: self._without_apostrophe(cell) for name, cell in row.items()}  # noqa: PLW2901
            cleaned = {own: self._cleaner.text(row[name]) for own, name, _ in texts if name in row}
            yield line, self._others(row, others, cleaned, titled)

    def _others(self, row: dict[str, Any], columns: list[Column], cleaned: dict[str, Any], titled: bool) -> Any:
        """The row with its id, year and tags, or the reason why it can't be read."""
        for own, name, kind in columns:
            if name not in row:
                continue
            if own == "id":
                cleaned[own] = self._cleaner.id(row[name])
            elif own == "year":
                cleaned[own] = self._cleaner.year(row[name])
            elif self.with_tags:
                try:
                    tags = tag_list(row[name], self._cleaner, self.separators.get(name, "|"), kind)
                except ValueError as error:
                    return Unreadable(f"{name}: {error}")
                cleaned[own] = cleaned[own] + tags if isinstance(cleaned.get(own), list) else tags
        if titled and isinstance(title := cleaned.get("title"), str):
            cleaned["id"] = f"{title} ({year})" if (year := cleaned.get("year")) else title
        return cleaned

    def _without_apostrophe(self, cell: Any) -> Any:
        """A cell as it was before `artifacts.neutral`."""
        if isinstance(cell, str) and cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@"}:
            self.counts["apostrophes"] += 1
            return cell[1:]
        return cell

    def said(self) -> list[str]:
        """What was understood that is not as documented, changed, or not read: for the user, when all is read."""
        renamed = [f"{own} = {name}" for own, name, _ in self.columns if own != name]
        changed = [CHANGES[key].format(f"{number:,}") for key, number in sorted(self.counts.items()) if number]
        ignored = [f"columns ignored: {', '.join(sorted(map(str, self.ignored)))}"] if self.ignored else []
        return [*self.noted, *([f"columns taken: {', '.join(renamed)}"] if renamed else []), *changed, *ignored]
